/** What many schedules had in them: a fault that never happened was never tested. */
import { faultKinds } from "./plan.js";
import type { Result } from "./simulate.js";

export interface Totals {
  schedules: number;
  items: number;
  batches: number;
  readonly happened: Record<string, number>;
}

/** All that must have happened somewhere in a long run. */
export const mustHappen: readonly string[] = [
  ...faultKinds,
  "poison",
  "breaks-run",
  "too-large",
  "pause",
  "stop",
  ...[
    "before-the-call",
    "in-the-same-turn",
    "later",
    "when-accepted",
    "at-an-outcome",
    "when-sent",
    "when-running",
    "at-anothers-outcome",
    "callback-throws",
  ].map((moment) => `leave: ${moment}`),
  ...[
    "queue_full",
    "too_many_items",
    "body_too_large",
    "not_ready",
    "model_too_large",
    "model_folder_invalid",
    "draining",
    "cancelled",
    "thrown",
  ].map((how) => `refused or ended: ${how}`),
  ...[
    "value",
    "deadline_exceeded",
    "item_failed",
    "item_poison",
    "worker_lost",
    "input_too_long",
  ].map((outcome) => `outcome: ${outcome}`),
];

export function noTotals(): Totals {
  return { schedules: 0, items: 0, batches: 0, happened: {} };
}

export function add(totals: Totals, more: Pick<Result, "items" | "batches" | "happened">): void {
  totals.schedules += 1;
  totals.items += more.items;
  totals.batches += more.batches;
  addHappened(totals, more.happened);
}

export function addAll(totals: Totals, more: Totals): void {
  totals.schedules += more.schedules;
  totals.items += more.items;
  totals.batches += more.batches;
  addHappened(totals, more.happened);
}

export function neverHappened({ happened }: Totals): string[] {
  return mustHappen.filter((what) => happened[what] === undefined);
}

function addHappened(totals: Totals, happened: Readonly<Record<string, number>>): void {
  for (const [what, times] of Object.entries(happened))
    totals.happened[what] = (totals.happened[what] ?? 0) + times;
}
