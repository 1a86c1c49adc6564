/** The store, `Jobs` over it, and what runs them, as one thing that is opened, started, drained and stopped. */
import type { JobStoreStatus, WireError } from "millrace-client/wire";
import { type Access, openAccess } from "../access/access.js";
import type { Log } from "../log.js";
import type { Metrics } from "../metrics/metrics.js";
import { usualRowsMax } from "../models/engine-definition.js";
import type { Options } from "../options/options.js";
import type { ServerViews } from "../work/views.js";
import type { ChunkQueue } from "./chunk-queue.js";
import { DurableJobs, type DurableJobsOptions } from "./durable-jobs.js";
import { JobDoor } from "./job-door.js";
import { openEndings } from "./job-endings.js";
import { JobKeeper } from "./job-keeper.js";
import { leaveWhatIsOver, writeRefusal } from "./job-leaver.js";
import type { CallRoute, Jobs } from "./jobs.js";
import { openJobsClock } from "./jobs-clock.js";
import { Paces } from "./pace.js";
import { JobRunner } from "./runner.js";
import type { JobStore, StoredCaller } from "./store.js";
import { Watchers } from "./watchers.js";

export interface OpenJobsParts {
  readonly metrics: Pick<Metrics, "jobsFrom">;
  readonly options: Options;
  readonly views: Pick<ServerViews, "models" | "isDraining" | "nodes">;
  /** Whose key is gone, and what a key has left. Default: nobody is asked for one. */
  readonly keys?: Pick<Access, "isOpen" | "standing" | "takeForJob" | "giveBack" | "hasCounted">;
  readonly log: Log;
}

export interface JobWorkParts extends OpenJobsParts {
  /** Both are closed with it. */
  readonly store: JobStore;
  readonly queue: ChunkQueue;
  /** False: others of the deployment run them. Default: true. */
  readonly runs?: boolean;
  /** False: what becomes of jobs is for others of the deployment, and so is whoever asks for them. Default: true. */
  readonly keeps?: boolean;
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
  const { store, queue, runs = true, keeps = true, options, views, log, metrics } = parts;
  const { keys = openAccess } = parts;
  const clock = await openJobsClock(store);
  const paces = new Paces();
  const watchers = new Watchers(store);
  const endings = await openEndings(options, { store, clock, log, keys });
  const isRevoked = (caller: StoredCaller): boolean => keys.standing(caller) === "revoked";
  const kept = { store, queue, clock, paces, log };
  const keeper = keeps ? new JobKeeper({ ...kept, isRevoked, ...endings.heard }) : null;
  const touch = (id: string): void => keeper?.touch(id);
  let runner: JobRunner | null = null;
  let leaving: Disposable | null = null;
  const underWay: DurableJobsOptions["underWay"] = () => ({
    isKnown: keeper?.hasLooked ?? true,
    open: keeper === null ? null : [...keeper.open.values()].reduce((sum, count) => sum + count, 0),
    runningChunks: runner?.chunksInFlight ?? 0,
    ...commitsOf(runner),
  });
  const { returns } = endings;
  const door = new JobDoor({ store, keys, returns, options });
  const seen = { store, clock, paces, watchers, door, returns, options, views };
  const jobs = new DurableJobs({ ...seen, touch, underWay });
  const refuse = (id: string, error: WireError): void => {
    if (keeper !== null) return keeper.refuse(id, error);
    // Where it cannot be written the chunk comes back, and is refused again.
    writeRefusal(store, id, error).catch(() => undefined);
  };
  metrics.jobsFrom(() => {
    const { commits, commitMs: _, ...lines } = runner?.kept ?? nothingKept;
    const chunksInFlight = runner?.chunksInFlight ?? 0;
    const usage = { ...store.usage(), isThere: store.reason() === null };
    const open = keeper?.open ?? new Map();
    return { open, ended: endings.counts, lines, commits, chunksInFlight, store: usage };
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
        linesMax: linesInFlight(options),
        timeoutMs: options.requestTimeoutMsMax,
        onChange: touch,
        onRefused: refuse,
      });
      if (keeper === null) leaving = leaveWhatIsOver(runner, { store, clock, log });
      await keeper?.start(runner);
      if (runs) runner.start();
      // Of everything that is kept: nobody waits for it.
      if (keeps) endings.start();
    },
    drain: () => runner?.drain(),
    drained: async () => runner?.whenIdle(),
    stop: async ({ drainMs }) => {
      const isDone = (await runner?.stop({ drainMs })) ?? true;
      await keeper?.stop();
      leaving?.[Symbol.dispose]();
      await endings.stop();
      watchers[Symbol.dispose]();
      await queue[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      return isDone;
    },
  };
}

const nothingKept: JobRunner["kept"] = { commits: 0, commitMs: 0, done: 0, failed: 0 };

function commitsOf(
  runner: JobRunner | null,
): Required<Pick<JobStoreStatus, "commits" | "commitMs">> {
  const { commits, commitMs } = runner?.kept ?? nothingKept;
  return { commits, commitMs };
}

/**
 * Lines that are run at once: what each pipeline runs, and several times as much to choose neighbours in length from while the last
 * and longest lines of a chunk are awaited. A line is a row for each of its beams: a model that runs more rows than is usual runs no more
 * lines.
 */
function linesInFlight(options: Options): number {
  const { pipelines, realtimePipelines, bulkPipelines, rowsMax } = options;
  const all = pipelines + realtimePipelines + bulkPipelines;
  const rows = all * (rowsMax ?? usualRowsMax);
  return Math.min(linesInFlightMax, Math.max(linesInFlightMin, 16 * rows));
}

const linesInFlightMin = 512;
const linesInFlightMax = 4_096;
