/** One large request on its way through the thread: where it is, so that it can go on there in another thread. */
import { MillraceError } from "millrace-client/wire";
import type { InLine } from "../line.js";
import type { Portion } from "../portion.js";
import type { PrepareRequest } from "../prepare.js";
import type { PreparedInputs } from "../prepared-inputs.js";
import type { ThreadRequest } from "./messages.js";

/** Inputs and characters that one message takes along: copying it must not hold the event loop either. */
const messageInputsMax = 1024;
const messageCharactersMax = 64 * 1024;
/** Threads that may die under one input, and then under one request. */
const deathsOfInputMax = 2;
const deathsMax = 8;

export interface ThreadWorkOptions {
  readonly workId: number;
  readonly request: PrepareRequest;
  /** What the thread opens its model from: of this version also when another one is served. */
  readonly data: unknown;
  readonly weight: number;
  readonly weigh: (input: unknown) => number;
  /** Its pieces are counted before they are made. */
  readonly counts: boolean;
  readonly prepared: PreparedInputs;
  readonly finish: () => void;
  readonly fail: (error: unknown) => void;
}

export class ThreadWork implements InLine {
  readonly workId: number;
  readonly tenant: string;
  readonly weight: number;
  readonly class: InLine["class"];
  readonly fail: (error: unknown) => void;
  /** The caller left, or it is done: whatever the thread still says of it comes too late. */
  isOver = false;
  /** The thread has inputs of it. */
  isStarted = false;
  readonly #options: ThreadWorkOptions;
  #counting: boolean;
  #countedInputs = 0;
  #countedPieces = 0;
  /** Inputs that the thread has. */
  #startedInputs = 0;
  #deaths = 0;
  #deathsOfInput = 0;

  constructor(options: ThreadWorkOptions) {
    const { workId, request, weight, counts, fail } = options;
    this.#options = options;
    this.#counting = counts;
    this.workId = workId;
    this.tenant = request.tenant;
    this.weight = weight;
    this.class = request.class;
    this.fail = fail;
  }

  get model(): { readonly name: string; readonly data: unknown } {
    const { request, data } = this.#options;
    return { name: request.model, data };
  }

  /** After a death, one input at a time: the next death tells which it was. */
  get alone(): boolean {
    return this.#deaths > 0;
  }

  /** From where it is. */
  start(): Extract<ThreadRequest, { type: "start" }> {
    const { workId, request, prepared, weigh } = this.#options;
    const { model, task, inputs, settings } = request;
    const firstIndex = this.#counting ? this.#countedInputs : prepared.inputs.length;
    this.#startedInputs = messageLength(inputs, firstIndex, weigh);
    this.isStarted = true;
    return {
      type: "start",
      workId,
      model,
      ...(task === undefined ? {} : { task }),
      settings,
      counting: this.#counting,
      firstIndex,
      inputs: inputs.slice(firstIndex, firstIndex + this.#startedInputs),
      skipPieces: prepared.openPieces,
    };
  }

  /** Throws what the request's budget throws: a request that never fits is refused here, the rest of it unseen. */
  count(pieces: number, allStartedCounted: boolean): void {
    const { request } = this.#options;
    this.#countedPieces += pieces;
    request.budget.foresee(this.#countedPieces);
    if (!allStartedCounted) return;
    this.isStarted = false;
    this.#countedInputs += this.#startedInputs;
    if (this.#countedInputs < request.inputs.length) return;
    request.budget.reserve(this.#countedPieces);
    this.#counting = false;
  }

  /** Throws what the request's budget throws. */
  add(portion: Portion, allStartedEnded: boolean): void {
    const { prepared, request, finish } = this.#options;
    prepared.add(portion);
    if (portion.ends.length > 0) this.#deathsOfInput = 0;
    if (allStartedEnded) this.isStarted = false;
    if (prepared.inputs.length < request.inputs.length) return;
    this.isOver = true;
    finish();
  }

  /** The thread died, whoever it worked on. What it counted of its inputs is not known: it counts no more. */
  lostThread(): void {
    this.isStarted = false;
    this.#counting = false;
  }

  /** The thread died, and worked on this. The input at fault fails alone, once that is sure. */
  died(reason: string): void {
    this.#deaths += 1;
    if (this.#deaths >= deathsMax) {
      const message = `the prepare thread died ${deathsMax} times under this request: ${reason}`;
      throw new MillraceError("item_poison", message);
    }
    this.#deathsOfInput += 1;
    if (this.#deathsOfInput < deathsOfInputMax) return;
    const message = `the prepare thread died ${deathsOfInputMax} times under this input: ${reason}`;
    const error = new MillraceError("item_poison", message).toWire();
    this.add({ runs: [], pieces: 0, bytes: 0, ends: [{ after: 0, error }] }, true);
  }
}

/** How many inputs from `first` on fit one message; at least one. */
function messageLength(
  inputs: readonly unknown[],
  first: number,
  weigh: (input: unknown) => number,
): number {
  let characters = 0;
  let count = 0;
  for (const input of inputs.slice(first, first + messageInputsMax)) {
    characters += weigh(input);
    if (count > 0 && characters > messageCharactersMax) break;
    count += 1;
  }
  return count;
}
