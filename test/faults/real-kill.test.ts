/** Workers with the real runtime die, or stop, under load: every item has its one outcome, and the right one. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { StatusResponse } from "millrace-client/wire";
import type { MillraceServer } from "#src/index.js";
import { isLong } from "../support/long.js";
import { isRunning } from "../support/processes.js";
import {
  assertIdle,
  getStatus,
  pidsOf,
  sentences,
  startReal,
  texts,
  translateAlone,
  translateInLines,
  until,
} from "../support/real-server.js";

const limit = { timeout: 60_000 };
/** A kill from outside says nothing about the items, but attempts are bounded: fewer kills than these lose no item. */
const attemptsMax = 8;
/** Of two pipelines; each test has its workers up again when it ends. */
let server: MillraceServer;
let alone: ReadonlyMap<string, string>;

before(async () => {
  server = await startReal({ attemptsMax });
  await up();
  alone = await translateAlone(server.url);
}, limit);

after(() => server.close());

function up(): Promise<StatusResponse> {
  return until(async () => {
    const now = await getStatus(server.url);
    return allUp(now) && now;
  });
}

function restartsOf({ pipelines }: StatusResponse): number[] {
  return pipelines.map(({ restarts }) => restarts);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, each) => all + each, 0);
}

/** Sentences that take a second or so: enough to be in the midst of them. */
const many = isLong ? 400 : 60;

async function translateBulk(url: string, inputs: readonly string[]): Promise<void> {
  const outcomes = await translateInLines(url, { texts: inputs, class: "bulk" }, inputs.length);
  const expected = inputs.map((text) => alone.get(text));
  assert.deepEqual(outcomes, expected);
}

/** Process ids of the workers that say what they are doing. */
function busyPids({ pipelines }: StatusResponse): number[] {
  return pipelines.flatMap(({ pid, doing }) => (pid === null || doing === null ? [] : [pid]));
}

/** Waits until both workers say what they are doing. Asked without a socket: what comes next finds them at it. */
async function bothBusy(): Promise<[number, number]> {
  return await until(() => {
    const [first, second] = busyPids(server.views.status());
    return first !== undefined && second !== undefined && [first, second];
  });
}

function allUp({ pipelines }: StatusResponse): boolean {
  return (
    pipelines.every(
      ({ state, models }) => state === "ready" && models.every((each) => each.state === "resident"),
    ) && pipelines.every(({ loads }) => loads > 0)
  );
}

test("kill -9 of one worker in the midst of its work", limit, async () => {
  const before = await up();
  const work = translateBulk(server.url, texts(many));
  const [victim] = await bothBusy();
  process.kill(victim, "SIGKILL");
  await work;
  const status = await up();
  assertIdle(status);
  assert.equal(sum(restartsOf(status)) - sum(restartsOf(before)), 1);
  assert.ok(status.items.retried > before.items.retried, "what it held was tried again");
  assert.equal(status.items.failed, 0);
  assert.ok(!isRunning(victim));
});

test("kill -9 of a worker every 300 ms during hundreds of items of 2 beams", limit, async (t) => {
  const killsMax = isLong ? attemptsMax - 1 : 3;
  const before = await up();
  const inputs = texts(400);
  const request = { texts: inputs, class: "bulk", beams: 2 } as const;
  const searched = await translateInLines(
    server.url,
    { ...request, texts: sentences },
    sentences.length,
  );
  const ended = new AbortController();
  const work = translateInLines(server.url, request, inputs.length).finally(() => ended.abort());
  let kills = 0;
  while (!ended.signal.aborted && kills < killsMax) {
    const [victim] = busyPids(await getStatus(server.url));
    if (victim !== undefined) {
      process.kill(victim, "SIGKILL");
      kills += 1;
    }
    // Not to wait for something: the interval is the fault.
    await Promise.race([delay(300), work]);
  }
  const expected = inputs.map((_, index) => searched[index % searched.length]);
  assert.deepEqual(await work, expected);
  const status = await getStatus(server.url);
  assertIdle(status);
  const retried = status.items.retried - before.items.retried;
  t.diagnostic(`${kills} kills, ${retried} items tried again`);
  assert.ok(kills > 1);
  assert.ok(retried > 0);
});

test("all workers killed at once", limit, async () => {
  const before = restartsOf(await up());
  const work = translateBulk(server.url, texts(many));
  const pids = await bothBusy();
  for (const pid of pids) process.kill(pid, "SIGKILL");
  await work;
  const status = await up();
  assertIdle(status);
  assert.deepEqual(
    status.pipelines.map(({ restarts, loads, models }, at) => [
      restarts - (before[at] ?? 0),
      loads === models.length,
    ]),
    [
      [1, true],
      [1, true],
    ],
  );
  assert.deepEqual(pids.filter(isRunning), []);
  assert.deepEqual(
    pidsOf(status).filter((pid) => pids.includes(pid)),
    [],
  );
});

test("SIGSTOP of a worker: found, replaced, and nobody is blamed", limit, async () => {
  const before = await up();
  const work = translateBulk(server.url, texts(many));
  const [victim] = await bothBusy();
  process.kill(victim, "SIGSTOP");
  await work;
  // The other one may be through before this one is up again.
  const status = await up();
  assertIdle(status);
  assert.equal(status.items.failed, 0);
  assert.equal(sum(restartsOf(status)) - sum(restartsOf(before)), 1);
  await until(() => !isRunning(victim));
});
