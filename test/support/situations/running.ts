/** What runs is slower, emptier or ends more often than it should. */
import { setTimeout as delay } from "node:timers/promises";
import { until } from "../until.js";
import { ClosedLoop, sentence, sentences } from "./load.js";
import { type Situation, situation } from "./situation.js";
import { Slowed } from "./slowed.js";
import { seen, TimedServer } from "./timed-server.js";

function pidOf(server: TimedServer, at: number): number {
  const pid = server.server.views.status().pipelines[at]?.pid;
  if (typeof pid !== "number") throw new Error(`pipeline ${at} has no process`);
  return pid;
}

export const runningSituations: readonly Situation[] = [
  situation("one pipeline is slow", "pipeline-slow", async () => {
    await using server = await TimedServer.start({ pipelines: 2, machine: { cores: 2 } });
    using _slow = new Slowed(pidOf(server, 0));
    await using _ = new ClosedLoop(server.url, 40, (caller) => ({
      body: { texts: [sentence(8, caller)] },
    }));
    await delay(1_000);
    return await seen(server.url, { forMs: 4_000 });
  }),
  situation("a caller sends one at a time", "one-at-a-time", async () => {
    await using server = await TimedServer.start({ pipelines: 2, machine: { cores: 2 } });
    await using _ = new ClosedLoop(server.url, 1, () => ({ body: { texts: [sentence(9)] } }));
    await delay(500);
    return await seen(server.url);
  }),
  situation("batches that may not fill", "batches-small", async () => {
    await using server = await TimedServer.start({
      rowsMax: 8,
      prefetchRows: 8,
      machine: { cores: 1 },
    });
    await using _ = new ClosedLoop(server.url, 2, () => ({ body: { texts: sentences(2_000, 8) } }));
    await until(() => server.server.views.status().queues.some(({ items }) => items > 1_000));
    return await seen(server.url);
  }),
  situation("a process that is killed again and again", "pipeline-restarts", async () => {
    await using server = await TimedServer.start({ workers: "fake", restartBackoffMs: 10 });
    const killing = setInterval(() => {
      const pid = server.server.views.status().pipelines[0]?.pid;
      if (typeof pid === "number") process.kill(pid, "SIGKILL");
    }, 600);
    try {
      return await seen(server.url);
    } finally {
      clearInterval(killing);
    }
  }),
];
