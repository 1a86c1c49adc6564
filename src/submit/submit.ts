/**
 * The seam between fronts and everything that does the work. A front turns bytes into a `SubmitRequest` and
 * an `AbortSignal`; whoever implements `Submit` turns these into one outcome for each text, exactly once.
 */
import type { RequestTimings, TranslateItem, WorkClass } from "millrace-client/wire";

export interface SubmitRequest {
  /** The request id that the caller sees; not used as a key inside. */
  readonly id: string;
  /** Null: the only model served. */
  readonly model: string | null;
  /** Exactly one of the two has entries. */
  readonly inputs:
    | { readonly kind: "texts"; readonly texts: readonly string[] }
    | { readonly kind: "tokenIds"; readonly tokenIds: readonly (readonly number[])[] };
  /** Null: by size. */
  readonly class: WorkClass | null;
  readonly tenant: string;
  /** On the clock of `performance.now()`; null: none. */
  readonly deadlineAtMs: number | null;
  readonly truncate: boolean;
  readonly split: boolean;
  /** Undefined: the model's own. */
  readonly settings: {
    readonly beams?: number;
    readonly lengthPenalty?: number;
    readonly maxLength?: number;
    readonly nBest?: number;
  };
  /** Bytes of the request as it arrived: what admission counts against `queuedBytesMax`. */
  readonly payloadBytes: number;
}

export interface SubmitOutcome {
  /** Place of the text in the request. */
  readonly index: number;
  readonly item: TranslateItem;
}

export interface SubmitSummary {
  readonly model: string;
  readonly class: WorkClass;
  readonly timings: RequestTimings;
  /** Sentences translated by each pipeline. */
  readonly pipelines: Readonly<Record<string, number>>;
}

export interface SubmitEvents {
  /** Once, when nothing at the door can refuse the request any more: after it was admitted and prepared. */
  readonly onAccepted?: () => void;
  /** Exactly once for each text, after `onAccepted`, in the order in which they are ready. */
  readonly onOutcome: (outcome: SubmitOutcome) => void;
}

export interface Submit {
  /**
   * Takes the request or refuses it: throws `MillraceError` (`model_not_found`, `queue_full`, `not_ready`,
   * `draining`, `token_out_of_range`, …) before anything was queued. After it returned, `onOutcome` is called
   * exactly once for each text, in the order in which they are ready, and then the promise settles. When
   * `signal` aborts, everything that is not finished is dropped and the promise rejects with `cancelled`.
   */
  submit(request: SubmitRequest, signal: AbortSignal, events: SubmitEvents): Promise<SubmitSummary>;
}
