import assert from "node:assert/strict";
import { bench, figuresIn } from "../support/bench.js";
import { longTest } from "../support/long.js";
import { skipWithoutNats } from "../support/nats-server.js";

const ofNodes = [
  "2 nodes, 20/s by chance each: p50, predicted / real #",
  "2 nodes, 20/s by chance each: p99, predicted / real #",
];

longTest(
  "the plan benchmark runs to its end at tiny size, and predicts each load",
  {},
  async () => {
    const size = [
      "--rates",
      "20",
      "--callers",
      "2",
      "--node-rates",
      "20",
      "--seconds",
      "1",
      "--rounds",
      "1",
    ];
    const out = await bench("plan", "--workers", "timed", ...size);
    const printed = figuresIn(out);
    const lines = [
      "20/s by chance: p50, predicted / real #",
      "20/s by chance: p99, predicted / real #",
      "2 callers who wait: p50, predicted / real #",
      "2 callers who wait: p99, predicted / real #",
      ...(skipWithoutNats === false ? ofNodes : []),
    ];
    assert.deepEqual(
      lines.filter((line) => !printed.includes(line)),
      [],
      out,
    );
    assert.match(out, /commit [0-9a-f]{7}/);
  },
);
