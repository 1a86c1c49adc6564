import assert from "node:assert/strict";
import { test } from "node:test";
import { bench, figuresIn } from "../support/bench.js";

test("the tracing benchmark runs to its end at tiny size, and finds a trace of every request", async () => {
  const size = ["--kept", "1", "--callers", "2", "--seconds", "0.2", "--rounds", "1"];
  const out = await bench("tracing", "--workers", "instant", ...size);
  const printed = figuresIn(out);
  const lines = ["sentences/s: 100% kept / off #", "front, time of a request: 100% kept / off #"];
  assert.deepEqual(
    lines.filter((line) => !printed.includes(line)),
    [],
    out,
  );
  assert.match(out, /commit [0-9a-f]{7}/);
});
