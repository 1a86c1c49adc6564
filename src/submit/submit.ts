/**
 * READ FIRST. The seam between fronts and everything that does the work. A front turns bytes into a `SubmitRequest`
 * and an `AbortSignal`; whoever implements `Submit` turns these into one outcome for each input, exactly once. Neither
 * knows what the other speaks: a front knows no task, and nobody behind this seam knows a protocol.
 */
import type { RequestTimings, WireError, WorkClass } from "millrace-client/wire";
import type { Payload } from "../work/payload.js";
import type { TaskForm } from "../work/task-form.js";
import type { TraceSpan } from "../work/trace-span.js";

export interface SubmitRequest {
  /** The request id that the caller sees; for logs, not a key inside. */
  readonly id: string;
  /** One of `Submit.tasks`. */
  readonly task: string;
  /** Null: the only model that is served for the task, among those that the caller may use. */
  readonly model: string | null;
  /** Those that the caller may use, and hears of. Default: all. */
  readonly models?: readonly string[];
  /** Inputs and settings, as the caller named them: the task reads them, and refuses what it does not know. */
  readonly fields: Readonly<Record<string, unknown>>;
  /**
   * Places of the inputs that are wanted, rising; the others had their outcomes elsewhere, before a node was lost. Outcomes have their
   * places in the request all the same. Default: all.
   */
  readonly only?: readonly number[];
  /** Null: by size. */
  readonly class: WorkClass | null;
  readonly tenant: string;
  /** On the clock of `performance.now()`; null: none. */
  readonly deadlineAtMs: number | null;
  /**
   * The caller named the deadline: where it cannot be met the request is refused at once (`deadline_too_soon`). Default: false, it is queued
   * whatever waits before it, and what is done by then is told.
   */
  readonly isDeadlineNamed?: boolean;
  /** What is done for it is told to this one. Null, or absent: nobody traces it. */
  readonly span?: TraceSpan | null;
  /** Bytes of the request as it arrived: what admission counts against `queuedBytesMax`. */
  readonly payloadBytes: number;
}

export interface SubmitOutcome {
  /** Place of the input in the request. */
  readonly index: number;
  readonly outcome: InputOutcome;
}

/**
 * The task's result, or why there is none. What its wire type says is in the values; what is many numbers is a tensor beside
 * them, of the name that it has on the wire: each protocol writes those in its own way.
 */
export type InputOutcome = { readonly value: Payload } | { readonly error: WireError };

export interface SubmitEvents {
  /**
   * Once, before the first `await` and before anything is taken: the inputs as the task read them. What it throws refuses the
   * request, with that error. It may still be refused behind this.
   */
  readonly onInputs?: (inputs: readonly unknown[]) => void;
  /**
   * Once, before any outcome: the request passed every door, and each of its inputs will have its outcome. Where
   * preparing takes long it comes before that is over, so that the caller hears something: then `queue_full`,
   * `too_many_items` and `deadline_too_soon` may still follow.
   */
  readonly onAccepted?: () => void;
  /** What it throws ends the caller's own request, with that error. */
  readonly onOutcome: (outcome: SubmitOutcome) => void;
}

export interface SubmitSummary {
  readonly task: string;
  readonly model: string;
  readonly class: WorkClass;
  /** How many there were, hence outcomes. */
  readonly inputs: number;
  readonly timings: RequestTimings;
  /** Items done by each pipeline. */
  readonly pipelines: Readonly<Record<string, number>>;
}

export interface Submit {
  /** What can be asked for, by name: those too that no model is served for now, for one may come. */
  readonly tasks: ReadonlyMap<string, TaskForm>;
  /**
   * Takes the request or refuses it: throws `MillraceError` (`bad_request`, `model_not_found`, `queue_full`,
   * `not_ready`, `draining`, …) before anything was queued. What can be refused at once is refused before the first
   * `await`, and `payloadBytes` are counted then. After `onAccepted`, `onOutcome` is called exactly once for each
   * input, in the order in which they are ready, and then the promise settles. What is not finished at the deadline
   * fails alone with `deadline_exceeded`, whatever phase it is in. When `signal` aborts, everything that is not
   * finished is dropped and the promise rejects with `cancelled`.
   */
  submit(request: SubmitRequest, signal: AbortSignal, events: SubmitEvents): Promise<SubmitSummary>;
}
