/**
 * Nodes that are killed, stopped and cut off every few seconds, while callers ask through an edge and jobs run: every item that was
 * sent must come to its one right result.
 */
import { join } from "node:path";
import { Random } from "../../test/sim/random.js";
import { quantiles } from "../harness/quantiles.js";
import { type Report, under } from "../harness/report.js";
import { ServerTree } from "../harness/server-tree.js";
import { madeLines } from "../jobs/made-lines.js";
import { askBulk } from "./callers.js";
import { Deployment } from "./deployment.js";
import { disturb } from "./faults.js";
import type { NodesSettings } from "./settings.js";
import { type Books, callJobs, callRealtime, type Expected } from "./storm-callers.js";

export interface StormSize {
  readonly nodes: number;
  readonly ms: number;
  readonly everyMs: number;
  readonly lastsMsMax: number;
  readonly jobLines: number;
}

const differentTexts = 2_000;

export async function benchNodesStorm(settings: NodesSettings, size: StormSize): Promise<void> {
  const { report, seed, rate } = settings;
  const expected = await expectedOf(settings, madeLines(seed, differentTexts));
  await using deployment = await Deployment.start(settings, {
    prefix: "storm",
    nodes: size.nodes,
    workers: "timed",
  });
  const { url, nodes } = deployment;
  const call = { url, expected, ms: size.ms };
  report.say(
    `storm: ${size.nodes} nodes, ${size.ms / 1_000} s, a fault every ${size.everyMs / 1_000} s or so, seed ${seed}`,
  );
  const [realtime, jobs, faults] = await Promise.all([
    callRealtime({ ...call, random: new Random(seed) }, rate),
    callJobs({ ...call, random: new Random(seed + 1) }, size.jobLines),
    disturb(nodes, new Random(seed + 2), size),
  ]);
  report.say(
    `faults: ${faults.kill} killed, ${faults.pause} stopped, ${faults.partition} cut off; ${faults.died} ended by themselves and were started again`,
  );
  tell(report, "realtime", realtime);
  report.say(`jobs: ${jobs.jobs} of ${size.jobLines} lines`);
  tell(report, "jobs", jobs);
  const broken = [realtime, jobs].reduce(
    (sum, { wrong, lost, doubled }) => sum + wrong + lost + doubled,
    0,
  );
  if (broken > 0) throw new Error(`${broken} items were wrong, lost or doubled`);
}

function tell(report: Report, title: string, books: Books): void {
  const { sent, right, wrong, lost, doubled, sentAgain, said, latenciesMs } = books;
  report.add(`${title}: items sent`, [sent]);
  report.add(`${title}: right`, [right]);
  report.add(`${title}: wrong`, [wrong], { target: under(1) });
  report.add(`${title}: lost`, [lost], { target: under(1) });
  report.add(`${title}: doubled`, [doubled], { target: under(1) });
  report.add(`${title}: sent again by their callers`, [sentAgain]);
  const { p50Ms, p99Ms, maxMs } = quantiles(latenciesMs);
  const times = [p50Ms, p99Ms, maxMs].map((each) => each.toFixed(0)).join(", ");
  report.say(`${title}: p50, p99, longest in ms: ${times}`);
  for (const [what, count] of said) report.say(`${title}: ${count} × ${what}`);
}

/** From a server that nobody disturbs. */
async function expectedOf(
  { parent, timedModels }: NodesSettings,
  texts: readonly string[],
): Promise<Expected> {
  await using server = await ServerTree.start({
    name: "undisturbed",
    script: "timed",
    flags: {
      models: timedModels,
      port: 0,
      pipelines: 1,
      threads: 1,
      "cache-dir": join(parent, "cache"),
    },
    env: { TIMED_FACTOR: "0" },
  });
  const { texts: results } = await askBulk(await server.ready(), texts, 1);
  if (new Set(results).size !== texts.length) throw new Error("two texts have the same result");
  return new Map(texts.map((text, at) => [text, results[at] ?? ""]));
}
