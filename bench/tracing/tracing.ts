/**
 * `npm run bench -- tracing`: what traces cost, as shares of what the same server does without them. A server for each variant, all up at once,
 * asked in turns: off, and exporting with so many of the requests kept.
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { StatusResponse } from "millrace-client/wire";
import { TempDir } from "../../test/support/temp-dir.js";
import { generateLoad, type Load, writeBodies } from "../clients/load.js";
import { beginReport } from "../harness/begin-report.js";
import { finish } from "../harness/finish.js";
import { amountOf, amountsOf, countOf, usual } from "../harness/flags.js";
import { processTimeMs } from "../harness/process-time.js";
import { atLeast, type Report, ratios, under } from "../harness/report.js";
import { inTurns } from "../harness/rounds.js";
import { ServerTree } from "../server-tree.js";
import { readLines, root, takeLines } from "../serving/lines.js";
import { makeTimedModels } from "../timed/timed-models.js";
import { type Collected, KeepingCollector } from "./collector.js";

const usage = `npm run bench -- tracing [flags]
What traces cost: each variant is a server of its own, asked in turns by callers of one sentence each, who wait for their answer.
  --workers KIND   real: the bundled model; instant: workers that answer at once, so that all there is is the front (default: real)
  --kept LIST      shares of the requests whose traces are kept (default: 0,0.01,1)
  --callers N      (default: 32)
  --seconds N      of each measurement (default: 4)
  --rounds N       in which the variants take turns (default: 5)
  --pipelines N    of each server (default: 1)
  --sentences FILE one a line (default: as bench real)
  --json FILE      the figures as JSON`;

const flags = {
  workers: { type: "string", default: "real" },
  kept: { type: "string", default: "0,0.01,1" },
  callers: { type: "string", default: "32" },
  seconds: { type: "string", default: "4" },
  rounds: usual.rounds,
  pipelines: { type: "string", default: "1" },
  sentences: { type: "string" },
  json: usual.json,
  help: { type: "boolean", default: false },
} as const;

interface Settings {
  readonly workers: "real" | "instant";
  readonly callers: number;
  readonly ms: number;
  readonly rounds: number;
  readonly pipelines: number;
  readonly variants: readonly Variant[];
}

/** `ratio`: of callers who say nothing of a trace; null: nothing is exported. */
interface Variant {
  readonly name: string;
  readonly ratio: number | null;
}

/** With the one beside which the others are measured first. */
function variantsOf(kept: readonly number[]): readonly Variant[] {
  const traced = kept.map((ratio) => ({ name: `${100 * ratio}%`, ratio }));
  return [{ name: "off", ratio: null }, ...traced];
}

interface Up extends Variant {
  readonly tree: ServerTree;
  readonly url: string;
  readonly collector: KeepingCollector;
}

/** Spans are sent a second late at most. */
const sentMs = 1_500;

interface Measured extends Load {
  readonly requests: number;
  /** What the server's own process took of the processors for a request; null where the machine does not tell. */
  readonly frontMs: number | null;
  readonly collected: Collected;
  readonly dropped: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const { workers } = values;
  if (workers !== "real" && workers !== "instant")
    throw new Error(`--workers: ${workers} is neither real nor instant`);
  const settings: Settings = {
    workers,
    callers: countOf("callers", values.callers),
    ms: 1_000 * amountOf("seconds", values.seconds),
    rounds: countOf("rounds", values.rounds),
    pipelines: countOf("pipelines", values.pipelines),
    variants: variantsOf(amountsOf("kept", values.kept)),
  };
  const { report, machine } = beginReport("tracing");
  await using dir = await TempDir.make();
  const lines = takeLines(readLines(values.sentences), 0, 1_000);
  const bodies = lines.map((text) => ({ texts: [text] }));
  const bodiesFile = await writeBodies(dir.file("bodies.jsonl"), bodies);
  await bench(report, settings, { dir: dir.path, bodiesFile });
  await finish(report, { machine, facts: { ...settings }, jsonFile: values.json });
}

async function bench(
  report: Report,
  settings: Settings,
  { dir, bodiesFile }: { readonly dir: string; readonly bodiesFile: string },
): Promise<void> {
  const { rounds, callers, ms, workers } = settings;
  report.say(`${workers} workers, ${callers} callers, ${rounds} rounds of ${ms / 1_000} s`);
  const up: Up[] = [];
  try {
    up.push(
      ...(await Promise.all(settings.variants.map((variant) => start(variant, settings, dir)))),
    );
    for (const each of up) await generate(each, settings, { bodiesFile, ms: Math.min(ms, 2_000) });
    await delay(sentMs);
    for (const { collector } of up) collector.take();
    tell(report, await inTurns(up, rounds, (each) => measure(each, settings, bodiesFile)));
  } finally {
    for (const { tree, collector } of up) {
      await tree.kill();
      await collector[Symbol.asyncDispose]();
    }
  }
}

async function start(
  { name, ratio }: Variant,
  { workers, pipelines }: Settings,
  dir: string,
): Promise<Up> {
  const collector = await KeepingCollector.start();
  const models = workers === "real" ? join(root, "models") : await makeTimedModels(join(dir, name));
  const own = { models, port: 0, pipelines, threads: 1, "cache-dir": join(dir, "cache") };
  const traced = ratio === null ? {} : { "otlp-url": collector.url, "trace-sample-ratio": ratio };
  const tree = await ServerTree.start({
    name: `tracing ${name}`,
    script: workers === "real" ? "real" : "timed",
    flags: { ...own, ...traced },
    env: { TIMED_FACTOR: "0" },
  });
  return { name, ratio, tree, url: await tree.ready(), collector };
}

async function generate(
  { url }: Up,
  { callers }: Settings,
  { bodiesFile, ms }: { readonly bodiesFile: string; readonly ms: number },
): Promise<Load> {
  const load = { path: "/v1/translate", itemsOfBody: 1, callers, warmMs: 0, healthPath: null };
  return await generateLoad({ ...load, url, bodiesFile, ms });
}

async function measure(up: Up, settings: Settings, bodiesFile: string): Promise<Measured> {
  const before = await sumsOf(up);
  const load = await generate(up, settings, { bodiesFile, ms: settings.ms });
  const after = await sumsOf(up);
  const requests = after.requests - before.requests;
  const frontMs =
    after.frontMs === null || before.frontMs === null
      ? null
      : (after.frontMs - before.frontMs) / requests;
  const dropped = after.dropped - before.dropped;
  const collected = await collectedOf(up, { requests, dropped });
  return { ...load, requests, frontMs, dropped, collected };
}

/** @throws where one is missing that was kept, and not counted as dropped */
async function collectedOf(
  { name, ratio, collector }: Up,
  { requests, dropped }: { readonly requests: number; readonly dropped: number },
): Promise<Collected> {
  // Until nothing of it is under way, which would be in the way of the next one.
  if ((ratio ?? 0) > 0) await delay(sentMs);
  const collected = collector.take();
  const { servers } = collected;
  const isRight =
    ratio === 1
      ? servers <= requests && servers + dropped >= requests
      : servers <= (ratio ?? 0) * requests + 4 * Math.sqrt(requests);
  if (!isRight || ((ratio ?? 0) === 0 && servers > 0)) {
    throw new Error(`${name}: ${requests} requests, ${servers} traces, ${dropped} spans dropped`);
  }
  return collected;
}

interface Sums {
  readonly requests: number;
  readonly dropped: number;
  readonly frontMs: number | null;
}

async function sumsOf({ url, tree }: Up): Promise<Sums> {
  const status = (await (await fetch(`${url}/status`)).json()) as StatusResponse;
  const page = await (await fetch(`${url}/metrics`)).text();
  const counts = page.matchAll(/^millrace_trace_spans_dropped_total\{.*\} (\d+)$/gm);
  const dropped = [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
  return { requests: status.requests.finished, dropped, frontMs: processTimeMs(tree.pid) };
}

function tell(report: Report, measured: ReadonlyMap<Up, readonly Measured[]>): void {
  const all = [...measured];
  report.table({
    title: "traces, in turns",
    columns: [
      "kept",
      "sentences/s",
      "p50 ms",
      "p99 ms",
      "front: ms of a core a request",
      "spans/s",
      "dropped",
    ],
    rows: all.map(([{ name }, rounds]) => [
      name,
      rounds.map(({ perSecond }) => perSecond),
      rounds.map(({ p50Ms }) => p50Ms),
      rounds.map(({ p99Ms }) => p99Ms),
      rounds.map(({ frontMs }) => frontMs ?? 0),
      rounds.map(({ collected, perSecond, requests }) => (collected.spans * perSecond) / requests),
      rounds.map(({ dropped }) => dropped),
    ]),
  });
  report.say("");
  const [first, ...others] = all;
  const off = first?.[1] ?? [];
  const perSecond = (rounds: readonly Measured[]) => rounds.map((each) => each.perSecond);
  const front = (rounds: readonly Measured[]) => rounds.map((each) => each.frontMs ?? 0);
  for (const [{ name, ratio }, rounds] of others) {
    const target = ratio === 1 ? null : { target: atLeast(0.99) };
    report.add(
      `sentences/s: ${name} kept / off`,
      ratios(perSecond(rounds), perSecond(off)),
      target ?? {},
    );
  }
  for (const [{ name, ratio }, rounds] of others) {
    const target = ratio === 1 ? null : { target: under(1.05) };
    report.add(
      `front, time of a request: ${name} kept / off`,
      ratios(front(rounds), front(off)),
      target ?? {},
    );
  }
}
