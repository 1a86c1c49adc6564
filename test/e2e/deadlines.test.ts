/** Deadlines that cannot be met: who names one while the queue is full of older work hears it at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ErrorResponse } from "millrace-client/wire";
import { getStatus, post, sentences, startReal, texts, until } from "../support/real-server.js";

test("a deadline that older work passes is refused at once, one that fits is not, nor any once the work is gone", async () => {
  await using server = await startReal({ pipelines: 1, ageLimitMs: 100 });
  const text = sentences.slice(0, 1);
  const flood = new AbortController();
  const flooding = post(
    server.url,
    { texts: texts(4_000), class: "bulk", beams: 4 },
    { signal: flood.signal },
  );
  const drowned = assert.rejects(flooding);
  const refusal = await until(async () => {
    const reply = await post(server.url, { texts: text, class: "bulk", timeoutMs: 100 });
    const body = (await reply.json()) as Partial<ErrorResponse>;
    return reply.status === 429 && { body, retryAfter: reply.headers.get("retry-after") };
  });
  assert.equal(refusal.body.error?.code, "deadline_too_soon");
  assert.ok(Number(refusal.retryAfter) >= 1);
  assert.ok((await getStatus(server.url)).requests.refused >= 1);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  assert.match(metrics, /^millrace_refused_total\{code="deadline_too_soon"\} [1-9]/m);
  const fits = await post(server.url, { texts: text, class: "realtime", timeoutMs: 30_000 });
  assert.equal(fits.status, 200, "what goes before the older work");
  flood.abort();
  await drowned;
  await until(async () => (await getStatus(server.url)).requests.active === 0);
  const after = await post(server.url, { texts: text, class: "bulk", timeoutMs: 30_000 });
  assert.equal(after.status, 200);
});
