/**
 * `npm run bench -- scheduler`: what a decision of the scheduler costs for each item that it sends, with up to a million of them queued,
 * and the memory of a queued item.
 */
import { parseArgs } from "node:util";
import { type PolicyName, policyNamed } from "#src/scheduler/policy.js";
import type { RunMode } from "#src/scheduler/types.js";
import { beginReport } from "../harness/begin-report.js";
import { finish } from "../harness/finish.js";
import { amountsOf, countOf, countsOf, usual } from "../harness/flags.js";
import { spread, spreadText } from "../harness/machine.js";
import { inTurns } from "../harness/rounds.js";
import { type DrainFigures, type DrainShape, drain } from "./drain.js";

const help = `npm run bench -- scheduler [flags]

Queues items of many callers in the product's scheduler, then drains them with pipelines that take no time.
Prints, for each item: microseconds in the scheduler until it was queued, from there until its outcome was taken (events,
decisions and completions), both together, and bytes of heap while all are queued. No process, no model, no network: the scheduler alone.

  --items 1000,1000000   how many are queued (default 1000,10000,100000,1000000)
  --callers N            who sends them: half realtime, half bulk (default 10000)
  --tenants N            to whom the callers belong (default 100)
  --pipelines N          shared ones (default 4)
  --rows N               rows of a pipeline (default 64)
  --rounds N             of each, in turns (default 3)
  --modes LIST           continuous, one-shot (default continuous)
  --policies LIST        millrace, fcfs, seed-router (default millrace)
  --paces LIST           ms from outcome to outcome: how many items pass the age limit of 10 s (default 0.005,0.25)
  --json FILE            writes settings and figures there

  npm run bench -- scheduler --items 1000000 --rounds 1
`;

const options = {
  items: { type: "string", default: "1000,10000,100000,1000000" },
  callers: { type: "string", default: "10000" },
  tenants: { type: "string", default: "100" },
  pipelines: { type: "string", default: "4" },
  rows: usual.rows,
  rounds: usual.fewRounds,
  modes: { type: "string", default: "continuous" },
  policies: { type: "string", default: "millrace" },
  paces: { type: "string", default: "0.005,0.25" },
  json: usual.json,
  help: usual.help,
} as const;

interface Variant {
  readonly shape: DrainShape;
  readonly rounds: readonly DrainFigures[];
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options });
  if (values.help) {
    console.log(help);
    return;
  }
  const rounds = countOf("rounds", values.rounds);
  const shapes = shapesOf(values);
  const { report, machine } = beginReport();
  // The compiler's round.
  for (const shape of shapes) drain({ ...shape, items: Math.min(shape.items, 20_000) });
  const turns = await inTurns(shapes, rounds, (shape) => Promise.resolve(drain(shape)));
  const variants = shapes.map((shape): Variant => ({ shape, rounds: turns.get(shape) ?? [] }));
  report.say(`medians (least–most) of ${rounds} rounds`);
  report.say(
    `${values.callers} callers, ${values.tenants} tenants, ${values.pipelines} pipelines of ${values.rows} rows\n`,
  );
  report.say(
    "policy       mode        ms/item    items  queue µs/item  drain µs/item  both µs/item  bytes/item  padding  decided",
  );
  for (const variant of variants) report.say(rowOf(variant));
  await finish(report, { machine, facts: { settings: values, variants }, jsonFile: values.json });
}

type Values = Readonly<Record<"items" | "callers" | "tenants" | "pipelines", string>> &
  Readonly<Record<"rows" | "modes" | "paces" | "policies", string>>;

function shapesOf(values: Values): readonly DrainShape[] {
  const base = {
    callers: countOf("callers", values.callers),
    tenants: countOf("tenants", values.tenants),
    pipelines: countOf("pipelines", values.pipelines),
    rowsMax: countOf("rows", values.rows),
    seed: 1,
  } as const;
  const each = (list: string): string[] => list.split(",");
  const paces = amountsOf("paces", values.paces);
  const sizes = countsOf("items", values.items);
  return each(values.policies).flatMap((policy) =>
    each(values.modes).flatMap((mode) =>
      paces.flatMap((msPerItem) =>
        sizes.map((items): DrainShape => {
          return { ...base, policy: policyOf(policy), mode: modeOf(mode), msPerItem, items };
        }),
      ),
    ),
  );
}

function policyOf(name: string): PolicyName {
  const known = policyNamed(name);
  if (known !== null) return known;
  throw new Error(`--policies: ${name} is none`);
}

function modeOf(name: string): RunMode {
  if (name === "continuous" || name === "one-shot") return name;
  throw new Error(`--modes: ${name} is none`);
}

function rowOf({ shape: { policy, mode, msPerItem, items }, rounds }: Variant): string {
  const text = (of: (figures: DrainFigures) => number, digits: number): string =>
    spreadText(rounds.map(of), digits);
  const padding = spread(rounds.map((each) => 100 * each.padding)).median;
  return [
    policy.padEnd(11),
    mode.padEnd(10),
    String(msPerItem).padStart(8),
    String(items).padStart(8),
    text(({ queueUs }) => queueUs, 2),
    text(({ drainUs }) => drainUs, 2),
    text(({ queueUs, drainUs }) => queueUs + drainUs, 2),
    text(({ bytes }) => bytes, 0),
    `${padding.toFixed(1)}%`.padStart(7),
    [...new Set(rounds.map(({ decided }) => decided))].join(" "),
  ].join("  ");
}
