/** What follows the end of a job, whoever ended it: its caller is called back, and its key gets back what was counted and not run. */
import type { Access } from "../access/access.js";
import type { Log } from "../log.js";
import type { Options } from "../options/options.js";
import { openCallbacks } from "./callback.js";
import type { JobsClock } from "./jobs-clock.js";
import { KeyReturns } from "./key-returns.js";
import type { JobStore, StoredJob } from "./store.js";

export interface JobEndings {
  readonly returns: KeyReturns;
  /** Of those that this server ended, by state. */
  readonly counts: ReadonlyMap<string, number>;
  readonly heard: {
    /** By this server. */
    readonly onEnded: (job: StoredJob) => void;
    /** By this one or another. */
    readonly onSeenEnded: (job: StoredJob) => void;
  };
  /** Takes up what is still to follow of what ended before. */
  start(): void;
  stop(): Promise<void>;
}

export async function openEndings(
  options: Options,
  {
    store,
    clock,
    log,
    keys,
  }: {
    readonly store: JobStore;
    readonly clock: JobsClock;
    readonly log: Log;
    readonly keys: Pick<Access, "isOpen" | "takeForJob" | "giveBack" | "hasCounted">;
  },
): Promise<JobEndings> {
  const callbacks = await openCallbacks(options, { store, clock, log });
  const returns = new KeyReturns({ store, keys, log });
  const counts = new Map<string, number>();
  return {
    returns,
    counts,
    heard: {
      onEnded: (ended) => {
        const { id: job, state, progress } = ended;
        const { succeeded, failed } = progress;
        counts.set(state, (counts.get(state) ?? 0) + 1);
        log.info({ job, state, succeeded, failed }, "job ended");
        callbacks?.ended(ended);
        returns.ended(ended);
      },
      onSeenEnded: (ended) => {
        callbacks?.endedElsewhere(ended);
        returns.ended(ended);
      },
    },
    start: () => {
      callbacks?.start();
      if (!keys.isOpen) returns.start();
    },
    stop: async () => {
      await callbacks?.stop();
      await returns.stop();
    },
  };
}
