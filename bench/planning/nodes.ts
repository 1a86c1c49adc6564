/**
 * How near a plan of several nodes comes: recorded is one server, predicted are nodes with as many times its load, and then the same requests
 * go in as much less time to an edge and real nodes on a real NATS. Workers take the recorded times of a model's runs and no core, so that one
 * machine holds several.
 */
import { join } from "node:path";
import type { CallFigures } from "#src/plan/figures.js";
import { plan } from "#src/plan/plan.js";
import { NatsServer, skipWithoutNats } from "../../test/support/nats-server.js";
import { type Report, ratios } from "../harness/report.js";
import { ServerTree } from "../harness/server-tree.js";
import { Deployment } from "../nodes/deployment.js";
import { openNetwork } from "../nodes/network.js";
import { makeTimedModels } from "../timed/timed-models.js";
import { noQuestion, only, recordedOf } from "./recorded.js";
import { sendByChance } from "./send-by-chance.js";

export interface NodesCase {
  readonly nodes: number;
  /** Requests a second, for each node. */
  readonly rates: readonly number[];
  readonly rounds: number;
  /** Of one server's load. */
  readonly ms: number;
  readonly lines: readonly string[];
  /** Where to write. */
  readonly dir: string;
}

/** Of the recorded times: runs then take longer than all these processes need for their turns on two cores, as on machines of their own. */
const factor = 4;

interface Servers {
  readonly one: string;
  readonly edge: string;
  readonly nodes: readonly string[];
}

export async function predictNodes(report: Report, of: NodesCase): Promise<void> {
  if (skipWithoutNats !== false) return report.say(`nodes: left out, ${skipWithoutNats}`);
  const { dir, nodes: count } = of;
  await using network = await openNetwork("proxies");
  await using nats = await NatsServer.start({ host: network.natsHost });
  const timedModels = await makeTimedModels(join(dir, "timed"));
  const place = { nats, network, parent: dir, timedModels, factor };
  await using deployment = await Deployment.start(place, {
    prefix: "plan",
    nodes: count,
    workers: "timed",
  });
  await using one = await ServerTree.start({
    name: "one",
    script: "timed",
    env: { TIMED_FACTOR: String(factor) },
    flags: {
      models: timedModels,
      port: 0,
      pipelines: 1,
      threads: 1,
      "cache-dir": join(dir, "one"),
    },
  });
  const nodes = await Promise.all(deployment.nodes.map((node) => node.url()));
  const servers = { one: await one.ready(), edge: deployment.url, nodes };
  // They learn what their runs take.
  for (const url of [servers.one, servers.edge])
    await sendByChance(url, {
      perSecond: 20,
      seed: 0,
      times: 1,
      ms: Math.min(of.ms, 2_000),
      lines: of.lines,
    });
  for (const perSecond of of.rates) await predictRate(report, { ...of, perSecond, servers });
}

async function predictRate(
  report: Report,
  of: NodesCase & { readonly perSecond: number; readonly servers: Servers },
): Promise<void> {
  const { nodes, rounds, perSecond, servers } = of;
  const seen: { alone: CallFigures; real: CallFigures; predicted: CallFigures }[] = [];
  for (let seed = 1; seed <= rounds; seed += 1) {
    const sent = { ...of, seed };
    const load = await recordedOf([servers.one], () =>
      sendByChance(servers.one, { ...sent, times: 1 }),
    );
    const asked = { nodes: [nodes], pipelines: [1], loadFactors: [nodes] };
    const [row] = plan(load, { ...noQuestion, ...asked, waits: false }).rows;
    const told = await recordedOf(servers.nodes, () =>
      sendByChance(servers.edge, { ...sent, times: nodes }),
    );
    if (row === undefined) throw new Error("nothing was predicted");
    const [alone, real] = [only(load.actual.classes), only(told.actual.classes)];
    if (real.answered !== load.calls.length)
      throw new Error(`${real.answered} of ${load.calls.length} requests were answered by nodes`);
    seen.push({ alone, real, predicted: only(row.replayed.classes) });
  }
  const title = `${nodes} nodes, ${perSecond}/s by chance each`;
  for (const [quantile, name] of [
    ["p50Ms", "p50"],
    ["p99Ms", "p99"],
  ] as const) {
    const of = (which: "alone" | "real" | "predicted"): readonly number[] =>
      seen.map((each) => each[which][quantile]);
    report.add(`one node, ${perSecond}/s: ${name}`, of("alone"), { unit: "ms" });
    report.add(`${title}: ${name}`, of("real"), { unit: "ms" });
    report.add(`${title}: ${name}, predicted / real`, ratios(of("predicted"), of("real")));
  }
}
