/**
 * The seam between the runner and who decides which chunk this server runs next: on one machine the open jobs themselves
 * (local-queue.ts), over many a JetStream work queue (jetstream/). Tenants take turns, and the jobs of one go in their order.
 */
import type { StoredJob } from "./store.js";

export interface ChunkQueue extends AsyncDisposable {
  /** Every chunk of the job that has no results is to be run, by whoever takes it. Again: nothing is run twice for it. */
  offer(job: StoredJob): Promise<void>;
  /** Of jobs that were offered: those of which the queue has nothing any more, though they are not done, are offered anew. */
  offerLost(jobs: readonly StoredJob[]): Promise<void>;
  /** Waits until there is one for this server. @throws the signal's reason */
  take(signal: AbortSignal): Promise<TakenChunk>;
  /** The job has ended: what nobody has taken is wanted no more. */
  withdraw(job: StoredJob): Promise<void>;
  /** Whether a server has a chunk of it in hand, this one or any other that answers. */
  isHeld(job: StoredJob): Promise<boolean>;
}

/** Whoever has it, has it until it says one of the two, or dies. */
export interface TakenChunk {
  readonly jobId: string;
  readonly index: number;
  /** It was handed out before: it may have results. */
  readonly mayBeDone: boolean;
  /** Its results are committed, or its job wants none. */
  done(): Promise<void>;
  /** Not begun, or not to the end: somebody else may take it, at once or after some time. */
  giveBack(afterMs: number): Promise<void>;
}
