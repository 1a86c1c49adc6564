/**
 * `npm run bench -- plan`: how near `millrace plan` comes to what really happened, under several loads, and of several nodes.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Plan, plan } from "#src/plan/plan.js";
import { TempDir } from "../../test/support/temp-dir.js";
import { translateInTurn, writeBodies } from "../clients/load.js";
import { beginReport } from "../harness/begin-report.js";
import { finish } from "../harness/finish.js";
import { amountOf, amountsOf, countOf, countsOf, usual } from "../harness/flags.js";
import type { Report } from "../harness/report.js";
import { ServerTree } from "../harness/server-tree.js";
import { readLines, root, takeLines } from "../serving/lines.js";
import { makeTimedModels } from "../timed/timed-models.js";
import { predictNodes } from "./nodes.js";
import { noQuestion, only, recordedOf } from "./recorded.js";
import { sendByChance } from "./send-by-chance.js";

const usage = `npm run bench -- plan [flags]
Each load is sent to one server and recorded; then the plan's prediction of that very configuration is held against what was recorded. Of
one server's record it is predicted too how several nodes would do with as many times the load, and that is held against an edge and nodes on
a real NATS, whose workers take recorded times and no core.
  --workers KIND   real: the bundled model; timed: workers that take recorded times (default: real)
  --rates LIST     requests a second that come by chance (default: 15,30)
  --callers LIST   callers who wait for their answers (default: 4,16)
  --seconds N      of each (default: 8)
  --rounds N       in which the loads take turns (default: 3)
  --pipelines N    of the server (default: 1)
  --nodes N        of the deployment; 1: none (default: 2)
  --node-rates LIST requests a second for each node, by chance (default: 10,25)
  --sentences FILE one a line (default: models/calibration.en.txt)
  --json FILE      the figures as JSON`;

const flags = {
  workers: usual.workers,
  rates: { type: "string", default: "15,30" },
  callers: { type: "string", default: "4,16" },
  seconds: { type: "string", default: "8" },
  rounds: usual.fewRounds,
  pipelines: usual.pipelines,
  nodes: { type: "string", default: "2" },
  "node-rates": { type: "string", default: "10,25" },
  sentences: usual.sentences,
  json: usual.json,
  help: usual.help,
} as const;

interface Load {
  readonly name: string;
  readonly send: (seed: number) => Promise<void>;
}

interface Target {
  readonly url: string;
  readonly lines: readonly string[];
  readonly bodiesFile: string;
  readonly ms: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const { workers } = values;
  if (workers !== "real" && workers !== "timed")
    throw new Error(`--workers: ${workers} is neither real nor timed`);
  const pipelines = countOf("pipelines", values.pipelines);
  const rounds = countOf("rounds", values.rounds);
  const ms = 1_000 * amountOf("seconds", values.seconds);
  const { report, machine } = beginReport("plan");
  await using dir = await TempDir.make();
  const lines = takeLines(readLines(values.sentences), 0, 1_000);
  const bodies = lines.map((text) => ({ texts: [text] }));
  const bodiesFile = await writeBodies(dir.file("bodies.jsonl"), bodies);
  const models = workers === "real" ? join(root, "models") : await makeTimedModels(dir.path);
  await using tree = await ServerTree.start({
    name: "plan",
    script: workers,
    flags: { models, port: 0, pipelines, threads: 1, "cache-dir": dir.file("cache") },
  });
  const to = { url: await tree.ready(), lines, bodiesFile, ms };
  const loads = [
    ...amountsOf("rates", values.rates).map((rate) => byRate(rate, to)),
    ...countsOf("callers", values.callers).map((callers) => byCallers(callers, to)),
  ];
  await waiting(to, 4);
  await predict(report, { loads, rounds, to });
  await tree.kill();
  const nodes = countOf("nodes", values.nodes);
  const rates = amountsOf("node-rates", values["node-rates"]);
  if (nodes > 1) await predictNodes(report, { nodes, rates, rounds, ms, lines, dir: dir.path });
  const facts = { ...values, workers };
  await finish(report, { machine, facts, jsonFile: values.json });
}

function byRate(perSecond: number, { url, lines, ms }: Target): Load {
  return {
    name: `${perSecond}/s by chance`,
    send: (seed) => sendByChance(url, { perSecond, ms, seed, times: 1, lines }),
  };
}

function byCallers(callers: number, to: Target): Load {
  const send = async (): Promise<void> => void (await waiting(to, callers));
  return { name: `${callers} callers who wait`, send };
}

async function waiting({ url, bodiesFile, ms }: Target, callers: number): Promise<number> {
  return (await translateInTurn({ url, bodiesFile, callers, ms })).perSecond;
}

async function predict(
  report: Report,
  of: { readonly loads: readonly Load[]; readonly rounds: number; readonly to: Target },
): Promise<void> {
  const plans = new Map(of.loads.map((load): [Load, Plan[]] => [load, []]));
  for (let round = 0; round < of.rounds; round += 1) {
    for (const [load, own] of plans) own.push(await predicted(of.to.url, () => load.send(round)));
  }
  const figures = (own: readonly Plan[], name: "p50Ms" | "p99Ms"): readonly number[] =>
    own.map(({ recorded }) => only(recorded.actual)[name]);
  report.table({
    title: "what really happened, from the door to the last result",
    columns: ["load", "requests", "p50 ms", "p99 ms", "pipelines busy %"],
    rows: [...plans].map(([{ name }, own]) => [
      name,
      own.map(({ recorded }) => only(recorded.actual).answered),
      figures(own, "p50Ms"),
      figures(own, "p99Ms"),
      own.map(({ recorded }) => 100 * recorded.predicted.replayed.busyShare),
    ]),
  });
  report.say("");
  for (const quantile of ["p50", "p99"] as const) {
    for (const [{ name }, own] of plans) {
      const errors = own.map(({ recorded }) => only(recorded.errors)[quantile]);
      report.add(`${name}: ${quantile}, predicted / real`, errors);
    }
  }
}

async function predicted(url: string, send: () => Promise<void>): Promise<Plan> {
  const load = await recordedOf([url], send);
  return plan(load, noQuestion);
}
