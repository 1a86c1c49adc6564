/**
 * One request between acceptance and its last outcome. It knows its inputs and times, and nothing of queues or pipelines.
 */
import { MillraceError, type WireError, type WorkClass } from "millrace-client/wire";
import type { TaskModel } from "../../tasks/task.js";
import type { Clock } from "../../work/clock.js";
import type { JsonObject, Payload } from "../../work/payload.js";
import type { PreparedInput } from "../../work/piece.js";
import type { TraceSpan } from "../../work/trace-span.js";
import { withResolvers } from "../../work/with-resolvers.js";
import type { InputOutcome, SubmitOutcome, SubmitSummary } from "../submit.js";
import { InputAssembly } from "./input-assembly.js";
import type { RequestSpans } from "./request-spans.js";

export interface OpenRequestOptions {
  readonly task: { readonly name: string; readonly model: TaskModel };
  readonly model: string;
  /** The version of the model, as pipelines know it. */
  readonly key: string;
  readonly class: WorkClass;
  readonly tenant: string;
  readonly deadlineAtMs: number | null;
  readonly settings: JsonObject;
  readonly inputs: readonly PreparedInput[];
  readonly arrivedAtMs: number;
  readonly queuedAtMs: number;
  /** Answers hold more than was counted when their pieces were made. */
  readonly onFurtherBytes: (bytes: number) => void;
  readonly onOutcome: (outcome: SubmitOutcome) => void;
  /** Null, or absent: nobody traces it. */
  readonly spans?: RequestSpans | null;
}

/** Items of a request that the scheduler was told of together. */
export interface Slice {
  /** The scheduler's name for it. */
  readonly sliceId: number;
  readonly openItemIds: Set<number>;
}

/** Where in its request an item belongs. */
export interface Place {
  readonly input: number;
  readonly piece: number;
}

/** What others may have to wait for while many inputs are answered at once. */
const turnMsMax = 8;

export class OpenRequest {
  readonly options: OpenRequestOptions;
  /** Those that were queued and have items that have not ended, of inputs that failed too. */
  readonly slices: Set<Slice> = new Set();
  readonly #inputs: (InputAssembly | null)[];
  readonly #pipelines: Record<string, number> = {};
  #openInputs: number;
  #firstSentAtMs: number | null = null;
  #longestWaitMs = 0;
  readonly #done = withResolvers();

  constructor(options: OpenRequestOptions) {
    this.options = options;
    this.#openInputs = options.inputs.length;
    const { settings, task } = options;
    this.#inputs = options.inputs.map((input) =>
      input.ok ? new InputAssembly({ ...input, settings, task: task.model }) : null,
    );
  }

  get done(): Promise<void> {
    return this.#done.promise;
  }

  get ended(): boolean {
    return this.#openInputs === 0;
  }

  /**
   * Inputs that need no model: those that prepare refused, and those in which there is nothing to run. In turns of the event
   * loop: what many of them come to, such as the tokens of long texts, takes as long to be made as to be told.
   */
  async answerAtOnce(clock: Clock): Promise<void> {
    let turnSinceMs = clock.now();
    for (const [index, input] of this.options.inputs.entries()) {
      this.#report(
        index,
        input.ok ? this.#attempt(index, (whole) => whole.whenComplete()) : { error: input.error },
      );
      if (clock.now() - turnSinceMs < turnMsMax) continue;
      await new Promise<void>((resolve) => clock.after(0, resolve));
      if (this.ended) break;
      turnSinceMs = clock.now();
    }
    // A request without inputs has nothing to wait for.
    if (this.#openInputs === 0) this.#done.resolve();
  }

  /** One of its items, to a pipeline. The span of what pipelines do for it comes back; null: nobody traces it. */
  sent(nowMs: number, firstTime: boolean): TraceSpan | null {
    this.#firstSentAtMs ??= nowMs;
    const { spans = null, queuedAtMs } = this.options;
    if (firstTime) this.#longestWaitMs = Math.max(this.#longestWaitMs, nowMs - queuedAtMs);
    return spans === null ? null : spans.sent(nowMs);
  }

  /** Why the engine's answer cannot be used, or null. */
  check(answer: Payload): string | null {
    try {
      return this.options.task.model.checkResult(answer, this.options.settings);
    } catch (error) {
      return `the answer cannot be read: ${String(error)}`;
    }
  }

  finish(place: Place, answer: Payload, pipelineId: string): void {
    this.#pipelines[pipelineId] = (this.#pipelines[pipelineId] ?? 0) + 1;
    this.#report(
      place.input,
      this.#attempt(place.input, (whole) => {
        const further = this.options.task.model.furtherBytes?.(answer) ?? 0;
        if (further > 0) this.options.onFurtherBytes(further);
        return whole.add(place.piece, answer);
      }),
    );
  }

  fail(place: Place, error: WireError): void {
    this.#report(place.input, this.#inputs[place.input]?.fail(error) ?? null);
  }

  /** Everything that is not done fails with this. */
  failAll(error: WireError): void {
    for (const [index, input] of this.#inputs.entries()) {
      this.#report(index, input?.fail(error) ?? null);
    }
  }

  /** Ends the promise; no outcome follows. A second call does nothing. */
  abandon(error: unknown): void {
    this.#openInputs = 0;
    this.#done.reject(error);
  }

  summary(nowMs: number): SubmitSummary {
    const { task, model, class: workClass, inputs, arrivedAtMs, queuedAtMs } = this.options;
    return {
      task: task.name,
      model,
      class: workClass,
      inputs: inputs.length,
      timings: {
        prepareMs: queuedAtMs - arrivedAtMs,
        queueMs: this.#longestWaitMs,
        computeMs: this.#firstSentAtMs === null ? 0 : nowMs - this.#firstSentAtMs,
        totalMs: nowMs - arrivedAtMs,
      },
      pipelines: this.#pipelines,
    };
  }

  /** A task that chokes on a model's answers fails this input and no other. */
  #attempt(
    index: number,
    action: (input: InputAssembly) => InputOutcome | null,
  ): InputOutcome | null {
    const input = this.#inputs[index] ?? null;
    if (input === null) return null;
    try {
      return action(input);
    } catch (error) {
      if (error instanceof MillraceError) return { error: error.toWire() };
      const message = `the answers cannot be joined to a result: ${String(error)}`;
      return { error: new MillraceError("internal", message, { cause: error }).toWire() };
    }
  }

  #report(index: number, outcome: InputOutcome | null): void {
    if (outcome === null || this.ended) return;
    this.#openInputs -= 1;
    try {
      this.options.onOutcome({ index, outcome });
    } catch (error) {
      // The caller's own callback failed: that ends the caller's request and nobody else's.
      this.abandon(error);
      return;
    }
    if (this.#openInputs === 0) this.#done.resolve();
  }
}
