import assert from "node:assert/strict";
import { test } from "node:test";
import type { LiveSample } from "millrace-client/wire";
import { liveSampleOf } from "#src/metrics/live-sample.js";
import { History, secondsMax, sumsOf } from "../../page/live/history.js";
import { someStatus } from "../support/some-status.js";

/** A second after the other; `ran`: how many runs of four rows there were, of 100 ms each. */
function sampleAt(
  second: number,
  ran: number,
  change: Partial<LiveSample["pipelines"][number]> = {},
): LiveSample {
  const sample = liveSampleOf(someStatus(), second * 1_000);
  const work = [
    {
      model: "echo",
      runs: ran,
      rows: 4 * ran,
      units: 30 * ran,
      paddedUnits: 40 * ran,
      ms: 100 * ran,
    },
  ];
  return {
    ...sample,
    items: { ...sample.items, done: 4 * ran },
    pipelines: sample.pipelines.map((each) => ({ ...each, work, ...change })),
  };
}

test("between two samples is what happened then", () => {
  const history = new History();
  history.restart([sampleAt(1, 10), sampleAt(2, 15)]);
  const [second] = history.seconds;
  assert.equal(second?.itemsPerSecond, 20);
  assert.deepEqual([...second.unitsPerSecond], [["echo", 150]]);
  assert.deepEqual(sumsOf(history.seconds, "echo-0"), {
    runs: 5,
    rowsPerRun: 4,
    padding: 0.25,
    busy: 0.5,
  });
});

test("a restart is seen once, and a pipeline that is down", () => {
  const history = new History();
  history.restart([
    sampleAt(1, 1),
    sampleAt(2, 1, { state: "backing-off" }),
    sampleAt(3, 1, { state: "backing-off" }),
  ]);
  const told = history.seconds.map(({ pipelines }) => pipelines.get("echo-0"));
  assert.deepEqual(
    told.map((each) => [each?.state, each?.hasRestarted]),
    [
      ["backing-off", true],
      ["backing-off", false],
    ],
  );
});

test("two minutes are kept; a sample that comes twice counts once; a server that begins anew is no fall below nothing", () => {
  const history = new History();
  for (let second = 0; second < 200; second += 1) history.add(sampleAt(second, second));
  history.add(sampleAt(199, 199));
  assert.equal(history.seconds.length, secondsMax);
  const anew = sampleAt(201, 0);
  history.add({ ...anew, items: { ...anew.items, accepted: 0, done: 0 } });
  assert.equal(history.seconds.length, secondsMax);
  assert.ok(history.seconds.every(({ itemsPerSecond }) => itemsPerSecond >= 0));
});
