import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { openTracing } from "#src/tracing/open-tracing.js";
import { readTraceContext } from "#src/work/trace-context.js";

const identity = { name: "m", environment: "e", version: "1", configHash: "0", node: "n" };
const parts = {
  identity,
  metrics: { spansDropped: () => {} },
  log: { info: () => {}, warn: () => {} },
};
const options = { otlpUrl: null, traceSampleRatio: 1, traceQueueSpansMax: 8 };

/** Without the interfaces, which prom-client loads for itself: of the file that knows the SDK nothing else is there. */
function loaded(): string[] {
  const { cache } = createRequire(import.meta.url);
  const isOf = (path: string): boolean => /@opentelemetry[\\/](?!api[\\/])/.test(path);
  return Object.keys(cache).filter(isOf);
}

test("without a collector nothing of OpenTelemetry is loaded, and a caller's trace is handed on as it is", async () => {
  const off = await openTracing({ ...parts, options });
  assert.deepEqual(loaded(), []);
  assert.equal(off.tracer.begin("a", null, {}), null);
  const parent = readTraceContext(`00-${"1".repeat(32)}-${"2".repeat(16)}-01`);
  const span = off.tracer.begin("a", parent, {});
  assert.deepEqual([span?.context, span?.isKept], [parent, false]);
  assert.equal(span?.child("b"), span);
  await off.close(0);
  const on = await openTracing({
    ...parts,
    options: { ...options, otlpUrl: "http://127.0.0.1:9" },
  });
  assert.ok(loaded().length > 0);
  await on.close(0);
});
