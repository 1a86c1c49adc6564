/** What becomes of spans where a collector refuses them, and for how long one that hangs is waited for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { exportTimeout, OtlpTracer } from "#src/tracing/otlp-tracer.js";
import { OtlpCollector, spansOf } from "../support/otlp-collector.js";
import { until } from "../support/until.js";

const identity = { name: "m", environment: "e", version: "1", configHash: "0", node: "n" };
const queueSpansMax = 8;

test("defect: behind a request that a collector refused others went beside each other", async () => {
  await using collector = await OtlpCollector.start();
  collector.mood = "holds";
  const dropped = { queue_full: 0, export_failed: 0 };
  const moods: boolean[] = [];
  const tracer = new OtlpTracer({
    url: collector.url,
    sampleRatio: 1,
    queueSpansMax,
    identity,
    onDropped: (reason, spans) => {
      dropped[reason] += spans;
    },
    onCollector: (isThere) => moods.push(isThere),
  });
  const end = (spans: number): void => {
    for (let each = 0; each < spans; each += 1) tracer.begin("a", null, {})?.end();
  };
  // One request is under way, as many spans wait, and there is no room for the others.
  end(100);
  await until(() => collector.held === 1);
  assert.deepEqual(dropped, { queue_full: 100 - 2 * queueSpansMax, export_failed: 0 });
  collector.answerHeld(400);
  // Those that waited go next, by themselves: of a hundred more as many wait.
  await until(() => collector.held === 1);
  assert.deepEqual(dropped.export_failed, queueSpansMax);
  end(100);
  assert.equal(dropped.queue_full, 200 - 3 * queueSpansMax);
  collector.answerHeld(200);
  await until(() => collector.held === 1);
  collector.answerHeld(200);
  await tracer.close(5_000);
  assert.deepEqual(
    collector.bodies.map((body) => spansOf(body).length),
    [8, 8, 8],
  );
  assert.deepEqual(dropped, { queue_full: 200 - 3 * queueSpansMax, export_failed: queueSpansMax });
  assert.deepEqual(moods, [false, true]);
});

test("defect: a process whose collector hung stayed for as long as OpenTelemetry waits, longer than a server that stops", () => {
  assert.deepEqual(exportTimeout({}), { timeoutMillis: 5_000 });
  assert.deepEqual(exportTimeout({ OTEL_EXPORTER_OTLP_TIMEOUT: " " }), { timeoutMillis: 5_000 });
  assert.deepEqual(exportTimeout({ OTEL_EXPORTER_OTLP_TIMEOUT: "700" }), {});
  assert.deepEqual(exportTimeout({ OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "60000" }), {});
});
