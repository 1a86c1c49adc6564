/**
 * READ FIRST. The implementation of `Prepare`, for every task (docs/inside/prepare.md): small requests are worked on here, in slices with the event loop's
 * other work between them; large ones in a thread. Both keep what they made in columns, and count it before they keep it.
 */
import { MillraceError } from "millrace-client/wire";
import { type Clock, systemClock } from "../work/clock.js";
import type { PreparedInput } from "../work/piece.js";
import { isHeavy } from "./line.js";
import { type ModelSteps, stepsFrom, stepsOfTask } from "./model-steps.js";
import { PortionPacker } from "./portion.js";
import type { Prepare, PrepareRequest } from "./prepare.js";
import { PreparedInputs } from "./prepared-inputs.js";
import { NotOpened, PrepareThread, type PrepareThreadOptions } from "./thread/prepare-thread.js";
import { Turns } from "./turns.js";

export interface PreparerOptions {
  /** By what pipelines call them: two versions of a model are two. */
  readonly models: ReadonlyMap<string, ModelSteps>;
  readonly thread: Omit<PrepareThreadOptions, "clock">;
  /** Requests that weigh more go to the thread. Default: 16,384, some 20 ms of work. */
  readonly inlineCharactersMax?: number;
  readonly clock?: Clock;
  /** Large requests of a model are worked on here, because the thread cannot open it. */
  readonly onNotOpened?: (model: string, reason: string) => void;
}

/** Pieces that are made on the event loop before they are counted; the thread has a bound of its own. */
const inlinePiecesMax = 128;

export class Preparer implements Prepare, AsyncDisposable {
  #models: ReadonlyMap<string, ModelSteps>;
  readonly #inlineCharactersMax: number;
  readonly #thread: PrepareThread;
  readonly #onNotOpened: NonNullable<PreparerOptions["onNotOpened"]>;
  readonly #turns: Turns;

  constructor(options: PreparerOptions) {
    const { models, thread, inlineCharactersMax = 16_384, clock = systemClock } = options;
    this.#onNotOpened = options.onNotOpened ?? (() => {});
    this.#models = models;
    this.#inlineCharactersMax = inlineCharactersMax;
    this.#thread = new PrepareThread({ ...thread, clock });
    this.#turns = new Turns(clock);
  }

  async prepare(request: PrepareRequest, signal: AbortSignal): Promise<PreparedInput[]> {
    signal.throwIfAborted();
    const { inputs, settings, tenant, budget } = request;
    const model = stepsOfTask(this.#model(request.model), request.task);
    const weigh = (input: unknown): number => model.weigh(input, settings);
    const weight = inputs.reduce<number>((sum, input) => sum + weigh(input), 0);
    const prepared = new PreparedInputs(budget);
    if (weight <= this.#inlineCharactersMax) this.#thread.lightCame();
    else {
      const counts = isHeavy({ weight }) && model.leastPieces !== undefined;
      try {
        await this.#thread.run({ request, weight, weigh, counts, prepared }, signal);
        return prepared.inputs;
      } catch (error) {
        if (!(error instanceof NotOpened)) throw error;
        this.#onNotOpened(request.model, error.message);
      }
    }
    const place = { class: request.class, tenant, weight };
    await this.#turns.run(prepareInto(prepared, model, request), place, signal);
    return prepared.inputs;
  }

  /** Other models from now on; what is being prepared goes on with what it has. */
  replace({
    models,
    thread,
  }: {
    readonly models: PreparerOptions["models"];
    readonly thread: Pick<PrepareThreadOptions, "models">;
  }): void {
    this.#models = models;
    this.#thread.replaceModels(thread.models);
  }

  /** Ends the thread; large requests in it fail with `draining`. */
  async close(): Promise<void> {
    await this.#thread.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #model(name: string): ModelSteps {
    const model = this.#models.get(name);
    // Whoever asks looked the name up among the same models.
    if (model === undefined) throw new MillraceError("internal", `nothing prepares for ${name}`);
    return model;
  }
}

/** From where the thread left it, if it was there. */
function* prepareInto(
  prepared: PreparedInputs,
  model: ModelSteps,
  { inputs, settings }: PrepareRequest,
): Generator<void, void> {
  const packer = new PortionPacker();
  const firstIndex = prepared.inputs.length;
  const run = { inputs: inputs.slice(firstIndex), firstIndex, settings };
  for (const step of stepsFrom(model, { ...run, skipPieces: prepared.openPieces })) {
    packer.add(step);
    if (packer.pieces >= inlinePiecesMax) prepared.add(packer.take());
    yield;
  }
  prepared.add(packer.take());
}
