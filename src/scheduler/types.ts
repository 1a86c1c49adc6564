/**
 * What goes into the scheduler and what comes out. The scheduler is a state machine with one owner:
 * `step(state, event, nowMs) → decisions`. It does no I/O, reads no clock and knows nothing of fronts, tasks or workers:
 * an item is its cost to it. Begin at scheduler.ts.
 */
import type { PipelineKind, WorkClass } from "millrace-client/wire";
import type { Cost } from "../work/cost.js";

/**
 * `continuous`: items join and leave a running batch at any token, so a pipeline is fed whenever it has free rows.
 * `one-shot`: a pipeline takes one batch, and one more that waits in the child.
 */
export type RunMode = "continuous" | "one-shot";

/** A pipeline that is up: a process that hosts models, several at a time within its memory. */
export interface HostSpec {
  readonly pipelineId: string;
  readonly kind: PipelineKind;
  /** What its models may take together. */
  readonly modelMemoryBytesMax: number;
}

/**
 * `pinned`: on every pipeline, and never evicted. `preloaded`: on every pipeline as it starts, as far as there is room.
 * `on-demand`: when somebody waits for it.
 */
export type Keep = "pinned" | "preloaded" | "on-demand";

/** A model that pipelines can load. */
export interface ModelSpec {
  readonly model: string;
  readonly mode: RunMode;
  /** What it is expected to take in a process, until it was measured. */
  readonly bytes: number;
  /** By what its files say: where a pipeline has less it is never loaded. Default: `bytes`. */
  readonly leastBytes?: number;
  readonly keep: Keep;
  /** Rows of it that run at once in a pipeline, in each class. */
  readonly rowsMax: number;
  /**
   * Of a continuous one: rows of its largest run. No pipeline is given more than two of these are worth (rooms.ts). Left out:
   * what a pipeline holds of it is bounded by the pipeline alone.
   */
  readonly runRowsMax?: number;
}

/** A model on a pipeline, as far as it matters here: whom it serves, and how much of it. */
export interface PipelineCapacity {
  readonly pipelineId: string;
  readonly model: string;
  readonly kind: PipelineKind;
  readonly mode: RunMode;
  /** Rows that run at once. */
  readonly rowsMax: number;
}

export interface ItemSpec extends Cost {
  /** Unique in the server's life; the key of the ledger. */
  readonly itemId: number;
}

export interface RequestSpec {
  readonly requestId: number;
  readonly model: string;
  readonly class: WorkClass;
  readonly tenant: string;
  /** Same clock as `nowMs`; null: none. */
  readonly deadlineAtMs: number | null;
  readonly items: readonly ItemSpec[];
}

export type SchedulerEvent =
  | { readonly type: "request"; readonly request: RequestSpec }
  /** The caller left: nothing of it is dispatched again, items in flight are cancelled. */
  | { readonly type: "cancel"; readonly requestId: number }
  /** From now on it can be loaded. Told again: what is new of it; where it is resident its rows stay what they were. */
  | { readonly type: "model"; readonly model: ModelSpec }
  /** It is not loaded any more. Where it is resident it finishes what there is for it, and goes. */
  | { readonly type: "model-gone"; readonly model: string }
  /** It is warm, and hosts nothing. */
  | { readonly type: "pipeline-up"; readonly pipeline: HostSpec }
  /** As was decided; `bytes`: by which the process grew. */
  | {
      readonly type: "loaded";
      readonly pipelineId: string;
      readonly model: string;
      readonly bytes: number;
      readonly ms: number;
    }
  /** The pipeline goes on without it. `isBroken`: its folder is at fault, so that no other load of it would go well. Default: false. */
  | {
      readonly type: "load-failed";
      readonly pipelineId: string;
      readonly model: string;
      readonly reason: string;
      readonly isBroken?: boolean;
    }
  /**
   * The ledger says in `returned` what becomes of the items that were in flight there. `loading`: the model that it was loading,
   * whose doing it was, unless (`isFault` is false) somebody ended it from outside.
   */
  | {
      readonly type: "pipeline-down";
      readonly pipelineId: string;
      readonly loading?: {
        readonly model: string;
        readonly reason: string;
        readonly isFault: boolean;
      } | null;
    }
  /** The item has its outcome, good or bad, or was dropped by the pipeline after a cancel. */
  | { readonly type: "settled"; readonly pipelineId: string; readonly itemId: number }
  /**
   * Items that come back without an outcome. `groups`: each is dispatched as one batch (as one for each batch key in
   * and model in it), alone in an otherwise empty pipeline (`exclusive`), because one of its items is suspected to have ended a
   * pipeline. `innocent` items simply queue again, at their old place.
   */
  | {
      readonly type: "returned";
      readonly pipelineId: string;
      readonly innocent: readonly number[];
      readonly groups: readonly (readonly number[])[];
    }
  /** What a pipeline measured, for the learned service time. */
  | {
      readonly type: "measured";
      readonly model: string;
      readonly stage: string;
      readonly runs: number;
      readonly paddedUnits: number;
      readonly ms: number;
    }
  /** Nothing happened but time; sent at the time that `wake` named. */
  | { readonly type: "tick" };

/** Why a batch left the queue when it did. */
export type DispatchReason =
  /** A pipeline was free (work-conserving): packing happened while it was busy. */
  | "pipeline-free"
  /** The batch reached the cost that the model runs best. */
  | "full"
  /** The window ended. */
  | "window"
  /** Items that waited longer than the age limit go first. */
  | "aged"
  /** Suspects that run alone. */
  | "exclusive";

/** Items of one request, in its packing order (by width), as one batch holds them. */
export interface Segment {
  readonly requestId: number;
  readonly itemIds: readonly number[];
}

/** Its items are of one model and have one batch key. */
export interface Batch {
  readonly batchId: number;
  readonly model: string;
  readonly class: WorkClass;
  /** Realtime of many rows: in the pipeline it gives way to other realtime, as bulk does. */
  readonly givesWay: boolean;
  readonly reason: DispatchReason;
  readonly exclusive: boolean;
  readonly segments: readonly Segment[];
  readonly rows: number;
  readonly units: number;
  /** What the batch costs with padding: each item's units, stretched from its own width to that of the widest. */
  readonly paddedUnits: number;
  /** Longest wait of an item in it, from arrival to now. */
  readonly waitedMs: number;
}

/** Why a model cannot be loaded whoever tries again: the memory that there is for it, or its folder, has to change. */
export type LoadFault = "too-large" | "broken";

export type Decision =
  /** The pipeline takes nothing else until it is `loaded` or `load-failed`. `rowsMax`: of the model, and what it is fed by there. */
  | {
      readonly type: "load";
      readonly pipelineId: string;
      readonly model: string;
      readonly rowsMax: number;
    }
  /** Nothing of it is in flight there. What it frees is free for a load that follows. */
  | { readonly type: "unload"; readonly pipelineId: string; readonly model: string }
  /**
   * No pipeline can have the model: until then nobody need be let in for it where none has it. It may go well later, unless a
   * `fault` says what has to be changed before.
   */
  | {
      readonly type: "hold";
      readonly model: string;
      readonly untilMs: number;
      readonly reason: string;
      readonly fault?: LoadFault;
    }
  /** These wait for such a model. */
  | {
      readonly type: "abandon";
      readonly requestId: number;
      readonly itemIds: readonly number[];
      readonly reason: string;
      readonly fault?: LoadFault;
    }
  | { readonly type: "dispatch"; readonly pipelineId: string; readonly batch: Batch }
  /** Past the deadline while queued or in flight: the outcome is `deadline_exceeded`. */
  | { readonly type: "expire"; readonly requestId: number; readonly itemIds: readonly number[] }
  /** Tell the pipeline that nobody waits for these. */
  | { readonly type: "cancel"; readonly pipelineId: string; readonly itemIds: readonly number[] }
  /** Ask for items back that a pipeline holds and has not begun (a realtime item needs the place). */
  | { readonly type: "recall"; readonly pipelineId: string; readonly itemIds: readonly number[] }
  /** Call `step` with a `tick` at this time at the latest; replaces any earlier wake. */
  | { readonly type: "wake"; readonly atMs: number };
