/**
 * `npm run bench -- costs`: what it costs a busy server that somebody looks on: open pages, a recording, profiles, traces. Each as a share of
 * what the same load gets where nobody does, all in one run and in turns.
 */
import { parseArgs } from "node:util";
import type { ProfileResponse } from "millrace-client/wire";
import { TempDir } from "../../test/support/temp-dir.js";
import { type Load, translateInTurn, writeBodies } from "../clients/load.js";
import { beginReport } from "../harness/begin-report.js";
import { finish } from "../harness/finish.js";
import { amountOf, amountsOf, countOf, usual } from "../harness/flags.js";
import { type Report, ratios } from "../harness/report.js";
import { inTurns } from "../harness/rounds.js";
import { readLines, takeLines } from "../serving/lines.js";
import type { Collected } from "./collector.js";
import { MeasuredServer, type Sums, type Workers } from "./servers.js";
import { frontTarget, none, tracedWay, untraced, type Way, waysByName } from "./ways.js";

const usage = `npm run bench -- costs [flags]
What it costs a busy server that somebody looks on. Callers of one sentence each wait for their answers; the ways to look on take turns. Traces
have servers of their own, all up at once.
  --ways LIST      of ${Object.keys(waysByName).join(", ")} (default: all of them; - for none)
  --kept LIST      shares of the requests whose traces are kept (default: 0.01,1; - for none)
  --workers KIND   real: the bundled model; instant: workers that answer at once, so that all there is is the front; without operators (default: real)
  --callers N      (default: 32)
  --seconds N      of each measurement (default: 4)
  --warm-seconds N of the same load before, for each server: their first thousands of requests take longer (default: 10)
  --rounds N       in which the ways take turns (default: 5)
  --pipelines N    of each server (default: 1)
  --sentences FILE one a line (default: ${usual.sentences.default})
  --json FILE      the figures as JSON`;

const flags = {
  ways: { type: "string", default: Object.keys(waysByName).join(",") },
  kept: { type: "string", default: "0.01,1" },
  workers: usual.workers,
  callers: { type: "string", default: "32" },
  seconds: { type: "string", default: "4" },
  "warm-seconds": { type: "string", default: "10" },
  rounds: usual.rounds,
  pipelines: usual.pipelines,
  sentences: usual.sentences,
  json: usual.json,
  help: usual.help,
} as const;

interface Settings {
  readonly ways: readonly Way[];
  readonly workers: Workers;
  readonly callers: number;
  readonly ms: number;
  readonly warmMs: number;
  readonly rounds: number;
  readonly pipelines: number;
}

interface Measured {
  readonly load: Load;
  /** Of a core, of the server's own process; null where the machine does not tell. */
  readonly frontMsOfRequest: number | null;
  readonly profile: ProfileResponse | null;
  readonly spansPerSecond: number;
  readonly droppedSpans: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const { workers } = values;
  if (workers !== "real" && workers !== "instant")
    throw new Error(`--workers: ${workers} is neither real nor instant`);
  const kept = values.kept === "-" ? [] : amountsOf("kept", values.kept);
  const asked = waysOf(values.ways);
  const lookedAt = asked.length === 0 ? [] : [none, ...asked];
  const settings: Settings = {
    ways: [...lookedAt, ...(kept.length === 0 ? [] : [untraced, ...kept.map(tracedWay)])],
    workers,
    callers: countOf("callers", values.callers),
    ms: 1_000 * amountOf("seconds", values.seconds),
    warmMs: 1_000 * amountOf("warm-seconds", values["warm-seconds"]),
    rounds: countOf("rounds", values.rounds),
    pipelines: countOf("pipelines", values.pipelines),
  };
  const { report, machine } = beginReport("costs");
  await using dir = await TempDir.make();
  const texts = takeLines(readLines(values.sentences), 0, 1_000);
  const bodies = texts.map((text) => ({ texts: [text] }));
  const bodiesFile = await writeBodies(dir.file("bodies.jsonl"), bodies);
  await bench(report, settings, { dir: dir.path, bodiesFile });
  const facts = { ...settings, ways: settings.ways.map(({ name }) => name) };
  await finish(report, { machine, facts, jsonFile: values.json });
}

function waysOf(list: string): readonly Way[] {
  if (list === "-") return [];
  return list.split(",").map((name) => {
    const way = waysByName[name];
    if (way !== undefined) return way;
    throw new Error(`--ways: ${name} is none of ${Object.keys(waysByName).join(", ")}`);
  });
}

async function bench(
  report: Report,
  settings: Settings,
  { dir, bodiesFile }: { readonly dir: string; readonly bodiesFile: string },
): Promise<void> {
  const { ways, workers, callers, ms, warmMs, rounds } = settings;
  report.say(`${workers} workers, ${callers} callers, ${rounds} rounds of ${ms / 1_000} s`);
  const servers = new Map<string, MeasuredServer>();
  try {
    for (const way of ways)
      if (!servers.has(way.server))
        servers.set(way.server, await MeasuredServer.start(way, { ...settings, dir }));
    const generate = ({ url }: MeasuredServer, loadMs: number): Promise<Load> =>
      translateInTurn({ url, bodiesFile, callers, ms: loadMs });
    for (const server of servers.values()) {
      await generate(server, warmMs);
      await server.forget();
    }
    const measure = async (way: Way): Promise<Measured> => {
      const server = servers.get(way.server);
      if (server === undefined) throw new Error(`${way.name} has no server`);
      return await measured(server, { way, load: () => generate(server, ms) });
    };
    tell(report, await inTurns(ways, rounds, measure));
  } finally {
    for (const server of servers.values()) await server[Symbol.asyncDispose]();
  }
}

async function measured(
  server: MeasuredServer,
  of: { readonly way: Way; readonly load: () => Promise<Load> },
): Promise<Measured> {
  const before = await server.sums();
  const sending = async (): Promise<{ readonly load: Load; readonly after: Sums }> => ({
    load: await of.load(),
    after: await server.sums(),
  });
  let sent: ReturnType<typeof sending> | null = null;
  const send = () => (sent ??= sending());
  const profile = await of.way.look(server.url, send);
  const { load, after } = await send();
  const requests = after.requests - before.requests;
  const droppedSpans = after.droppedSpans - before.droppedSpans;
  const frontMs = (after.frontMs ?? Number.NaN) - (before.frontMs ?? Number.NaN);
  const collected: Collected = await server.collected({ requests, droppedSpans, frontMs: null });
  return {
    load,
    frontMsOfRequest: Number.isNaN(frontMs) ? null : frontMs / requests,
    profile,
    spansPerSecond: (collected.spans * load.perSecond) / requests,
    droppedSpans,
  };
}

function tell(report: Report, measurements: ReadonlyMap<Way, readonly Measured[]>): void {
  const all = [...measurements];
  report.table({
    title: "who looks on, in turns",
    columns: ["way", "sentences/s", "p50 ms", "p99 ms", "front: ms of a core a request"],
    rows: all.map(([{ name }, rounds]) => [
      name,
      rounds.map(({ load }) => load.perSecond),
      rounds.map(({ load }) => load.p50Ms),
      rounds.map(({ load }) => load.p99Ms),
      frontOf(rounds) ?? "",
    ]),
  });
  report.say("");
  const perSecond = (rounds: readonly Measured[]) => rounds.map(({ load }) => load.perSecond);
  const compared = all.flatMap(([way, rounds]) =>
    way.base === null
      ? []
      : [{ way, rounds, base: way.base, beside: measurements.get(way.base) ?? [] }],
  );
  for (const { way, rounds, base, beside } of compared) {
    const shares = ratios(perSecond(rounds), perSecond(beside));
    report.add(`sentences/s: ${way.name} / ${base.name}`, shares, { target: way.target });
  }
  for (const { way, rounds, base, beside } of compared) {
    const [above, below] = [frontOf(rounds), frontOf(beside)];
    if (above === null || below === null) continue;
    const target = frontTarget(way);
    const title = `front, time of a request: ${way.name} / ${base.name}`;
    report.add(title, ratios(above, below), { target });
  }
  for (const [way, rounds] of all) tellMore(report, way, rounds);
}

/** Null where the machine does not tell. */
function frontOf(rounds: readonly Measured[]): readonly number[] | null {
  const each = rounds.map(({ frontMsOfRequest }) => frontMsOfRequest);
  return each.every((ms) => ms !== null) ? each : null;
}

/** What only some ways have: spans, and a thread that stood still. */
function tellMore(report: Report, { name, kept }: Way, rounds: readonly Measured[]): void {
  if (kept !== null) {
    const dropped = rounds.reduce((sum, { droppedSpans }) => sum + droppedSpans, 0);
    const spans = rounds.map(({ spansPerSecond }) => spansPerSecond);
    report.add(`${name}: spans a second (${dropped} dropped)`, spans);
  }
  const profiles = rounds.flatMap(({ profile }) => (profile === null ? [] : [profile]));
  if (profiles.length === 0) return;
  const unit = "ms";
  const startMs = profiles.map(({ stoodStillMs }) => stoodStillMs.start);
  report.add(`${name}: the thread stood still to begin`, startMs, { unit });
  const stopMs = profiles.map(({ stoodStillMs }) => stoodStillMs.stop);
  report.add(`${name}: and to end`, stopMs, { unit });
  const runsOf = (of: "runs" | "watchedRuns") =>
    profiles.map(({ graphs }) => graphs.reduce((sum, graph) => sum + graph[of], 0));
  const watched = runsOf("watchedRuns");
  if (watched.every((runs) => runs === 0)) return;
  report.add(`${name}: runs that were written down`, watched);
  report.add(`${name}: of so many`, runsOf("runs"));
}
