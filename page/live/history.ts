/** The last two minutes, second by second: what happened between each two samples of the server. */
import type { LiveSample, PipelineState, WorkClass } from "millrace-client/wire";

export const secondsMax = 120;

/** Between two samples. Rates are a second's. */
export interface Second {
  readonly atMs: number;
  readonly itemsPerSecond: number;
  /** What the runs took in, by model; those that ran. What it is counted in, `ModelStatus` says. */
  readonly unitsPerSecond: ReadonlyMap<string, number>;
  readonly failedPerSecond: number;
  readonly refusedPerSecond: number;
  readonly classes: Readonly<Record<WorkClass, ClassSecond>>;
  readonly rssBytes: number;
  readonly queuedBytes: number;
  readonly pipelines: ReadonlyMap<string, PipelineSecond>;
}

export interface ClassSecond {
  readonly finishedPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly queuedItems: number;
}

export interface PipelineSecond {
  readonly state: PipelineState;
  /** It lost its process, or got another one. */
  readonly hasRestarted: boolean;
  /** Share of the time that runs of a model took, 0 to 1; the models that ran. */
  readonly busy: ReadonlyMap<string, number>;
  readonly runs: number;
  readonly rows: number;
  readonly units: number;
  readonly paddedUnits: number;
}

/** Oldest first, `secondsMax` at most. */
export class History {
  #last: LiveSample | null = null;
  #seconds: readonly Second[] = [];

  get seconds(): readonly Second[] {
    return this.#seconds;
  }

  restart(samples: readonly LiveSample[]): void {
    this.#last = null;
    this.#seconds = [];
    for (const sample of samples) this.add(sample);
  }

  add(sample: LiveSample): void {
    const last = this.#last;
    if (last !== null && sample.atMs <= last.atMs) return;
    this.#last = sample;
    // A server that was started again counts from nothing.
    if (last === null || sample.items.accepted < last.items.accepted) return;
    this.#seconds = [...this.#seconds, between(last, sample)].slice(-secondsMax);
  }
}

function between(from: LiveSample, to: LiveSample): Second {
  const seconds = (to.atMs - from.atMs) / 1_000;
  const before = new Map(from.pipelines.map((each) => [each.pipelineId, each]));
  const pipelines = new Map(
    to.pipelines.map((each) => [
      each.pipelineId,
      pipelineBetween(before.get(each.pipelineId), each, seconds),
    ]),
  );
  return {
    atMs: to.atMs,
    itemsPerSecond: (to.items.done - from.items.done) / seconds,
    unitsPerSecond: unitsBetween(from, to, seconds),
    failedPerSecond: (to.items.failed - from.items.failed) / seconds,
    refusedPerSecond: (to.requests.refused - from.requests.refused) / seconds,
    classes: {
      realtime: classBetween(from.classes.realtime, to.classes.realtime, seconds),
      bulk: classBetween(from.classes.bulk, to.classes.bulk, seconds),
    },
    rssBytes: to.rssBytes,
    queuedBytes: to.queuedBytes,
    pipelines,
  };
}

function unitsBetween(from: LiveSample, to: LiveSample, seconds: number): Map<string, number> {
  const sums = new Map<string, number>();
  const add = (sample: LiveSample, sign: number): void => {
    for (const { work } of sample.pipelines)
      for (const { model, units } of work) sums.set(model, (sums.get(model) ?? 0) + sign * units);
  };
  add(to, 1);
  add(from, -1);
  return new Map(
    [...sums].flatMap(([model, units]) => (units > 0 ? [[model, units / seconds]] : [])),
  );
}

type LiveClass = LiveSample["classes"][WorkClass];

function classBetween(from: LiveClass, to: LiveClass, seconds: number): ClassSecond {
  const { p50Ms, p99Ms, queuedItems } = to;
  return { finishedPerSecond: (to.finished - from.finished) / seconds, p50Ms, p99Ms, queuedItems };
}

type LivePipeline = LiveSample["pipelines"][number];

function pipelineBetween(
  from: LivePipeline | undefined,
  to: LivePipeline,
  seconds: number,
): PipelineSecond {
  const before = new Map(from?.work.map((each) => [each.model, each]));
  const busy = new Map<string, number>();
  const sums = { runs: 0, rows: 0, units: 0, paddedUnits: 0 };
  // One that was not there before has done its work before it was seen.
  for (const work of from === undefined ? [] : to.work) {
    const { ms, runs, rows, units, paddedUnits } = before.get(work.model) ?? nothing;
    if (work.runs === runs) continue;
    busy.set(work.model, Math.min(1, (work.ms - ms) / (seconds * 1_000)));
    sums.runs += work.runs - runs;
    sums.rows += work.rows - rows;
    sums.units += work.units - units;
    sums.paddedUnits += work.paddedUnits - paddedUnits;
  }
  const hasRestarted =
    from !== undefined &&
    (to.restarts > from.restarts || (isDown(to.state) && !isDown(from.state)));
  return { state: to.state, hasRestarted, busy, ...sums };
}

const nothing = { ms: 0, runs: 0, rows: 0, units: 0, paddedUnits: 0 };

/** It has no process that takes work. */
export function isDown(state: PipelineState): boolean {
  return state === "backing-off" || state === "stopped" || state === "starting";
}

export interface PipelineSums {
  readonly runs: number;
  readonly rowsPerRun: number;
  /** Of what the runs took in, the share that was padding, 0 to 1. */
  readonly padding: number;
  /** 0 to 1. */
  readonly busy: number;
}

/** Of the seconds together. */
export function sumsOf(seconds: readonly Second[], pipelineId: string): PipelineSums {
  let [runs, rows, units, paddedUnits, busy] = [0, 0, 0, 0, 0];
  for (const { pipelines } of seconds) {
    const second = pipelines.get(pipelineId);
    if (second === undefined) continue;
    runs += second.runs;
    rows += second.rows;
    units += second.units;
    paddedUnits += second.paddedUnits;
    for (const share of second.busy.values()) busy += share;
  }
  return {
    runs,
    rowsPerRun: runs === 0 ? 0 : rows / runs,
    padding: paddedUnits === 0 ? 0 : 1 - units / paddedUnits,
    busy: seconds.length === 0 ? 0 : Math.min(1, busy / seconds.length),
  };
}

/** Of the last so many seconds. */
export function lately(
  seconds: readonly Second[],
  of: (second: Second) => number,
  count = 5,
): number {
  const last = seconds.slice(-count);
  return last.length === 0 ? 0 : last.reduce((sum, each) => sum + of(each), 0) / last.length;
}
