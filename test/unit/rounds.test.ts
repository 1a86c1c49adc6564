import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { test } from "node:test";
import { BodyReading } from "#src/listen/http/body-reading.js";
import { Rounds } from "#src/listen/rounds.js";

const KiB = 1024;
const nextRound = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function requests(count: number): IncomingMessage[] {
  return Array.from({ length: count }, () => new IncomingMessage(new Socket()));
}

function resting(all: readonly IncomingMessage[]): number {
  return all.filter(({ socket }) => socket.isPaused()).length;
}

test("a round reads its share; the others rest and go on in turn", async () => {
  const rounds = new Rounds();
  const all = requests(50);
  for (const request of all) new BodyReading(request, rounds).took(64 * KiB);
  assert.equal(resting(all), 50 - 15);
  await nextRound();
  assert.equal(resting(all), 50 - 15 - 16);
  await nextRound();
  await nextRound();
  assert.equal(resting(all), 0);
});

test("a body that comes byte by byte costs what it costs to be told of it", async () => {
  const rounds = new Rounds();
  const all = requests(4);
  for (const request of all) {
    const reading = new BodyReading(request, rounds);
    for (let i = 0; i < 10_000; i++) reading.took(1);
  }
  assert.equal(resting(all), 4);
  await nextRound();
  assert.equal(resting(all), 3, "one of these is a round's share");
  await nextRound();
  await nextRound();
  await nextRound();
  assert.equal(resting(all), 0);
});
