/** Where the time of a window went, and what was looked at: the same for a healthy server and for another. */
import { type Figures, figuresOf, shareOf } from "./figures.js";
import { findingCodes } from "./finding-table.js";
import type { DoctorWindow } from "./window.js";
import { count, ms, percent, perSecond } from "./words.js";

export interface Account {
  readonly windowMs: number;
  readonly requests: number;
  readonly items: number;
  readonly itemsPerSecond: number;
  /** Of the time of requests, 0 to 1; all zero where none ended. */
  readonly prepareShare: number;
  readonly queueShare: number;
  readonly computeShare: number;
  /** Of the pipelines' time, 0 to 1. */
  readonly busyShare: number;
  readonly pipelines: number;
  /** Findings that could have been. */
  readonly checks: number;
}

export function accountOf(window: DoctorWindow): Account {
  return ofFigures(figuresOf(window));
}

function ofFigures({ windowMs, finished, items, busyShare, pipelines }: Figures): Account {
  const knownMs = finished.prepareMs + finished.queueMs + finished.computeMs;
  return {
    windowMs,
    requests: finished.finished,
    items: items.done,
    itemsPerSecond: (items.done * 1_000) / windowMs,
    prepareShare: shareOf(finished.prepareMs, knownMs),
    queueShare: shareOf(finished.queueMs, knownMs),
    computeShare: shareOf(finished.computeMs, knownMs),
    busyShare,
    pipelines: pipelines.length,
    checks: findingCodes.length,
  };
}

/** For people, in two lines. */
export function accountText(account: Account): string {
  const { windowMs, requests, items, checks, pipelines } = account;
  const looked = `Looked for ${ms(windowMs)} at ${checks} things that could be wrong: ${count(requests, "request")} ended, ${count(items, "item")} done (${perSecond(items, windowMs, "items")}).`;
  const { prepareShare, queueShare, computeShare, busyShare } = account;
  const shares = `prepare ${percent(prepareShare)}, queue ${percent(queueShare)}, compute ${percent(computeShare)}`;
  const time = requests === 0 ? "No request ended" : `Time of requests: ${shares}`;
  return `${looked}\n${time}; ${count(pipelines, "pipeline")} computed ${percent(busyShare)} of the time.`;
}
