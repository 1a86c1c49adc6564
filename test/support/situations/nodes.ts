/** Several servers over NATS, one of which is not as the others; and NATS that is away. */
import { setTimeout as delay } from "node:timers/promises";
import { NatsServer, skipWithoutNats } from "../nats-server.js";
import { until } from "../until.js";
import { ClosedLoop, sentence } from "./load.js";
import { type Situation, situation } from "./situation.js";
import { Slowed } from "./slowed.js";
import { seen, TimedServer, type TimedServerOptions } from "./timed-server.js";

function start(nats: NatsServer, options: TimedServerOptions & { readonly node: string }) {
  return TimedServer.start({ nats: nats.url, ...options });
}

async function hears(edge: TimedServer, nodes: number): Promise<void> {
  await until(() => edge.server.views.nodes?.().nodes.length === nodes);
}

const slowNode = situation("one node is slow", "node-slow", async () => {
  await using nats = await NatsServer.start();
  await using slow = await start(nats, { role: "node", node: "slow" });
  await using _quick = await start(nats, { role: "node", node: "quick" });
  await using edge = await start(nats, { role: "edge", node: "edge" });
  await hears(edge, 3);
  const pid = slow.server.views.status().pipelines[0]?.pid;
  if (typeof pid !== "number") throw new Error("the pipeline has no process");
  using _slow = new Slowed(pid, 40);
  await using _ = new ClosedLoop(edge.url, 24, (caller) => ({
    body: { texts: [sentence(8, caller)] },
  }));
  await delay(2_000);
  return await seen(edge.url);
});

const natsAway = situation("NATS is away", "nats-away", async () => {
  await using nats = await NatsServer.start();
  await using edge = await start(nats, { role: "edge", node: "edge" });
  await hears(edge, 1);
  await nats.stop();
  return await seen(edge.url);
});

export const nodeSituations: readonly Situation[] = [slowNode, natsAway].map((each) => ({
  ...each,
  skip: skipWithoutNats,
}));
