/** Who asks one request, as every listener hands it up and every front hands it on. */
import type { WorkClass } from "millrace-client/wire";
import type { Caller } from "./caller.js";
import type { TraceSpan } from "./trace-span.js";

export interface Asker {
  readonly id: string;
  readonly caller: Caller;
  /** On the clock of `performance.now()`. */
  readonly arrivedAtMs: number;
  /** Aborts when nobody waits for the reply any more. */
  readonly departed: AbortSignal;
  /** Null, or absent: nobody traces it. */
  readonly span?: TraceSpan | null;
  /** Set where the reply knows it; for metrics. */
  workClass: WorkClass | "none";
}
