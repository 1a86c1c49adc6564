import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { VirtualClock } from "#src/simulation/virtual-clock.js";
import { LogLines, linesMax } from "#src/worker/log-lines.js";

interface Line {
  readonly fields: { readonly dropped?: number };
  readonly message: string;
}

function makeLines(): {
  input: PassThrough;
  clock: VirtualClock;
  logged: string[];
  warned: Line[];
} {
  const clock = new VirtualClock();
  const logged: string[] = [];
  const warned: Line[] = [];
  const input = new PassThrough({ highWaterMark: 64 * 1024 * 1024 });
  const log = {
    info: (_: object, message: string): void => void logged.push(message),
    warn: (fields: object, message: string): void => void warned.push({ fields, message }),
  };
  const time = {
    now: () => clock.nowMs,
    after: (delayMs: number, action: () => void) => clock.after(delayMs, action),
  };
  new LogLines({ log, clock: time, pipelineId: "p", stream: "stdout" }, input);
  return { input, clock, logged, warned };
}

test("lines arrive whole, however they were cut, and the last one needs no end", async () => {
  const { input, logged, warned } = makeLines();
  for (const text of ["on", "e\ntwo", "\n\nth", "ree"]) input.write(text);
  input.end();
  await once(input, "close");
  assert.deepEqual(logged, ["one", "two", "three"]);
  assert.deepEqual(warned, []);
});

test("a child that prints without end fills no log: what is over the rate is counted", async () => {
  const { input, clock, logged, warned } = makeLines();
  input.write("flood\n".repeat(10_000));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(logged.length, linesMax);
  assert.ok(clock.advance());
  assert.equal(warned[0]?.fields.dropped, 10_000 - linesMax);
  input.write("calm\n");
  input.end();
  await once(input, "close");
  assert.equal(logged.at(-1), "calm");
  assert.equal(clock.advance(), false, "no timer is left behind");
});

test("nor does it take the parent's time: after so many bytes it waits for the next second", async () => {
  const { input, clock, logged } = makeLines();
  input.write("x".repeat(9 * 1024 * 1024));
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(input.isPaused());
  assert.ok(clock.advance());
  assert.ok(!input.isPaused());
  input.end("\n");
  await once(input, "close");
  assert.equal(logged[0]?.length, 8_192);
});
