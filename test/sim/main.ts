/**
 * `npm run simulate -- [--seeds N] [--from S] [--processes P] | --seed X [--trace] | --mutations [--only WORD]`: long runs of the
 * simulator. It ends with 1 where a rule was broken, where a kind of fault never happened, or where a mutation was not noticed.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { explain } from "./failure.js";
import { makePlan } from "./make-plan.js";
import { describePlan } from "./plan.js";
import { rules } from "./rules.js";
import { checkMutations } from "./run-mutations.js";
import { play, simulate } from "./simulate.js";
import { add, addAll, neverHappened, noTotals, type Totals } from "./totals.js";

/** From a part of the run to whoever started it. */
interface Part {
  readonly totals: Totals;
  readonly broken: { readonly seed: number; readonly message: string } | null;
}

const partSeeds = 500;
/** Below this a rare kind may well not happen. */
const seedsForAll = 20_000;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "10000" },
    from: { type: "string", default: "1" },
    processes: { type: "string", default: "1" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    mutations: { type: "boolean", default: false },
    /** Of the mutations: those with this in their name. */
    only: { type: "string", default: "" },
  },
});

if (values.mutations) process.exitCode = await checkMutations(console.log, values.only);
else if (values.seed !== undefined) process.exitCode = await one(Number(values.seed));
else if (process.send !== undefined) await parts();
else process.exitCode = await many();

async function one(seed: number): Promise<number> {
  const plan = makePlan(seed);
  const { violation, trace, happened } = await play(plan, { traces: values.trace });
  console.log(describePlan(plan).join("\n"));
  if (values.trace) console.log(trace.join("\n"));
  console.log(
    violation === null ? `all rules kept; ${JSON.stringify(happened)}` : await explain(plan),
  );
  return violation === null ? 0 : 1;
}

/** Seeds `from`, `from + step`, … in this process, told to its parent part by part. */
async function parts(): Promise<void> {
  const from = Number(values.from);
  const step = Number(values.processes);
  // Nobody waits for the rest.
  process.once("disconnect", () => process.exit(1));
  let totals = noTotals();
  for (let seed = from; seed < from + Number(values.seeds); seed += step) {
    const result = await simulate(seed);
    add(totals, result);
    const broken = result.violation && { seed, message: result.violation.message };
    if (broken === null && totals.schedules < partSeeds) continue;
    process.send?.({ totals, broken } satisfies Part);
    totals = noTotals();
  }
  process.send?.({ totals, broken: null } satisfies Part);
  process.removeAllListeners("disconnect");
  process.disconnect();
}

async function many(): Promise<number> {
  const startedAtMs = performance.now();
  const seeds = Number(values.seeds);
  const from = Number(values.from);
  const processes = Number(values.processes);
  const totals = noTotals();
  const broken: number[] = [];
  let toldAtMs = startedAtMs;
  const onPart = (part: Part): void => {
    addAll(totals, part.totals);
    if (part.broken !== null) {
      broken.push(part.broken.seed);
      console.log(`seed ${part.broken.seed}: ${part.broken.message}`);
    }
    if (performance.now() - toldAtMs < 10_000) return;
    toldAtMs = performance.now();
    console.log(progress(totals, seeds, startedAtMs));
  };
  await Promise.all(
    Array.from({ length: processes }, (_, at) =>
      runPart(
        ["--from", `${from + at}`, "--seeds", `${seeds - at}`, "--processes", `${processes}`],
        onPart,
      ),
    ),
  );
  console.log(progress(totals, seeds, startedAtMs));
  for (const [what, times] of Object.entries(totals.happened).sort(([a], [b]) =>
    a.localeCompare(b),
  ))
    console.log(`  ${String(times).padStart(9)}  ${what}`);
  const never = seeds >= seedsForAll ? neverHappened(totals) : [];
  if (never.length > 0) console.log(`never happened: ${never.join(", ")}`);
  console.log(`${rules.length} rules; broken by ${broken.length} schedules`);
  const [first] = broken.toSorted((a, b) => a - b);
  if (first !== undefined) console.log(await explain(makePlan(first)));
  return broken.length + never.length === 0 ? 0 : 1;
}

function progress(totals: Totals, seeds: number, startedAtMs: number): string {
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const perSecond = Math.round(totals.schedules / seconds);
  const { schedules, items, batches } = totals;
  return `${schedules} of ${seeds} schedules, ${items} items in ${batches} batches, ${seconds.toFixed(1)} s, ${perSecond} a second`;
}

async function runPart(args: readonly string[], onPart: (part: Part) => void): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), args);
  child.on("message", (part) => onPart(part as Part));
  await new Promise<void>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0 ? resolve() : reject(new Error(`a part of the run ended with ${code}`)),
    );
  });
}
