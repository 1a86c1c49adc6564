/** What the pool tells its owner, through one callback and never from inside a call into the pool but `stop`. */
import type { PipelineKind, WireError } from "millrace-client/wire";
import type { FrameOutcome, StageReport } from "../frames/messages.js";

export interface FailedItem {
  readonly itemId: number;
  readonly error: WireError;
}

export type PoolEvent =
  /** The process runs and hosts nothing yet; it takes loads from now on. */
  | {
      readonly type: "up";
      readonly pipelineId: string;
      readonly kind: PipelineKind;
      readonly modelMemoryBytesMax: number;
    }
  /** It answered its warm-up item; the pipeline takes batches of it from now on. */
  | {
      readonly type: "loaded";
      readonly pipelineId: string;
      readonly model: string;
      /** By which the process grew. */
      readonly bytes: number;
      readonly ms: number;
    }
  /** The process lives on without it. */
  | {
      readonly type: "load-failed";
      readonly pipelineId: string;
      readonly model: string;
      readonly reason: string;
      /** Its folder is at fault, so that no other load of it would go well. */
      readonly isBroken: boolean;
    }
  | { readonly type: "unloaded"; readonly pipelineId: string; readonly model: string }
  /** A process ended before it was up; the next one starts after a back-off. */
  | { readonly type: "start-failed"; readonly pipelineId: string; readonly reason: string }
  /** It takes no more, and what it hosted is gone; what it held follows in `dropped` and `returned`. */
  | {
      readonly type: "down";
      readonly pipelineId: string;
      readonly reason: string;
      /** The model that it was loading, whose doing its end is then; `isFault`: unless somebody ended it from outside. */
      readonly loading: { readonly model: string; readonly isFault: boolean } | null;
    }
  /** An item left the ledger with its result, good or bad. */
  | {
      readonly type: "outcome";
      readonly pipelineId: string;
      readonly itemId: number;
      readonly outcome: FrameOutcome;
      /** 1 unless pipelines were lost with it. */
      readonly attempt: number;
    }
  /** Cancelled items left the ledger: the pipeline holds nothing of them any more. */
  | {
      readonly type: "dropped";
      readonly pipelineId: string;
      readonly itemIds: readonly number[];
    }
  /** Items left the ledger without a result, after a recall or because the pipeline ended; see settle.ts. */
  | {
      readonly type: "returned";
      readonly pipelineId: string;
      readonly innocent: readonly number[];
      readonly groups: readonly (readonly number[])[];
      readonly failed: readonly FailedItem[];
    }
  | {
      readonly type: "measured";
      readonly pipelineId: string;
      readonly model: string;
      readonly stages: readonly StageReport[];
    }
  | {
      readonly type: "run";
      readonly pipelineId: string;
      readonly model: string;
      readonly stage: string;
      readonly rows: number;
      readonly width: number;
      readonly predictedMs: number;
    };
