/**
 * `npm run fuzz -- [--parser NAME] [--seed N] [--from I] [--inputs N] [--processes P]`: every parser that strangers feed, a million
 * inputs each. It ends with 1 where one of them breaks a rule, and prints what repeats it.
 */
import { fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { parsers } from "./parsers.js";
import { type FuzzReport, inputMsMax, runFuzz } from "./runner.js";

/** From the process of a parser. */
interface Told {
  readonly index: number;
  readonly report?: FuzzReport;
}

/** No input takes so long, and a process that says nothing for it hangs in one. */
const silentMsMax = 60_000;
const tellEveryMs = 500;

const { values } = parseArgs({
  options: {
    /** Of some: those with this in their name. */
    parser: { type: "string", default: "" },
    seed: { type: "string" },
    from: { type: "string", default: "0" },
    inputs: { type: "string", default: "1000000" },
    processes: { type: "string", default: String(availableParallelism()) },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const range = { seed, from: Number(values.from), inputs: Number(values.inputs) };

if (process.send === undefined) process.exitCode = await all();
else await one(values.parser);

/** In a process of its own: what it leaks, and how it ends, is nobody else's. */
async function one(name: string): Promise<void> {
  const parser = parsers.find((each) => each.name === name);
  if (parser === undefined) throw new Error(`there is no parser ${name}`);
  const tell = (told: Told): void => void process.send?.(told);
  // Nobody waits for the rest.
  process.once("disconnect", () => process.exit(1));
  const dir = await mkdtemp(join(tmpdir(), "millrace-fuzz-"));
  try {
    let toldAtMs = 0;
    const report = await runFuzz({
      parser: await parser.open(dir),
      range,
      ...(parser.msMax === undefined ? {} : { msMax: parser.msMax }),
      onProgress: (index) => {
        if (performance.now() - toldAtMs < tellEveryMs) return;
        toldAtMs = performance.now();
        tell({ index });
      },
    });
    tell({ index: range.from + report.inputs, report });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
  process.removeAllListeners("disconnect");
  process.disconnect();
}

async function all(): Promise<number> {
  const chosen = parsers.map(({ name }) => name).filter((name) => name.includes(values.parser));
  if (chosen.length === 0) {
    console.error(
      `there is no parser ${values.parser}; there are: ${parsers.map(({ name }) => name).join(", ")}`,
    );
    return 2;
  }
  console.log(
    `${chosen.length} parsers, ${range.inputs} inputs each from ${range.from}, seed ${seed}`,
  );
  const waiting = [...chosen];
  let [bad, inputs] = [0, 0];
  await Promise.all(
    Array.from({ length: Number(values.processes) }, async () => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
        const { report, problems } = await inChild(name);
        inputs += report?.inputs ?? 0;
        if (problems.length > 0) bad += 1;
        if (report !== null) console.log(summary(name, report));
        for (const problem of problems) console.log(`  ${problem}`);
      }
    }),
  );
  console.log(`${inputs} inputs; ${bad} parsers broke a rule`);
  return bad === 0 ? 0 : 1;
}

function summary(
  name: string,
  { inputs, taken, refused, slowestMs, ms, grownBytes }: FuzzReport,
): string {
  const msMax = parsers.find((each) => each.name === name)?.msMax ?? inputMsMax;
  const codes = Object.entries(refused).map(([code, count]) => `${code} ${count}`);
  const grown = `${grownBytes < 0 ? "−" : "+"}${(Math.abs(grownBytes) / 1024).toFixed(0)} KiB`;
  return `${name.padEnd(22)} ${inputs} inputs: taken ${taken}, ${codes.join(", ")}; ${((1_000 * ms) / inputs).toFixed(0)} µs each, slowest ${slowestMs.toFixed(1)} ms of ${msMax}, memory ${grown}`;
}

interface Ended {
  readonly report: FuzzReport | null;
  readonly problems: readonly string[];
}

/** Also of one that crashed or hung: its last word says about where. */
async function inChild(name: string): Promise<Ended> {
  const args = [
    "--parser",
    name,
    "--seed",
    `${seed}`,
    "--from",
    `${range.from}`,
    "--inputs",
    `${range.inputs}`,
  ];
  const child = fork(fileURLToPath(import.meta.url), args);
  let last = range.from;
  let report: FuzzReport | null = null;
  let isHung = false;
  const kill = (): void => {
    isHung = true;
    child.kill("SIGKILL");
  };
  let watch = setTimeout(kill, silentMsMax);
  child.on("message", (message) => {
    const told = message as Told;
    last = told.index;
    report = told.report ?? null;
    clearTimeout(watch);
    watch = setTimeout(kill, silentMsMax);
  });
  const code = await new Promise<number | string | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => resolve(status ?? signal));
  });
  clearTimeout(watch);
  const repeat = (index: number, inputs: number): string =>
    `npm run fuzz -- --parser ${name} --seed ${seed} --from ${index} --inputs ${inputs}`;
  if (isHung)
    return { report, problems: [`hangs soon after input ${last}: ${repeat(last, 10_000)}`] };
  if (code !== 0 || report === null) {
    return {
      report,
      problems: [`ended with ${code} soon after input ${last}: ${repeat(last, 10_000)}`],
    };
  }
  const problems = problemsOf(report).map(
    ({ index, message }) => `input ${index} ${message}\n    ${repeat(index, 1)}`,
  );
  return { report, problems };
}

/** With those of all inputs together: a parser that takes all, or refuses all, was not tried. */
function problemsOf(report: FuzzReport): FuzzReport["problems"] {
  const { inputs, taken, problems } = report;
  if (inputs < 1_000 || problems.length > 0) return problems;
  if (taken === 0)
    return [
      {
        kind: "thrown",
        index: range.from,
        message: "and all others were refused: is any of them good?",
      },
    ];
  if (taken === inputs)
    return [
      {
        kind: "thrown",
        index: range.from,
        message: "and all others were taken: is any of them bad?",
      },
    ];
  return problems;
}
