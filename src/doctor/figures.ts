/**
 * What rules look at: a window, reckoned once. All figures are finite, whatever the status says: what an older server does not
 * tell is zero or null, and what a server told that was started anew in between counts from that start.
 */
import {
  type ErrorCode,
  type FinishedRequests,
  type LiveSample,
  type NodeStatus,
  type StatusResponse,
  type WorkClass,
  workClasses,
} from "millrace-client/wire";
import { type ModelFigures, modelFiguresOf } from "./model-figures.js";
import { type PipelineFigures, pipelineFiguresOf } from "./pipeline-figures.js";
import { type DoctorWindow, grownBy, grownSums } from "./window.js";

export interface ClassFigures {
  /** Requests that had all their outcomes in the window, and what they took together. */
  readonly finished: number;
  readonly prepareMs: number;
  readonly queueMs: number;
  readonly computeMs: number;
  readonly totalMs: number;
  /** Queued at the end, over all models. */
  readonly queuedItems: number;
  readonly queuedRequests: number;
  readonly oldestWaitMs: number;
  /** Share of the looks in which something was queued, 0 to 1. */
  readonly queuedShare: number;
  /** Of all requests of the last minute. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Items in the half of a window: what came, what ended, and by how much the queue grew. */
export interface HalfFigures {
  readonly arrivedItems: number;
  readonly endedItems: number;
  readonly grownItems: number;
}

/** Of codes that this doctor knows; a newer server may tell others, which no rule asks for. */
type CountsByCode = Readonly<Partial<Record<ErrorCode, number>>>;

export interface Figures {
  readonly before: StatusResponse;
  readonly after: StatusResponse;
  readonly samples: readonly LiveSample[];
  /** More than 0. */
  readonly windowMs: number;
  /** The server was started anew in between, and all figures are since then. */
  readonly isRestarted: boolean;
  readonly classes: Readonly<Record<WorkClass, ClassFigures>>;
  /** Both classes together. */
  readonly finished: Pick<
    ClassFigures,
    "finished" | "prepareMs" | "queueMs" | "computeMs" | "totalMs"
  >;
  readonly items: Readonly<Record<"accepted" | "done" | "failed" | "retried", number>>;
  /** Share of the requests of pipelines here that no other was beside, from arrival to end; null: not told. */
  readonly aloneShare: number | null;
  readonly halves: readonly [HalfFigures, HalfFigures];
  /** Requests that were refused whole, and items that failed, by code. */
  readonly refusals: CountsByCode;
  readonly failures: CountsByCode;
  readonly pipelines: readonly PipelineFigures[];
  /** Share of the time that pipelines computed, 0 to 1, on the mean. */
  readonly busyShare: number;
  /** Share of the looks in which a pipeline had work, 0 to 1, on the mean. */
  readonly occupiedShare: number;
  readonly models: readonly ModelFigures[];
  /** Of the event loop; null: not told. */
  readonly loopShare: number | null;
  readonly cpuShare: number | null;
  readonly nats: string | null;
  /** At the end, and those of them that were there at the beginning, as they were then. */
  readonly nodes: readonly NodeStatus[];
  readonly nodesBefore: ReadonlyMap<string, NodeStatus>;
}

const windowMsMin = 1;

export function figuresOf(window: DoctorWindow): Figures {
  const isRestarted = isAnew(window);
  const after = window.after.status;
  const before = isRestarted ? nothingYet(after) : window.before.status;
  const windowMs = lengthOf(window, isRestarted);
  const samples = sinceStart(window.samples);
  const pipelines = pipelineFiguresOf({ before, after, samples, windowMs });
  const classes = Object.fromEntries(
    workClasses.map((each) => [each, classFigures({ before, after, samples }, each)]),
  ) as Record<WorkClass, ClassFigures>;
  const ofPipelines = (value: (one: PipelineFigures) => number): number =>
    mean(pipelines.map(value));
  return {
    before,
    after,
    samples,
    windowMs,
    isRestarted,
    classes,
    finished: together(classes),
    items: grownSums(before.items, after.items, ["accepted", "done", "failed", "retried"]),
    aloneShare: aloneShareOf(before, after),
    halves: halvesOf(samples),
    refusals: grownByCode(before.refusals, after.refusals),
    failures: grownByCode(before.failures, after.failures),
    pipelines,
    busyShare: ofPipelines(({ busyShare }) => busyShare),
    occupiedShare: ofPipelines(({ occupiedShare }) => occupiedShare),
    models: modelFiguresOf({ before, after, pipelines }),
    ...processShares({ before, after, windowMs }),
    ...nodesOf(window, isRestarted),
  };
}

export function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** 0 to 1; 0 where there is nothing to share. */
export function shareOf(part: number, whole: number): number {
  return whole > 0 ? Math.min(1, Math.max(0, part / whole)) : 0;
}

/** The middle one, the lower of two; 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}

/** By the server's own time where that tells: the clock of either machine may be set meanwhile. */
function lengthOf({ before, after }: DoctorWindow, isRestarted: boolean): number {
  const seenMs = after.atMs - before.atMs;
  const { uptimeMs } = after.status;
  const ranMs = isRestarted ? uptimeMs : uptimeMs - before.status.uptimeMs;
  if (ranMs <= 0) return Math.max(windowMsMin, seenMs);
  return Math.max(windowMsMin, isRestarted && seenMs > 0 ? Math.min(seenMs, ranMs) : ranMs);
}

function isAnew({ before, after }: DoctorWindow): boolean {
  const [was, is] = [before.status, after.status];
  return is.process.pid !== was.process.pid || is.uptimeMs < was.uptimeMs;
}

/** A server as it was before it did anything. */
function nothingYet(status: StatusResponse): StatusResponse {
  const none = { accepted: 0, finished: 0, cancelled: 0, done: 0, failed: 0, retried: 0 };
  const { finished: _, refusals: _refusals, failures: _failures, ...rest } = status;
  return {
    ...rest,
    uptimeMs: 0,
    pipelines: status.pipelines.map((each) => ({ ...each, restarts: 0, work: [] })),
    models: status.models.map((each) => ({ ...each, loads: 0, evictions: 0, loadFailures: 0 })),
    queues: [],
    requests: { ...none, refused: 0, active: 0 },
    items: none,
    process: { ...status.process, cpuMs: 0, eventLoopActiveMs: 0 },
    ...(status.jobs && { jobs: { ...status.jobs, commits: 0, commitMs: 0 } }),
  };
}

/** Those behind the last one whose sums went backwards. */
function sinceStart(samples: readonly LiveSample[]): readonly LiveSample[] {
  const last = samples.findLastIndex(
    ({ items }, at) => items.accepted < (samples[at - 1]?.items.accepted ?? 0),
  );
  return samples.slice(Math.max(0, last));
}

const noneFinished: FinishedRequests = {
  count: 0,
  prepareMs: 0,
  queueMs: 0,
  computeMs: 0,
  totalMs: 0,
  p50Ms: 0,
  p99Ms: 0,
};

function classFigures(
  { before, after, samples }: Pick<Figures, "before" | "after" | "samples">,
  workClass: WorkClass,
): ClassFigures {
  const was = before.finished?.[workClass] ?? noneFinished;
  const is = after.finished?.[workClass] ?? noneFinished;
  const queues = after.queues.filter((queue) => queue.class === workClass);
  const queued = samples.filter(({ classes }) => (classes[workClass]?.queuedItems ?? 0) > 0);
  return {
    finished: grownBy(was.count, is.count),
    ...grownSums(was, is, ["prepareMs", "queueMs", "computeMs", "totalMs"]),
    queuedItems: queues.reduce((sum, { items }) => sum + items, 0),
    queuedRequests: queues.reduce((sum, { requests }) => sum + requests, 0),
    oldestWaitMs: Math.max(0, ...queues.map(({ oldestWaitMs }) => oldestWaitMs)),
    queuedShare: shareOf(queued.length, samples.length),
    p50Ms: is.p50Ms,
    p99Ms: is.p99Ms,
  };
}

function together({ realtime, bulk }: Figures["classes"]): Figures["finished"] {
  return {
    finished: realtime.finished + bulk.finished,
    prepareMs: realtime.prepareMs + bulk.prepareMs,
    queueMs: realtime.queueMs + bulk.queueMs,
    computeMs: realtime.computeMs + bulk.computeMs,
    totalMs: realtime.totalMs + bulk.totalMs,
  };
}

function aloneShareOf(before: StatusResponse, after: StatusResponse): number | null {
  const { alone, finished } = after.requests;
  if (alone === undefined) return null;
  const ended = grownBy(before.requests.finished, finished);
  return shareOf(grownBy(before.requests.alone ?? 0, alone), ended);
}

/** Only what grew. */
function grownByCode(
  before: Readonly<Record<string, number>> = {},
  after: Readonly<Record<string, number>> = {},
): CountsByCode {
  const sums = Object.entries(after).map(
    ([code, count]) => [code, grownBy(before[code] ?? 0, count)] as const,
  );
  return Object.fromEntries(sums.filter(([, count]) => count > 0));
}

function halvesOf(samples: readonly LiveSample[]): Figures["halves"] {
  const [first, last] = [samples[0], samples.at(-1)];
  const middle = samples[Math.floor(samples.length / 2)];
  return [halfOf(first, middle), halfOf(middle, last)];
}

function halfOf(from: LiveSample | undefined, to: LiveSample | undefined): HalfFigures {
  if (from === undefined || to === undefined)
    return { arrivedItems: 0, endedItems: 0, grownItems: 0 };
  const ended = ({ items }: LiveSample): number => items.done + items.failed + items.cancelled;
  const queued = ({ classes }: LiveSample): number =>
    workClasses.reduce((sum, each) => sum + (classes[each]?.queuedItems ?? 0), 0);
  return {
    arrivedItems: grownBy(from.items.accepted, to.items.accepted),
    endedItems: grownBy(ended(from), ended(to)),
    grownItems: queued(to) - queued(from),
  };
}

function processShares({
  before,
  after,
  windowMs,
}: Pick<Figures, "before" | "after" | "windowMs">): Pick<Figures, "loopShare" | "cpuShare"> {
  const share = (key: "eventLoopActiveMs" | "cpuMs"): number | null => {
    const [was, is] = [before.process[key], after.process[key]];
    return was === undefined || is === undefined ? null : grownBy(was, is) / windowMs;
  };
  return { loopShare: share("eventLoopActiveMs"), cpuShare: share("cpuMs") };
}

function nodesOf(
  { before, after }: DoctorWindow,
  isRestarted: boolean,
): Pick<Figures, "nats" | "nodes" | "nodesBefore"> {
  const was = isRestarted ? [] : (before.nodes?.nodes ?? []);
  return {
    nats: after.nodes?.nats ?? null,
    nodes: after.nodes?.nodes ?? [],
    nodesBefore: new Map(was.map((node) => [node.instance, node])),
  };
}
