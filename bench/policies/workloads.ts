/** What callers ask for in the simulation: lengths and times, from a fixed seed. */
import type { WorkClass } from "millrace-client/wire";
import { Random } from "../../test/sim/random.js";
import { isBulk, seedsMix } from "../serving/mix-calls.js";

export interface SimCall {
  readonly atMs: number;
  readonly class: WorkClass;
  readonly tenant: string;
  /** Tokens of each item, of its input and of its output. */
  readonly widths: readonly number[];
}

export interface Workload {
  readonly name: string;
  /** In the order of their times. */
  readonly calls: readonly SimCall[];
}

/** Of a caller with a few: those whose latency is shown. */
export const fewItems: number = seedsMix.laterItems;

/** The seeds' `real`: all at once. */
export function realWorkload(callers: number): Workload {
  const random = new Random(callers);
  const calls = Array.from({ length: callers }, (_, at) =>
    callOf(random, { atMs: 0, tenant: at, items: fewItems }),
  );
  return { name: `real ${callers} × ${fewItems}`, calls };
}

/** The seeds' `mix`: a few callers with many come first, then many with a few, all at once or one every `gapMs`. */
export function mixWorkload(of: {
  readonly firstItems: number;
  readonly callers: number;
  readonly gapMs: number;
}): Workload {
  const random = new Random(of.callers);
  const { firstCallers, laterAtMs } = seedsMix;
  const first = Array.from({ length: firstCallers }, (_, at) =>
    callOf(random, { atMs: 0, tenant: at, items: of.firstItems }),
  );
  const later = Array.from({ length: of.callers }, (_, at) =>
    callOf(random, { atMs: laterAtMs + of.gapMs * at, tenant: firstCallers + at, items: fewItems }),
  );
  const when = of.gapMs === 0 ? "at once" : `every ${of.gapMs} ms`;
  const name = `mix ${firstCallers} × ${of.firstItems} + ${of.callers} × ${fewItems} ${when}`;
  return { name, calls: [...first, ...later] };
}

/**
 * Half of the callers queue all of the bulk at once; of the others one comes after the other, by chance, for as long as the bulk is
 * expected to take.
 */
export function crowdWorkload(of: {
  readonly callers: number;
  readonly items: number;
  /** Of all pipelines together. */
  readonly itemsPerSecond: number;
}): Workload {
  const random = new Random(1);
  const realtime = Math.floor(of.callers / 2);
  const bulk = of.callers - realtime;
  const bulkItems = Math.max(bulk, of.items - realtime * fewItems);
  const calls: SimCall[] = [];
  for (let at = 0; at < bulk; at += 1) {
    const items = Math.floor(((at + 1) * bulkItems) / bulk) - Math.floor((at * bulkItems) / bulk);
    calls.push(callOf(random, { atMs: 0, tenant: at, items, class: "bulk" }));
  }
  const gapMs = (1_000 * of.items) / of.itemsPerSecond / Math.max(1, realtime);
  let atMs = 0;
  for (let at = 0; at < realtime; at += 1) {
    atMs += random.gap(gapMs);
    calls.push(callOf(random, { atMs, tenant: bulk + at, items: fewItems }));
  }
  return { name: `${of.callers} callers, ${of.items} items`, calls };
}

function callOf(
  random: Random,
  of: {
    readonly atMs: number;
    readonly tenant: number;
    readonly items: number;
    readonly class?: WorkClass;
  },
): SimCall {
  const widths = Array.from({ length: of.items }, () =>
    Math.min(128, 3 + Math.round(random.gap(17))),
  );
  const workClass = of.class ?? (isBulk(of.items) ? "bulk" : "realtime");
  return { atMs: of.atMs, class: workClass, tenant: `caller ${of.tenant}`, widths };
}
