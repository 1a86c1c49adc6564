/**
 * The seam between fronts and everything that does the work, in words that know no task. A front turns bytes into a
 * `SubmitRequest` and an `AbortSignal`; whoever implements `Submit` turns these into one outcome for each input.
 */
import type { RequestTimings, WireError, WorkClass } from "millrace-client/wire";

export interface SubmitRequest {
  /** The request id that the caller sees. */
  readonly id: string;
  /** The name of a task, as the route has it: `translate`. */
  readonly task: string;
  /** Null: the only model served. */
  readonly model: string | null;
  /** The task's own fields, inputs and settings, as the caller sent them: the task reads and checks them. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Null: by size. */
  readonly class: WorkClass | null;
  readonly tenant: string;
  /** On the clock of `performance.now()`; null: none. */
  readonly deadlineAtMs: number | null;
  /** Bytes of the request as it arrived: what admission counts against `queuedBytesMax`. */
  readonly payloadBytes: number;
}

export interface SubmitOutcome {
  /** Place of the input in the request. */
  readonly index: number;
  readonly outcome: { readonly value: object } | { readonly error: WireError };
}

export interface SubmitSummary {
  readonly task: string;
  readonly model: string;
  readonly class: WorkClass;
  /** How many inputs the request had, hence outcomes. */
  readonly inputs: number;
  readonly timings: RequestTimings;
  /** Items done by each pipeline. */
  readonly pipelines: Readonly<Record<string, number>>;
}

export interface SubmitEvents {
  /** Once, when nothing at the door can refuse the request any more: after it was admitted and prepared. */
  readonly onAccepted?: () => void;
  /** Exactly once for each input, after `onAccepted`, in the order in which they are ready. */
  readonly onOutcome: (outcome: SubmitOutcome) => void;
}

export interface Submit {
  /**
   * Takes the request or refuses it with a `MillraceError`. `payloadBytes` are admitted, or refused, before the call
   * returns its promise: until then the front counts them, from then on it does not. The promise settles after the
   * last outcome. When `signal` aborts, everything that is not finished is dropped and the promise rejects with
   * `cancelled`.
   */
  submit(request: SubmitRequest, signal: AbortSignal, events: SubmitEvents): Promise<SubmitSummary>;
}
