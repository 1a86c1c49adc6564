/** What the pool tells its owner, through one callback and never from inside a call into the pool but `stop`. */
import type { PipelineKind, WireError } from "millrace-client/wire";
import type { FrameOutcome, StageReport } from "../frames/messages.js";

export interface OutcomeTimings {
  /** When the ledger was written, and when the outcome came; on the pool's clock. */
  readonly sentAtMs: number;
  readonly settledAtMs: number;
  /** 1 unless pipelines were lost with it. */
  readonly attempt: number;
}

export interface FailedItem {
  readonly itemId: number;
  readonly error: WireError;
}

export type PoolEvent =
  /** The pipeline answered its warm-up item and takes batches from now on. */
  | {
      readonly type: "up";
      readonly pipelineId: string;
      readonly model: string;
      readonly kind: PipelineKind;
      readonly rowsMax: number;
    }
  /** A process ended before it was up; the next one starts after a back-off. */
  | { readonly type: "start-failed"; readonly pipelineId: string; readonly reason: string }
  /** It takes no more; what it held follows in `dropped` and `returned`. */
  | { readonly type: "down"; readonly pipelineId: string; readonly reason: string }
  /** An item left the ledger with its result, good or bad. */
  | {
      readonly type: "outcome";
      readonly pipelineId: string;
      readonly itemId: number;
      readonly outcome: FrameOutcome;
      readonly timings: OutcomeTimings;
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
      readonly stage: string;
      readonly rows: number;
      readonly width: number;
      readonly predictedMs: number;
    };
