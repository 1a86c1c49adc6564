/** Servers that nothing is wrong with. */
import { setTimeout as delay } from "node:timers/promises";
import { FakeModels } from "../fake-models.js";
import { until } from "../until.js";
import { ClosedLoop, sentence, sentences } from "./load.js";
import { type Situation, situation } from "./situation.js";
import { AskedEarly } from "./starting.js";
import { seen, TimedServer } from "./timed-server.js";

export const healthySituations: readonly Situation[] = [
  situation("healthy: nobody asks for anything", null, async () => {
    await using server = await TimedServer.start({ workers: "fake" });
    return await seen(server.url);
  }),
  situation("healthy: realtime at a good pace", null, async () => {
    await using server = await TimedServer.start({ pipelines: 2 });
    await using _ = new ClosedLoop(server.url, 6, (caller) => ({
      body: { texts: [sentence(5, caller)] },
    }));
    await delay(500);
    return await seen(server.url);
  }),
  situation(
    "healthy: bulk at full speed, with a long queue that becomes shorter",
    null,
    async () => {
      await using server = await TimedServer.start({ pipelines: 2 });
      await using _ = new ClosedLoop(server.url, 1, () => ({
        body: { texts: sentences(3_000, 6) },
      }));
      await until(() => server.server.views.status().queues.some(({ items }) => items > 2_000));
      return await seen(server.url);
    },
  ),
  situation("healthy: a burst of realtime that is over", null, async () => {
    await using server = await TimedServer.start({ pipelines: 2 });
    await using load = new ClosedLoop(server.url, 60, (caller) => ({
      body: { texts: [sentence(6, caller)] },
    }));
    await until(() => load.replies > 60);
    const watched = seen(server.url, { forMs: 4_000 });
    await delay(1_500);
    await load[Symbol.asyncDispose]();
    return await watched;
  }),
  situation("healthy: just started, its model still loads", null, async () => {
    using models = new FakeModels("never-loaded");
    await using server = await AskedEarly.start(models.dir);
    return await seen(server.url);
  }),
];
