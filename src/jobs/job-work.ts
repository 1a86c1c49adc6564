/** The store, `Jobs` over it, and what runs them, as one thing that is opened, started, drained and stopped. */
import type { Log } from "../log.js";
import type { Options } from "../options/options.js";
import type { ServerViews } from "../work/views.js";
import type { ChunkQueue } from "./chunk-queue.js";
import { DurableJobs } from "./durable-jobs.js";
import { JobKeeper } from "./job-keeper.js";
import type { CallRoute, Jobs } from "./jobs.js";
import { openJobsClock } from "./jobs-clock.js";
import { Paces } from "./pace.js";
import { JobRunner } from "./runner.js";
import type { JobStore, StoredJob } from "./store.js";
import { Watchers } from "./watchers.js";

export interface OpenJobsParts {
  readonly options: Options;
  readonly views: Pick<ServerViews, "models" | "isDraining">;
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
  const { store, queue, runs = true, options, views, log } = parts;
  const clock = await openJobsClock(store);
  const paces = new Paces();
  const watchers = new Watchers(store);
  const onEnded = ({ id: job, state, progress }: StoredJob): void => {
    const { succeeded, failed } = progress;
    log.info({ job, state, succeeded, failed }, "job ended");
  };
  const keeper = new JobKeeper({ store, queue, clock, paces, log, onEnded });
  const touch = (id: string): void => keeper.touch(id);
  const jobs = new DurableJobs({ store, clock, paces, watchers, options, views, touch });
  let runner: JobRunner | null = null;
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
        onRefused: (id, error) => void keeper.refuse(id, error).catch(() => touch(id)),
      });
      await keeper.start(runner);
      if (runs) runner.start();
    },
    drain: () => runner?.drain(),
    drained: async () => runner?.whenIdle(),
    stop: async ({ drainMs }) => {
      const isDone = (await runner?.stop({ drainMs })) ?? true;
      await keeper.stop();
      watchers[Symbol.dispose]();
      await queue[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      return isDone;
    },
  };
}

/** Lines that are run at once: each pipeline has what it runs, and as much again to choose neighbours in length from. */
function linesInFlight(options: Options): number {
  const { pipelines, realtimePipelines, bulkPipelines, rowsMax } = options;
  const rows = (pipelines + realtimePipelines + bulkPipelines) * rowsMax;
  return Math.min(linesInFlightMax, Math.max(linesInFlightMin, 4 * rows));
}

const linesInFlightMin = 256;
const linesInFlightMax = 8_192;
