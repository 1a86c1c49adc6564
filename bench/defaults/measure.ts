/** What is measured of a server: bulk while enough of it always waits, and single sentences that come by chance, beside it and alone. */
import { setTimeout as delay } from "node:timers/promises";
import { byChance } from "../harness/arrivals.js";
import { holdLoad } from "../harness/open-loop.js";
import { takeLines } from "../serving/lines.js";
import type { CallFields, Wave } from "../serving/wave.js";
import { readMetric, untilMetrics } from "./metrics.js";
import type { Up } from "./up.js";

export interface Work {
  readonly lines: readonly string[];
  readonly fields: CallFields;
  /** Of a measurement. */
  readonly ms: number;
  /** Sentences of a bulk request; several of them wait at once. */
  readonly bulkItems: number;
}

/** As many are sent at once, and given up when the measurement is over. */
const bulkRequests = 8;

/** Sentences. */
export async function bulkPerSecond(up: Up, work: Work): Promise<number> {
  return await besideBulk(up, work, async () => await endedPerSecond(up, work.ms));
}

export interface Realtime {
  readonly wave: Wave;
  readonly latenciesMs: readonly number[];
}

export interface Asked {
  readonly perSecond: number;
  /** The same for all that are compared in a round. */
  readonly seed: number;
}

export async function realtimeBesideBulk(up: Up, work: Work, asked: Asked): Promise<Realtime> {
  return await besideBulk(up, work, async () => await realtime(up, work, asked));
}

export async function realtime(up: Up, work: Work, { perSecond, seed }: Asked): Promise<Realtime> {
  const calls = byChance({ perSecond, ms: work.ms, seed }).map((dueMs, at) => {
    const fields = { ...work.fields, class: "realtime" as const };
    return { dueMs, texts: takeLines(work.lines, at, 1), fields };
  });
  if (calls.length === 0) throw new Error("nobody came: measure for longer, or at a higher rate");
  const wave = await up.ask(calls);
  return { wave, latenciesMs: wave.answered.map(({ ms }) => ms) };
}

/** @throws where the bulk came to its end before the measurement did */
async function besideBulk<Value>(
  up: Up,
  { lines, fields, bulkItems }: Work,
  measure: () => Promise<Value>,
): Promise<Value> {
  const { url } = up;
  const waiting = async () => await readMetric(url, "millrace_queue_items", 'class="bulk"');
  const arrivals = Array.from({ length: bulkRequests }, (_, at) => {
    const texts = takeLines(lines, at * bulkItems, bulkItems);
    return { dueMs: 0, body: JSON.stringify({ ...fields, class: "bulk", texts }) };
  });
  const path = "/v1/translate";
  let value: Value;
  {
    const load = { url, path, arrivals, connections: bulkRequests, replies: false };
    await using _bulk = holdLoad(load);
    // Reading and tokenising it is no part of what is measured.
    const most = (await bulkEnded(url)) + 0.75 * bulkRequests * bulkItems;
    const come = async () => (await itemsInside(url)) + (await bulkEnded(url));
    await untilMetrics("most of the bulk", async () => (await come()) >= most);
    value = await measure();
    if ((await waiting()) === 0) throw new Error(`${up.name}: the bulk ran out; send more of it`);
  }
  await untilMetrics("an idle server", async () => (await itemsInside(url)) === 0);
  return value;
}

/** From one moment at which items end to another: those that began together end together. */
async function endedPerSecond({ url, name }: Up, ms: number): Promise<number> {
  const next = async (): Promise<{ readonly atMs: number; readonly ended: number }> => {
    const before = await bulkEnded(url);
    await untilMetrics(`${name} to end an item`, async () => (await bulkEnded(url)) > before);
    return { atMs: performance.now(), ended: await bulkEnded(url) };
  };
  const first = await next();
  await delay(ms);
  const last = await next();
  return (1_000 * (last.ended - first.ended)) / (last.atMs - first.atMs);
}

async function bulkEnded(url: string): Promise<number> {
  return await readMetric(url, "millrace_items_total", 'class="bulk"', 'outcome="done"');
}

async function itemsInside(url: string): Promise<number> {
  const held = await readMetric(url, "millrace_pipeline_items_in_flight");
  return held + (await readMetric(url, "millrace_queue_items"));
}
