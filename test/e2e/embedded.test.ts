/** A server inside somebody's process: work comes by `server.submit` too, and a stop has to know of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MillraceServer } from "#src/index.js";
import { isLong } from "../support/long.js";
import { startReal, texts } from "../support/real-server.js";

/** A second or more of work. */
const count = isLong ? 400 : 120;

/** How each input ended: its code where it failed. */
async function submit(
  server: MillraceServer,
  count: number,
  onFirst: () => void,
): Promise<string[]> {
  const ends: string[] = [];
  const request = {
    id: "embedded",
    task: "translate",
    model: null,
    fields: { texts: texts(count), beams: 1 },
    class: "bulk",
    tenant: "default",
    deadlineAtMs: null,
    payloadBytes: 100 * count,
  } as const;
  await server.submit.submit(request, new AbortController().signal, {
    onOutcome: ({ index, outcome }) => {
      ends[index] = "error" in outcome ? outcome.error.code : "ok";
      if (Object.keys(ends).length === 1) onFirst();
    },
  });
  return ends;
}

for (const [drainMs, isDrained] of [
  [60_000, true],
  [1, false],
] as const) {
  test(`a stop with drainMs ${drainMs} ${isDrained ? "lets" : "cuts off"} the work of this process, and says so`, async () => {
    const server = await startReal({ pipelines: 1, drainMs });
    let begun = (): void => {};
    const first = new Promise<void>((resolve) => (begun = resolve));
    const work = submit(server, count, () => begun());
    const cut = isDrained ? null : assert.rejects(work, { code: "draining" });
    await first;
    assert.equal(await server.close(), isDrained);
    if (cut !== null) return await cut;
    const ends = await work;
    assert.equal(ends.length, count);
    assert.ok(ends.every((end) => end === "ok"));
  });
}
