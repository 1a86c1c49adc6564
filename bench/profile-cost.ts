/**
 * `npm run bench -- profile-cost`: what a profile costs the server that it is taken of, as shares of what the same server does without one,
 * in turns. And why a profile's start holds a thread up: V8 looks at every object and every function that is there.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compileFunction } from "node:vm";
import { Millrace } from "millrace-client";
import type { ProfileResponse } from "millrace-client/wire";
import { rootFrame } from "#src/profile/call-tree.js";
import { CpuSampler } from "#src/profile/cpu-sampler.js";
import { TempDir } from "../test/support/temp-dir.js";
import { generateLoad, type Load, writeBodies } from "./clients/load.js";
import { beginReport } from "./harness/begin-report.js";
import { finish } from "./harness/finish.js";
import { countOf, usual } from "./harness/flags.js";
import { type Report, ratios } from "./harness/report.js";
import { inTurns } from "./harness/rounds.js";
import { ServerTree } from "./server-tree.js";
import { readLines, root, takeLines } from "./serving/lines.js";

const usage = `npm run bench -- profile-cost [flags]
What a profile costs a busy server: of its own thread, of its pipeline, and of that with the runtime's operators, beside none; in turns, on one
server, asked by callers of one sentence each. Then what the start of a profiler takes in this process, beside more objects and functions.
  --callers N      (default: 32)
  --seconds N      of each measurement, and of its profile; whole (default: 5)
  --rounds N       in which they take turns (default: 3)
  --objects N      more in the heap of this process, and functions: a twentieth of it (default: 400000)
  --sentences FILE one a line (default: as bench real)
  --json FILE      the figures as JSON`;

const flags = {
  callers: { type: "string", default: "32" },
  seconds: { type: "string", default: "5" },
  rounds: usual.fewRounds,
  objects: { type: "string", default: "400000" },
  sentences: { type: "string" },
  json: usual.json,
  help: usual.help,
} as const;

interface Settings {
  readonly callers: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly objects: number;
}

interface Way {
  readonly name: string;
  /** Null: no profile. */
  readonly asked: { readonly of: string; readonly operators: boolean } | null;
}

const none: Way = { name: "none", asked: null };
const ways: readonly Way[] = [
  none,
  { name: "front", asked: { of: "front", operators: false } },
  { name: "pipeline", asked: { of: "shared-1", operators: false } },
  { name: "pipeline, operators", asked: { of: "shared-1", operators: true } },
];

interface Measured {
  readonly load: Load;
  readonly profile: ProfileResponse | null;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const settings: Settings = {
    callers: countOf("callers", values.callers),
    seconds: countOf("seconds", values.seconds),
    rounds: countOf("rounds", values.rounds),
    objects: countOf("objects", values.objects),
  };
  const { report, machine } = beginReport("profile-cost");
  {
    await using dir = await TempDir.make();
    const texts = takeLines(readLines(values.sentences), 0, 1_000);
    const bodies = texts.map((text) => ({ texts: [text] }));
    const bodiesFile = await writeBodies(dir.file("bodies.jsonl"), bodies);
    await ofServer(report, settings, { dir: dir.path, bodiesFile });
  }
  ofStart(report, settings);
  await finish(report, { machine, facts: { ...settings }, jsonFile: values.json });
}

async function ofServer(
  report: Report,
  settings: Settings,
  { dir, bodiesFile }: { readonly dir: string; readonly bodiesFile: string },
): Promise<void> {
  const { callers, seconds, rounds } = settings;
  report.say(`${callers} callers, ${rounds} rounds of ${seconds} s`);
  const served = { models: join(root, "models"), "cache-dir": join(dir, "cache") };
  await using tree = await ServerTree.start({
    name: "profile-cost",
    script: "real",
    flags: { ...served, port: 0, pipelines: 1, threads: 1 },
  });
  const url = await tree.ready();
  await using client = new Millrace(url);
  const generate = (ms: number): Promise<Load> => {
    const load = { path: "/v1/translate", itemsOfBody: 1, warmMs: 0, healthPath: null };
    return generateLoad({ ...load, url, bodiesFile, callers, ms });
  };
  await generate(Math.min(2_000, 1_000 * seconds));
  const measured = await inTurns(ways, rounds, async ({ asked }): Promise<Measured> => {
    const taking = asked === null ? null : client.profile({ ...asked, seconds });
    const load = await generate(1_000 * seconds);
    return { load, profile: await taking };
  });
  tell(report, measured);
}

function tell(report: Report, measured: ReadonlyMap<Way, readonly Measured[]>): void {
  const all = [...measured];
  const profiles = (rounds: readonly Measured[]) =>
    rounds.flatMap(({ profile }) => (profile === null ? [] : [profile]));
  report.table({
    title: "profiles, in turns",
    columns: ["profile", "sentences/s", "p99 ms", "stood still to begin, ms", "to end, ms"],
    rows: all.map(([{ name, asked }, rounds]) => [
      name,
      rounds.map(({ load }) => load.perSecond),
      rounds.map(({ load }) => load.p99Ms),
      asked === null ? "" : profiles(rounds).map(({ stoodStillMs }) => stoodStillMs.start),
      asked === null ? "" : profiles(rounds).map(({ stoodStillMs }) => stoodStillMs.stop),
    ]),
  });
  report.say("");
  const perSecond = (rounds: readonly Measured[]) => rounds.map(({ load }) => load.perSecond);
  for (const [{ name, asked }, rounds] of all) {
    if (asked !== null) {
      const shares = ratios(perSecond(rounds), perSecond(measured.get(none) ?? []));
      report.add(`sentences/s: ${name} / none`, shares);
    }
    if (asked?.operators === true) tellGraphs(report, profiles(rounds));
  }
}

function tellGraphs(report: Report, profiles: readonly ProfileResponse[]): void {
  for (const { graphs } of profiles) {
    const watched = graphs.filter(({ watchedRuns }) => watchedRuns > 0);
    if (watched.length === 0 || graphs.some(({ problem }) => problem !== null))
      throw new Error(`no operators: ${JSON.stringify(graphs)}`);
  }
  const sums = (of: (graph: ProfileResponse["graphs"][number]) => number) =>
    profiles.map(({ graphs }) => graphs.reduce((sum, graph) => sum + of(graph), 0));
  report.add(
    "runs that were written down",
    sums(({ watchedRuns }) => watchedRuns),
  );
  report.add(
    "of so many",
    sums(({ runs }) => runs),
  );
  const watchingMs = sums(({ watchingMs: ms }) => ms);
  const sampledMs = profiles.map((profile) => profile.sampledMs);
  report.add("writing and reading them, of the time", ratios(watchingMs, sampledMs));
}

/** In this process: nobody else is on its thread. */
function ofStart(report: Report, { objects, rounds }: Settings): void {
  const startMs = (): readonly number[] =>
    Array.from({ length: rounds }, () => {
      const startedAtMs = performance.now();
      const sampler = new CpuSampler();
      const ms = performance.now() - startedAtMs;
      sampler.addTo(rootFrame());
      return ms;
    });
  // The first one loads what the others have.
  startMs();
  report.add("a profiler's start in this process", startMs(), { unit: "ms" });
  const functions = Math.ceil(objects / 20);
  const source = Array.from({ length: functions }, (_, at) => `() => ${at}`).join(",");
  const made = compileFunction(`return [${source}]`)() as readonly (() => number)[];
  for (const each of made) each();
  report.add(`beside ${functions} more functions`, startMs(), { unit: "ms" });
  const kept = Array.from({ length: objects }, (_, at) => ({ at, list: [at] }));
  report.add(`beside these and ${2 * objects} more objects`, startMs(), { unit: "ms" });
  if (made.length !== functions || kept.length !== objects) throw new Error("they are gone");
}
