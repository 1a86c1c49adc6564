/** The store, `Jobs` over it, and what runs them, as one thing that is opened, started, drained and stopped. */
import type { Log } from "../log.js";
import type { Metrics } from "../metrics/metrics.js";
import type { Options } from "../options/options.js";
import type { ServerViews } from "../work/views.js";
import { openCallbacks } from "./callback.js";
import type { ChunkQueue } from "./chunk-queue.js";
import { DurableJobs, type DurableJobsOptions } from "./durable-jobs.js";
import { JobKeeper } from "./job-keeper.js";
import type { CallRoute, Jobs } from "./jobs.js";
import { openJobsClock } from "./jobs-clock.js";
import { Paces } from "./pace.js";
import { JobRunner } from "./runner.js";
import type { JobStore, StoredCaller, StoredJob } from "./store.js";
import { Watchers } from "./watchers.js";

export interface OpenJobsParts {
  readonly metrics: Pick<Metrics, "jobsFrom">;
  readonly options: Options;
  readonly views: Pick<ServerViews, "models" | "isDraining" | "nodes">;
  /** The job's key is gone. Default: no key is. */
  readonly isRevoked?: (caller: StoredCaller) => boolean;
  readonly log: Log;
}

export interface JobWorkParts extends OpenJobsParts {
  /** Both are closed with it. */
  readonly store: JobStore;
  readonly queue: ChunkQueue;
  /** False: others of the deployment run them. Default: true. */
  readonly runs?: boolean;
}

export interface JobWork {
  readonly jobs: Jobs;
  /** Takes up what has not ended. Once. */
  start(callRoute: CallRoute): Promise<void>;
  /** No chunk is begun any more. */
  drain(): void;
  /** Resolves when nothing is being run. */
  drained(): Promise<void>;
  /** Waits for what was begun, then closes the store. True: nothing was left in the middle. Also where it was never started. */
  stop(options: { readonly drainMs: number }): Promise<boolean>;
}

export async function openJobWork(parts: JobWorkParts): Promise<JobWork> {
  const { store, queue, runs = true, options, views, log, metrics } = parts;
  const { isRevoked = () => false } = parts;
  const clock = await openJobsClock(store);
  const paces = new Paces();
  const watchers = new Watchers(store);
  const callbacks = await openCallbacks(options, { store, clock, log });
  const endedJobs = new Map<string, number>();
  const onEnded = (ended: StoredJob): void => {
    const { id: job, state, progress } = ended;
    const { succeeded, failed } = progress;
    endedJobs.set(state, (endedJobs.get(state) ?? 0) + 1);
    log.info({ job, state, succeeded, failed }, "job ended");
    callbacks?.ended(ended);
  };
  const onSeenEnded = (ended: StoredJob): void => callbacks?.endedElsewhere(ended);
  const kept = { store, queue, clock, paces, log };
  const keeper = new JobKeeper({ ...kept, isRevoked, onEnded, onSeenEnded });
  const touch = (id: string): void => keeper.touch(id);
  let runner: JobRunner | null = null;
  const underWay: DurableJobsOptions["underWay"] = () => {
    const open = [...keeper.open.values()].reduce((sum, count) => sum + count, 0);
    return { isKnown: keeper.hasLooked, open, runningChunks: runner?.chunksInFlight ?? 0 };
  };
  const seen = { store, clock, paces, watchers, options, views };
  const jobs = new DurableJobs({ ...seen, touch, underWay });
  metrics.jobsFrom(() => {
    const { commits, ...lines } = runner?.kept ?? { commits: 0, done: 0, failed: 0 };
    const chunksInFlight = runner?.chunksInFlight ?? 0;
    const ended = endedJobs;
    const isThere = store.reason() === null;
    const usage = { ...store.usage(), isThere };
    return { open: keeper.open, ended, lines, commits, chunksInFlight, store: usage };
  });
  return {
    jobs,
    start: async (callRoute) => {
      runner = new JobRunner({
        store,
        queue,
        callRoute,
        clock,
        log,
        paces,
        linesMax: linesInFlight(options),
        timeoutMs: options.requestTimeoutMsMax,
        onChange: touch,
        onRefused: (id, error) => keeper.refuse(id, error),
      });
      await keeper.start(runner);
      if (runs) runner.start();
      // Of everything that is kept: nobody waits for it.
      callbacks?.start();
    },
    drain: () => runner?.drain(),
    drained: async () => runner?.whenIdle(),
    stop: async ({ drainMs }) => {
      const isDone = (await runner?.stop({ drainMs })) ?? true;
      await keeper.stop();
      await callbacks?.stop();
      watchers[Symbol.dispose]();
      await queue[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      return isDone;
    },
  };
}

/**
 * Lines that are run at once: what each pipeline runs, and several times as much to choose neighbours in length from while the last
 * and longest lines of a chunk are awaited.
 */
function linesInFlight(options: Options): number {
  const { pipelines, realtimePipelines, bulkPipelines, rowsMax } = options;
  const rows = (pipelines + realtimePipelines + bulkPipelines) * rowsMax;
  return Math.min(linesInFlightMax, Math.max(linesInFlightMin, 16 * rows));
}

const linesInFlightMin = 512;
const linesInFlightMax = 4_096;
