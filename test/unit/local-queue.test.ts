/** Who has the next chunk: tenants in turn, the jobs of one in their order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LocalQueue } from "#src/jobs/local-queue.js";
import type { StoredJob } from "#src/jobs/store.js";

function jobOf(id: string, tenant: string, rest: { sequence: number; chunks: number }): StoredJob {
  return { id, tenant, ...rest } as StoredJob;
}

const never = new AbortController().signal;
const nothingDone = { nextUndone: (_id: string, from: number) => Promise.resolve(from) };

async function taken(queue: LocalQueue, count: number): Promise<string[]> {
  const names: string[] = [];
  for (let at = 0; at < count; at += 1) {
    const { jobId, index } = await queue.take(never);
    names.push(`${jobId}${index}`);
  }
  return names;
}

test("tenants take turns, whoever has more jobs; the jobs of one go by age", async () => {
  const queue = new LocalQueue(nothingDone);
  await queue.offer(jobOf("b", "big", { sequence: 2, chunks: 2 }));
  await queue.offer(jobOf("a", "big", { sequence: 1, chunks: 3 }));
  await queue.offer(jobOf("s", "small", { sequence: 3, chunks: 2 }));
  await queue.offer(jobOf("a", "big", { sequence: 1, chunks: 3 }));
  assert.deepEqual(await taken(queue, 7), ["a0", "s0", "a1", "s1", "a2", "b0", "b1"]);
  const stopping = new AbortController();
  const waiting = queue.take(stopping.signal);
  stopping.abort(new Error("stopping"));
  await assert.rejects(waiting, { message: "stopping" });
});

test("chunks that have results are passed over; what is withdrawn is not handed out", async () => {
  const done = new Set([0, 2]);
  const queue = new LocalQueue({
    nextUndone: (_id, from) => {
      let index = from;
      while (done.has(index)) index += 1;
      return Promise.resolve(index);
    },
  });
  const job = jobOf("a", "t", { sequence: 1, chunks: 5 });
  await queue.offer(job);
  assert.deepEqual(await taken(queue, 2), ["a1", "a3"]);
  await queue.withdraw(job);
  await queue.offer(jobOf("b", "t", { sequence: 2, chunks: 1 }));
  done.clear();
  assert.deepEqual(await taken(queue, 1), ["b0"]);
});

test("what is given back comes again when it is due, and until then holds its job and no other", async () => {
  let nowMs = 0;
  const queue = new LocalQueue(nothingDone, () => nowMs);
  await queue.offer(jobOf("a", "t", { sequence: 1, chunks: 3 }));
  await queue.offer(jobOf("b", "t", { sequence: 2, chunks: 2 }));
  const first = await queue.take(never);
  await first.giveBack(50);
  assert.deepEqual(await taken(queue, 1), ["b0"]);
  nowMs = 60;
  assert.deepEqual(await taken(queue, 4), ["a0", "a1", "a2", "b1"]);
  // Who waits is woken when it is due.
  const waiting = queue.take(never);
  await first.giveBack(0);
  assert.equal((await waiting).index, 0);
});
