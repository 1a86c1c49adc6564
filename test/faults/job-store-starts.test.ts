/** Servers that start while NATS is cut off, killed and silent: each has its job store soon after, whatever it was doing just then. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { JobStore } from "#src/jobs/store.js";
import { Random } from "../sim/random.js";
import { openLinkedStore } from "../support/jetstream-store.js";
import { isLong } from "../support/long.js";
import { Wire } from "../support/nats-node.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { jobOn, newFileHead, resultsOf } from "../support/stored-jobs.js";

const skip = skipWithoutNats;
const rounds = isLong ? 12 : 1;
const startsEach = isLong ? 40 : 16;
/** Of the connection and of the store, each tried again within a second: far from the minutes that a lost wake-up takes. */
const backMsMax = 20_000;

async function fill(store: JobStore): Promise<void> {
  for (let at = 0; at < 40; at += 1) {
    const writing = await store.beginFile(newFileHead(`file-${at}`));
    for (let chunk = 0; chunk < 4; chunk += 1) {
      await writing.add({ firstLine: chunk, lines: 1, bytes: Buffer.from(`"${chunk}"\n`) });
    }
    await writing.finish();
    await store.createJob(jobOn(`file-${at}`, { id: `job-${at}` }));
    await Promise.all([0, 1, 2].map((chunk) => store.commit(`job-${at}`, resultsOf(chunk))));
  }
}

async function isThere(store: JobStore): Promise<void> {
  const untilMs = performance.now() + backMsMax;
  for (;;) {
    try {
      assert.equal((await store.openJobs()).length, 40);
      assert.equal((await store.job("job-7"))?.progress.chunks, 3);
      return;
    } catch (error) {
      if (performance.now() > untilMs) throw error;
      await delay(100);
    }
  }
}

/** One start on a wire of its own, which ends or falls silent some times while the store looks at what is there. */
async function startOver(nats: NatsServer, random: Random): Promise<void> {
  await using wire = await Wire.to(nats.port);
  const moments = Array.from({ length: random.int(1, 3) }, () => random.int(1, 120));
  const isSilent = random.chance(0.3);
  const trouble = (async () => {
    for (const ms of moments) {
      await delay(ms);
      wire.isCut = isSilent;
      if (isSilent) await delay(ms);
      wire.drop();
      wire.isCut = false;
    }
  })();
  const opened = openLinkedStore(wire.url, { waitMsMax: 2_000 });
  await trouble;
  await using linked = await opened;
  await isThere(linked.store);
}

test("whenever NATS is cut off while a server starts, its job store is there when NATS is", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  {
    await using first = await openLinkedStore(nats.url);
    await fill(first.store);
  }
  for (let round = 0; round < rounds; round += 1) {
    const starts = Array.from({ length: startsEach }, (_, at) =>
      startOver(nats, new Random(1_000 * round + at)),
    );
    const random = new Random(round);
    for (let kill = 0; kill < 2; kill += 1) {
      await delay(random.int(20, 400));
      await nats.kill();
      await nats.start();
    }
    await Promise.all(starts);
  }
});
