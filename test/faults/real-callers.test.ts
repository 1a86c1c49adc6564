/** Callers who leave, who are too many, or who cannot wait, with the real runtime under load. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ErrorResponse, StatusResponse, TranslateResponse } from "millrace-client/wire";
import type { MillraceServer } from "#src/index.js";
import {
  assertIdle,
  getStatus,
  outcomeOf,
  pidsOf,
  post,
  sentences,
  startReal,
  texts,
  translate,
  translateAlone,
  until,
} from "../support/real-server.js";

const limit = { timeout: 60_000 };
/** Of one pipeline. */
let server: MillraceServer;
let alone: ReadonlyMap<string, string>;

before(async () => {
  server = await startReal({ pipelines: 1 });
  alone = await translateAlone(server.url);
}, limit);

after(() => server.close());

function rowsOf({ stages }: StatusResponse, stage: string): number {
  return stages.find((each) => each.stage === stage)?.rows ?? 0;
}

function isHolding({ pipelines }: StatusResponse): boolean {
  return pipelines.some(({ items }) => items.inFlight > 0);
}

/**
 * Rows of a stage, of everything that ended before the call, and of at most the last sentence after it: a pipeline reports what
 * it measured when it idles, after the last result, so that two sentences one after the other leave nothing before them untold.
 */
async function reportedRows(...stages: readonly string[]): Promise<number[]> {
  for (let turn = 0; turn < 2; turn += 1)
    await translate(server.url, { texts: [sentences[0] ?? ""], beams: 1 });
  const status = await getStatus(server.url);
  return stages.map((stage) => rowsOf(status, stage));
}

test("a caller who leaves in the midst costs no further step", limit, async (t) => {
  const caller = new AbortController();
  const inputs = texts(800);
  const response = await post(
    server.url,
    { texts: inputs, class: "bulk", beams: 4 },
    { headers: { accept: "application/x-ndjson" }, signal: caller.signal },
  );
  const reader = response.body?.getReader();
  await reader?.read();
  const other = translate(server.url, { texts: sentences.slice(0, 20), class: "bulk" });
  caller.abort();
  await assert.rejects(async () => {
    while ((await reader?.read())?.done === false);
  });
  assert.deepEqual(
    (await other).results.map(outcomeOf),
    sentences.slice(0, 20).map((text) => alone.get(text)),
    "the other caller is not affected",
  );
  const status = await until(async () => {
    const now = await getStatus(server.url);
    return now.requests.active === 0 && !isHolding(now) && now;
  });
  assertIdle(status);
  assert.equal(status.requests.cancelled, 1);
  assert.ok(status.items.cancelled > inputs.length / 2, `${status.items.cancelled} cancelled`);
  // Whatever comes from now on is work of the next sentences: nothing of the old is in the engine.
  const worked = status.items.done + status.items.cancelled;
  const [encoded = 0, decoded = 0] = await reportedRows("encode", "decode");
  const [encodedAfter = 0, decodedAfter = 0] = await reportedRows("encode", "decode");
  t.diagnostic(
    `${status.items.done} of ${worked} done, ${encoded} encoded, ${decoded} rows decoded before it left`,
  );
  assert.ok(encoded < inputs.length / 2);
  const sentencesMore = encodedAfter - encoded;
  assert.ok(sentencesMore >= 1 && sentencesMore <= 3, `${sentencesMore} more were encoded`);
  const tokens = decodedAfter - decoded;
  assert.ok(tokens < 64 * 3, `${tokens} rows decoded for three short sentences at most`);
});

test(
  "full queues refuse with the time to come back, and what was accepted is done",
  limit,
  async (t) => {
    await using small = await startReal({
      pipelines: 1,
      queuedItemsMax: 150,
      requestInputsMax: 150,
    });
    const request = { texts: texts(25), class: "bulk", beams: 4 } as const;
    const expected = (await translate(small.url, request)).results.map(outcomeOf);
    const replies = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const response = await post(small.url, request);
        return { response, body: (await response.json()) as TranslateResponse & ErrorResponse };
      }),
    );
    const accepted = replies.filter(({ response }) => response.status === 200);
    const refused = replies.filter(({ response }) => response.status !== 200);
    t.diagnostic(`${accepted.length} accepted, ${refused.length} refused`);
    assert.ok(accepted.length >= 3, "as many as fit are accepted");
    assert.ok(refused.length > 0, "the others are not");
    for (const { body } of accepted) assert.deepEqual(body.results.map(outcomeOf), expected);
    for (const { response, body } of refused) {
      assert.equal(response.status, 429);
      assert.deepEqual([body.error.code, body.error.retryable], ["queue_full", true]);
      assert.ok(Number(response.headers.get("retry-after")) >= 1);
    }
    const status = await getStatus(small.url);
    assertIdle(status);
    assert.equal(status.requests.refused, refused.length);
  },
);

test("a deadline that passes while all pipelines are busy", limit, async (t) => {
  const pids = pidsOf(await getStatus(server.url));
  let ended = false;
  const busy = translate(server.url, { texts: texts(150), class: "bulk", beams: 4 }).finally(() => {
    ended = true;
  });
  await until(async () => isHolding(await getStatus(server.url)));
  const hurried = { texts: texts(150), class: "bulk", timeoutMs: 150, tenant: "hurried" } as const;
  const { results } = await translate(server.url, hurried);
  assert.equal(ended, false, "the answer came while the pipeline was busy");
  const outcomes = results.map(outcomeOf);
  const late = outcomes.filter((outcome) => outcome === "deadline_exceeded").length;
  t.diagnostic(`${late} of ${outcomes.length} were too late`);
  assert.ok(late > 0);
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome !== "deadline_exceeded") {
      assert.equal(outcome, alone.get(hurried.texts[index] ?? ""));
    }
  }
  const { results: all } = await busy;
  assert.ok(all.every((item) => !("error" in item)));
  const status = await getStatus(server.url);
  assertIdle(status);
  assert.deepEqual(pidsOf(status), pids, "no worker was killed for it");
});
