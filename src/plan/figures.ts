/** Latency and throughput by class: reckoned alike of what was replayed and of what really happened. */
import { type WorkClass, workClasses } from "millrace-client/wire";
import { sortedAt } from "../metrics/sorted-at.js";

export interface EndedCall {
  readonly class: WorkClass;
  readonly atMs: number;
  readonly endMs: number;
  readonly items: number;
  /** Null: it was answered. */
  readonly code: string | null;
}

export interface CallFigures {
  readonly answered: number;
  /** Let in, and not answered: cancelled, or over their deadline. */
  readonly failed: number;
  /** From arrival to the last result, of those that were answered. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly meanMs: number;
  /** Of those that were answered within the time of the recording. */
  readonly itemsPerSecond: number;
}

/** Those that had requests. */
export type FiguresByClass = Readonly<Partial<Record<WorkClass, CallFigures>>>;

export function callFiguresOf(ended: readonly EndedCall[], lengthMs: number): FiguresByClass {
  const all: Partial<Record<WorkClass, CallFigures>> = {};
  for (const workClass of workClasses) {
    const own = ended.filter((call) => call.class === workClass);
    if (own.length > 0) all[workClass] = figuresOfClass(own, lengthMs);
  }
  return all;
}

function figuresOfClass(ended: readonly EndedCall[], lengthMs: number): CallFigures {
  const answered = ended.filter(({ code }) => code === null);
  const ms = Float64Array.from(answered, ({ atMs, endMs }) => endMs - atMs).sort();
  let items = 0;
  for (const call of answered) if (call.endMs <= lengthMs) items += call.items;
  let sumMs = 0;
  for (const each of ms) sumMs += each;
  return {
    answered: answered.length,
    failed: ended.length - answered.length,
    p50Ms: sortedAt(ms, 0.5),
    p99Ms: sortedAt(ms, 0.99),
    meanMs: ms.length === 0 ? 0 : sumMs / ms.length,
    itemsPerSecond: lengthMs > 0 ? (1_000 * items) / lengthMs : 0,
  };
}
