/**
 * `npm run bench -- profiler-start`: why the thread that is profiled stands still when it begins: V8 looks at every object and every
 * function that is there. In this process, where nobody else is on the thread.
 */
import { parseArgs } from "node:util";
import { compileFunction } from "node:vm";
import { rootFrame } from "#src/profile/call-tree.js";
import { CpuSampler } from "#src/profile/cpu-sampler.js";
import { beginReport } from "./harness/begin-report.js";
import { finish } from "./harness/finish.js";
import { countOf, usual } from "./harness/flags.js";

const usage = `npm run bench -- profiler-start [flags]
What the start of V8's profiler takes in a process, and how much of it are functions and objects that are there.
  --objects N  more in the heap, and functions: a twentieth of it (default: 400000)
  --rounds N   (default: 3)
  --json FILE  the figures as JSON`;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      objects: { type: "string", default: "400000" },
      rounds: usual.fewRounds,
      json: usual.json,
      help: usual.help,
    },
  });
  if (values.help) return console.log(usage);
  const objects = countOf("objects", values.objects);
  const rounds = countOf("rounds", values.rounds);
  const { report, machine } = beginReport("profiler-start");
  // The first one loads what the others have.
  startMs(rounds);
  report.add("a profiler's start", startMs(rounds), { unit: "ms" });
  const functions = Math.ceil(objects / 20);
  const source = Array.from({ length: functions }, (_, at) => `() => ${at}`).join(",");
  const made = compileFunction(`return [${source}]`)() as readonly (() => number)[];
  for (const each of made) each();
  report.add(`beside ${functions} more functions`, startMs(rounds), { unit: "ms" });
  const kept = Array.from({ length: objects }, (_, at) => ({ at, list: [at] }));
  report.add(`beside these and ${2 * objects} more objects`, startMs(rounds), { unit: "ms" });
  if (made.length !== functions || kept.length !== objects) throw new Error("they are gone");
  await finish(report, { machine, facts: { objects, rounds }, jsonFile: values.json });
}

function startMs(rounds: number): readonly number[] {
  return Array.from({ length: rounds }, () => {
    const startedAtMs = performance.now();
    const sampler = new CpuSampler();
    const ms = performance.now() - startedAtMs;
    sampler.addTo(rootFrame());
    return ms;
  });
}
