/** What it costs that a request goes through an edge: against the same node asked directly, request by request in turns. */

import { spread } from "../harness/machine.js";
import { under } from "../harness/report.js";
import { madeLine, madeLines } from "../jobs/made-lines.js";
import { askBulk, SingleCaller } from "./callers.js";
import { Deployment } from "./deployment.js";
import type { NodesSettings } from "./settings.js";

const pairsOfRound = 200;
const idleMsMax = 2_000;

export async function benchHop(settings: NodesSettings): Promise<void> {
  const { report, rounds, seed, ms } = settings;
  await using deployment = await Deployment.start(settings, {
    prefix: "hop",
    nodes: 1,
    workers: "timed",
    role: "both",
  });
  const [node] = deployment.nodes;
  if (node === undefined) throw new Error("there is no node");
  using direct = new SingleCaller(await node.url());
  using edge = new SingleCaller(deployment.url);
  const [directs, edges, added]: [number[], number[], number[]] = [[], [], []];
  // No more than the time of one measurement for each round.
  const pairs = Math.max(10, Math.min(pairsOfRound, Math.round(ms / 20)));
  for (let round = -1; round < rounds; round += 1) {
    const [own, hopped]: [number[], number[]] = [[], []];
    for (let pair = 0; pair < pairs; pair += 1) {
      const line = madeLine(seed, pair);
      own.push((await direct.ask(line)).ms);
      hopped.push((await edge.ask(line)).ms);
    }
    // The first round warms both ways up.
    if (round < 0) continue;
    directs.push(spread(own).median);
    edges.push(spread(hopped).median);
    added.push(spread(hopped).median - spread(own).median);
  }
  const unit = { unit: "ms" };
  report.add("realtime, one sentence, p50: the node asked directly", directs, unit);
  report.add("realtime, one sentence, p50: through an edge", edges, unit);
  report.add("realtime, p50: added by the hop", added, { ...unit, target: under(1.5) });
  await bytesOverNats(settings, deployment, edge);
}

async function bytesOverNats(
  { report, seed, lines, natsMonitorUrl, ms }: NodesSettings,
  deployment: Deployment,
  edge: SingleCaller,
): Promise<void> {
  const texts = madeLines(seed, lines);
  const few = texts.slice(0, 50);
  const idleMs = Math.min(idleMsMax, ms);
  const idle = await countBytes(
    natsMonitorUrl,
    () => new Promise((resolve) => setTimeout(resolve, idleMs)),
  );
  const single = await countBytes(natsMonitorUrl, async () => {
    for (const line of few) await edge.ask(line);
  });
  const bulk = await countBytes(natsMonitorUrl, async () => {
    await askBulk(deployment.url, texts, 1);
  });
  const idleBytesPerMs = idle.bytes / idle.ms;
  const own = ({ bytes, ms: took }: Counted, sentences: number): number[] => [
    (bytes - idleBytesPerMs * took) / sentences,
  ];
  const inText = texts.reduce((sum, line) => sum + Buffer.byteLength(line), 0) / texts.length;
  const unit = { unit: "bytes" };
  report.add(
    "published to NATS a sentence: realtime, one sentence a request",
    own(single, few.length),
    unit,
  );
  report.add("published to NATS a sentence: bulk", own(bulk, texts.length), unit);
  report.add("a sentence itself", [inText], unit);
  report.add("published to NATS by an edge and a node that idle", [1_000 * idleBytesPerMs], {
    unit: "bytes/s",
  });
}

interface Counted {
  readonly bytes: number;
  readonly ms: number;
}

async function countBytes(url: string, action: () => Promise<void>): Promise<Counted> {
  const before = await bytesIn(url);
  const startedAtMs = performance.now();
  await action();
  return { bytes: (await bytesIn(url)) - before, ms: performance.now() - startedAtMs };
}

/** What clients have published, by the count of NATS itself. */
async function bytesIn(url: string): Promise<number> {
  const { in_bytes: bytes } = (await (await fetch(`${url}/varz`)).json()) as {
    readonly in_bytes: number;
  };
  return bytes;
}
