/** How a server ends, as far as others decide how long that takes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OpenedParts } from "#src/opened-parts.js";
import { noTracer } from "#src/tracing/tracer.js";

test("attack: a collector that takes nothing does not have a server wait for as long as callers may", async () => {
  const asked: number[] = [];
  for (const drainMs of [0, 3_600_000]) {
    const opened = new OpenedParts();
    const close = (msMax: number): Promise<void> => {
      asked.push(msMax);
      return Promise.resolve();
    };
    opened.tracing = { tracer: noTracer, close };
    assert.equal(await opened.end(drainMs), true);
  }
  assert.deepEqual(asked, [1_000, 5_000]);
});
