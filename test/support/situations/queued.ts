/** Work that waits, for one reason each. */
import { setTimeout as delay } from "node:timers/promises";
import type { WorkClass } from "millrace-client/wire";
import { until } from "../until.js";
import { ClosedLoop, OpenLoop, sentence, sentences } from "./load.js";
import { type Situation, situation } from "./situation.js";
import { seen, TimedServer, type TimedServerOptions } from "./timed-server.js";

/** A person asks for one sentence after the other. */
function person(url: string): ClosedLoop {
  return new ClosedLoop(url, 1, () => ({ body: { texts: [sentence(4)], tenant: "person" } }));
}

function queuedItems({ server }: TimedServer, workClass: WorkClass): number {
  const { queues } = server.views.status();
  return queues.reduce((sum, each) => sum + (each.class === workClass ? each.items : 0), 0);
}

const oneCore = { machine: { cores: 1 } } as const;
const impatient: TimedServerOptions = { ...oneCore, realtimeTargetMs: 50 };

export const queuedSituations: readonly Situation[] = [
  situation("more arrives than is done", "queue-grows", async () => {
    await using server = await TimedServer.start(oneCore);
    await using _ = new OpenLoop(server.url, 20, () => ({ body: { texts: sentences(12, 8) } }));
    await delay(500);
    return await seen(server.url);
  }),
  situation("the queue is full", "queue-full", async () => {
    await using server = await TimedServer.start({
      ...oneCore,
      queuedItemsMax: 60,
      requestInputsMax: 60,
    });
    await using _ = new ClosedLoop(server.url, 8, () => ({ body: { texts: sentences(20, 8) } }));
    await delay(300);
    return await seen(server.url);
  }),
  situation("all pipelines are busy", "pipelines-busy", async () => {
    await using server = await TimedServer.start(impatient);
    await using _ = new ClosedLoop(server.url, 160, (caller) => ({
      body: { texts: [sentence(8, caller)] },
    }));
    await delay(1_000);
    return await seen(server.url);
  }),
  situation("more threads than cores", "cores-overcommitted", async () => {
    await using server = await TimedServer.start({
      ...impatient,
      machine: { cores: 1 },
      pipelines: 2,
      threads: 2,
    });
    await using _ = new ClosedLoop(server.url, 200, (caller) => ({
      body: { texts: [sentence(8, caller)] },
    }));
    await delay(1_000);
    return await seen(server.url);
  }),
  situation("one tenant has the queue", "tenant-holds-queue", async () => {
    await using server = await TimedServer.start(impatient);
    await using _ = new ClosedLoop(server.url, 30, () => ({
      body: { texts: sentences(40, 8), tenant: "robot" },
    }));
    await using _person = person(server.url);
    await delay(500);
    return await seen(server.url);
  }),
  situation("first come, first served", "policy-unfair", async () => {
    await using server = await TimedServer.start({ ...impatient, policy: "fcfs" });
    await using _ = new ClosedLoop(server.url, 2, () => ({ body: { texts: sentences(1_000, 8) } }));
    await delay(500);
    await using _person = new ClosedLoop(server.url, 4, () => ({ body: { texts: [sentence(4)] } }));
    await delay(300);
    return await seen(server.url);
  }),
  situation("large requests are marked realtime", "large-realtime", async () => {
    await using server = await TimedServer.start(impatient);
    await using _ = new ClosedLoop(server.url, 6, () => ({
      body: { texts: sentences(400, 8), class: "realtime" },
    }));
    await delay(500);
    return await seen(server.url);
  }),
  situation("bulk starves behind realtime", "bulk-starves", async () => {
    await using server = await TimedServer.start({ ...oneCore, ageLimitMs: 60_000 });
    await using _ = new ClosedLoop(server.url, 200, (caller) => ({
      body: { texts: [sentence(8, caller)] },
    }));
    await until(() => queuedItems(server, "realtime") > 100);
    await using _bulk = new ClosedLoop(server.url, 1, () => ({
      body: { texts: sentences(600, 8), class: "bulk" },
    }));
    await until(() => queuedItems(server, "bulk") > 300);
    return await seen(server.url);
  }),
  situation("deadlines that nobody can keep", "deadlines-short", async () => {
    await using server = await TimedServer.start(oneCore);
    await using _ = new ClosedLoop(server.url, 60, (caller) => ({
      body: { texts: [sentence(10, caller)], timeoutMs: 120 },
    }));
    await delay(300);
    return await seen(server.url);
  }),
  situation("pipelines of one class idle, the other class waits", "pipelines-split", async () => {
    await using server = await TimedServer.start({
      realtimePipelines: 1,
      bulkPipelines: 1,
      realtimeTargetMs: 50,
      machine: { cores: 2 },
    });
    await using _ = new ClosedLoop(server.url, 160, (caller) => ({
      body: { texts: [sentence(8, caller)] },
    }));
    await delay(500);
    return await seen(server.url);
  }),
];
