import assert from "node:assert/strict";
import { test } from "node:test";
import { type Fetch, Millrace, type MillraceOptions, type Translation } from "millrace-client";
import {
  answer,
  beginStream,
  deployment,
  doneLine,
  item,
  itemLine,
  refuse,
  serveHttp,
} from "../support/http-server.js";

const noPause = { retry: { delayMs: 0 } } as const;

function texts({ results }: Translation): (string | undefined)[] {
  return results.map((result) => ("text" in result ? result.text : undefined));
}

test("calls made together with the same options share one request, each gets its own results", async () => {
  await using server = await serveHttp(answer);
  await using client = new Millrace(server.url);
  const progress: string[] = [];
  const [a, b, c, d] = await Promise.all([
    client.translate(["a0", "a1"], { beams: 2, nBest: 1 }),
    client.translate("b0", {
      nBest: 1,
      beams: 2,
      onProgress: ({ done, total }) => progress.push(`${done}/${total}`),
    }),
    client.translate("c0"),
    client.translate({ tokenIds: [[1, 0]] }, { beams: 2, nBest: 1 }).catch(() => null),
  ]);
  assert.deepEqual([texts(a), texts(b), texts(c), d], [["«a0»", "«a1»"], ["«b0»"], ["«c0»"], null]);
  assert.deepEqual(progress, ["1/1"]);
  assert.deepEqual(server.exchanges.map((exchange) => exchange.texts.join(" ")).toSorted(), [
    "",
    "a0 a1 b0",
    "c0",
  ]);
});

test("a shared request is bounded, a large call goes alone, and sharing can be turned off", async () => {
  await using server = await serveHttp(answer);
  await using client = new Millrace(server.url, { sharing: { inputsMax: 3, charactersMax: 100 } });
  await Promise.all([
    client.translate(["a", "b"]),
    client.translate(["c", "d"]),
    client.translate(["e", "f", "g", "h"]),
    client.translate("i".repeat(100)),
  ]);
  assert.equal(server.exchanges.length, 4);
  await using alone = new Millrace(server.url, { sharing: false });
  await Promise.all([alone.translate("a"), alone.translate("b")]);
  assert.equal(server.exchanges.length, 6);
});

test("one caller who leaves does not disturb the others; the last one takes the request along", async () => {
  await using server = await serveHttp(({ response }) => {
    beginStream(response);
    response.flushHeaders();
  });
  await using client = new Millrace(server.url, noPause);
  const leaving = new AbortController();
  const left = client.translate("a", { signal: leaving.signal });
  const stays = client.translate("b");
  const { response, texts: asked } = await server.arrived(0);
  assert.deepEqual(asked, ["a", "b"]);
  leaving.abort();
  await assert.rejects(left, { code: "cancelled" });
  response.end(itemLine(1, item("b")) + itemLine(0, item("a")) + doneLine(2));
  assert.deepEqual(texts(await stays), ["«b»"]);

  const both = [new AbortController(), new AbortController()];
  const calls = both.map(({ signal }) => client.translate("c", { signal }));
  const { closed } = await server.arrived(1);
  for (const controller of both) controller.abort();
  for (const call of calls) await assert.rejects(call, { code: "cancelled" });
  assert.equal(await closed, "gone");
});

test("a caller who leaves before the request departs is not in it", async () => {
  await using server = await serveHttp(answer);
  await using client = new Millrace(server.url);
  const leaving = new AbortController();
  const left = client.translate("a", { signal: leaving.signal });
  const stays = client.translate("b");
  leaving.abort();
  await assert.rejects(left, { code: "cancelled" });
  assert.deepEqual(texts(await stays), ["«b»"]);
  assert.deepEqual(server.exchanges[0]?.texts, ["b"]);
});

test("a text that the server refuses fails its own caller only", async () => {
  await using server = await serveHttp((exchange) => {
    if (exchange.texts.includes("bad")) refuse(exchange, { status: 400, code: "bad_encoding" });
    else answer(exchange);
  });
  await using client = new Millrace(server.url);
  const bad = client.translate("bad");
  const good = client.translate("good");
  await assert.rejects(bad, { code: "bad_encoding" });
  assert.deepEqual(texts(await good), ["«good»"]);
  assert.equal(server.exchanges.length, 3);
});

test("what a caller's own callback throws fails its call only", async () => {
  await using server = await serveHttp(answer);
  await using client = new Millrace(server.url);
  const onProgress = (): void => {
    throw new RangeError("mine");
  };
  const clumsy = client.translate("a", { onProgress });
  const good = client.translate("b");
  await assert.rejects(clumsy, RangeError);
  assert.deepEqual(texts(await good), ["«b»"]);
  await using alone = new Millrace(server.url, { sharing: false });
  await assert.rejects(alone.translate("a", { onProgress }), RangeError);
});

test("a broken shared request is resumed for all of its callers", async () => {
  await using server = await serveHttp((exchange) => {
    if (exchange.number > 0) return answer(exchange);
    beginStream(exchange.response);
    exchange.response.end(itemLine(1, item("b")));
    return undefined;
  });
  await using client = new Millrace(server.url, noPause);
  const outcome = await Promise.all([client.translate("a"), client.translate("b")]);
  assert.deepEqual(outcome.map(texts), [["«a»"], ["«b»"]]);
  assert.deepEqual(server.exchanges[1]?.texts, ["a"]);
});

test("defect 5: a caller is answered when its own results are in, whatever the others wait for", async () => {
  await using server = await serveHttp(({ response }) => {
    beginStream(response);
    response.write(itemLine(2, item("b")));
  });
  await using client = new Millrace(server.url, noPause);
  const slow = client.translate(["a0", "a1"], { model: "en-zh" });
  const label = await client.translate("b", { model: "en-zh" });
  assert.deepEqual(texts(label), ["«b»"]);
  // What only the last line says is not made up.
  const { results: _results, timings, ...summary } = label;
  assert.deepEqual(summary, {
    shared: true,
    id: "request-1",
    model: "en-zh",
    class: "realtime",
    pipelines: null,
    deployment,
  });
  const { totalMs, ...phases } = timings;
  assert.deepEqual(phases, { prepareMs: null, queueMs: null, computeMs: null });
  assert.ok(totalMs > 0);

  const { response } = await server.arrived(0);
  response.end(itemLine(1, item("a1")) + itemLine(0, item("a0")) + doneLine(3));
  assert.deepEqual(texts(await slow), ["«a0»", "«a1»"]);
  const alone = await client.translate("c").catch(() => null);
  assert.equal(alone, null, "the server of this test answers shared requests only");
});

test("defect 5: a call that had its request to itself has all that the server says of it", async () => {
  await using server = await serveHttp(answer);
  await using client = new Millrace(server.url);
  const translation = await client.translate("a");
  assert.ok(!translation.shared);
  assert.equal(translation.timings.queueMs, 2);
  assert.deepEqual(translation.pipelines, { "shared-0": 1 });
});

test("defect 5: a broken stream takes no results away, and only what is missing is asked for again", async () => {
  const error = { code: "internal", message: "a bug", retryable: false };
  await using server = await serveHttp((exchange) => {
    const { response, number } = exchange;
    if (number === 1) return answer(exchange);
    beginStream(response);
    if (number === 0) response.end(itemLine(0, item("a0")) + itemLine(2, item("b0")));
    else response.end(`${itemLine(0, item("c"))}${JSON.stringify({ error })}\n`);
    return undefined;
  });
  await using client = new Millrace(server.url, noPause);
  const resumed = await Promise.all([client.translate(["a0", "a1"]), client.translate("b0")]);
  assert.deepEqual(resumed.map(texts), [["«a0»", "«a1»"], ["«b0»"]]);
  assert.deepEqual(server.exchanges[1]?.texts, ["a1"]);

  const answered = client.translate("c");
  const broken = client.translate("d");
  await assert.rejects(broken, { code: "internal" });
  assert.deepEqual(texts(await answered), ["«c»"]);
});

test("defect 5: after a refusal of what is left, each goes on alone, for what it has not got", async () => {
  await using server = await serveHttp((exchange) => {
    const { response, number } = exchange;
    if (number === 1) return refuse(exchange, { status: 413, code: "too_many_items" });
    if (number > 1) return answer(exchange);
    beginStream(response);
    response.end(itemLine(0, item("a0")));
    return undefined;
  });
  await using client = new Millrace(server.url, noPause);
  const both = await Promise.all([client.translate(["a0", "a1"]), client.translate("b0")]);
  assert.deepEqual(both.map(texts), [["«a0»", "«a1»"], ["«b0»"]]);
  assert.deepEqual(
    server.exchanges
      .slice(2)
      .map((exchange) => exchange.texts.join())
      .toSorted(),
    ["a1", "b0"],
  );
});

test("defect 5: a setting that is refused fails all who share it with one request", async () => {
  await using server = await serveHttp((exchange) => {
    refuse(exchange, { status: 400, code: "bad_request", param: "beams" });
  });
  await using client = new Millrace(server.url);
  const calls = ["a", "b", "c"].map((text) => client.translate(text, { beams: 99 }));
  for (const call of calls) await assert.rejects(call, { code: "bad_request", param: "beams" });
  assert.equal(server.exchanges.length, 1);
});

test("defect 5: nobody rides beside a page", async () => {
  await using server = await serveHttp(answer);
  await using client = new Millrace(server.url);
  const page = "A sentence. ".repeat(300);
  await Promise.all(
    [page, "label", "other", page.slice(0, 256)].map((text) => client.translate(text)),
  );
  const together = server.exchanges.map((exchange) => exchange.texts.length);
  assert.deepEqual(
    together.toSorted((a, b) => a - b),
    [1, 1, 2],
  );
  // Also where the caller names the class, and its size decides nothing.
  await Promise.all([page, "label"].map((text) => client.translate(text, { class: "realtime" })));
  assert.equal(server.exchanges.length, 5);
});

/** The requests in which calls of so many texts travel, as `texts class`. */
async function requestsOf(
  sizes: readonly number[],
  options: MillraceOptions,
  fields: Parameters<Millrace["translate"]>[1] = {},
): Promise<string[]> {
  await using server = await serveHttp(answer);
  await using client = new Millrace(server.url, options);
  await Promise.all(sizes.map((size) => client.translate(Array<string>(size).fill("a"), fields)));
  return server.exchanges
    .map(
      ({ body, texts: asked }) => `${asked.length} ${String((body as { class?: string }).class)}`,
    )
    .toSorted();
}

test("defect 5: each call keeps the class that it has alone; the sum decides nothing", async () => {
  const wide = { sharing: { inputsMax: 1000 } } as const;
  // 400 texts are bulk where a request names no class, but each of these calls is realtime.
  assert.deepEqual(await requestsOf([200, 200], wide), ["400 realtime"]);
  // Named classes travel as they are, and realtime that is named with realtime that is plain.
  assert.deepEqual(await requestsOf([2, 3], wide, { class: "bulk" }), ["5 bulk"]);
  assert.deepEqual(await requestsOf([2, 3], wide, { class: "realtime" }), ["5 realtime"]);
  // What may be bulk by its size is for the server to classify, alone: 256 characters may be 256 sentences.
  const open = { sharing: { inputsMax: 1000, callCharactersMax: 4000 } } as const;
  assert.deepEqual(await requestsOf([256, 256], open), ["256 undefined", "256 undefined"]);
  assert.deepEqual(await requestsOf([255, 255], open), ["510 realtime"]);
  // A server whose threshold is another one.
  assert.deepEqual(await requestsOf([4, 3, 3], { ...wide, bulkThreshold: 4 }), [
    "4 undefined",
    "6 realtime",
  ]);
});

test("defect 5: calls of other tenants, deadlines, settings or kinds of input never share", async () => {
  await using server = await serveHttp(answer);
  await using client = new Millrace(server.url, { tenant: "own" });
  const fields = [
    {},
    { tenant: "other" },
    { timeoutMs: 60_000 },
    { timeoutMs: 60_001 },
    { beams: 2 },
    { model: "en-zh" },
    { class: "bulk" },
    { truncate: true },
    { split: false },
    { maxLength: 9 },
    { lengthPenalty: 2 },
  ] as const;
  await Promise.all(fields.map((each) => client.translate("a", each)));
  assert.equal(server.exchanges.length, fields.length);
});

test("defect 5: callers who are answered wait for no last line, and ask for none again", async () => {
  await using server = await serveHttp(({ response, number }) => {
    beginStream(response);
    const lines = itemLine(0, item("a")) + itemLine(1, item("b"));
    // The first never says that it is done, the second breaks off; later ones are polls.
    if (number === 0) response.write(lines);
    else response.end(number === 1 ? lines : "");
  });
  await using client = new Millrace(server.url, noPause);
  for (const number of [0, 1]) {
    await Promise.all([client.translate("a"), client.translate("b")]);
    assert.equal(await (await server.arrived(number)).closed, number === 0 ? "gone" : "finished");
  }
  // Whatever would be sent again is sent before the last of these.
  for (let polls = 0; polls < 3; polls += 1) await client.ready().catch(() => null);
  assert.deepEqual(
    server.exchanges.map(({ request }) => request.method),
    ["POST", "POST", "GET", "GET", "GET"],
  );
});

test("defect 5: work for a caller who left ends as soon as nobody else waits", async () => {
  await using server = await serveHttp(({ response }) => {
    beginStream(response);
    response.flushHeaders();
  });
  const signals: (AbortSignal | null | undefined)[] = [];
  const heard: Fetch = (url, init) => {
    signals.push(init.signal);
    return fetch(url, init);
  };
  await using client = new Millrace(server.url, { ...noPause, fetch: heard });
  const leaving = new AbortController();
  const left = client.translate("a", { signal: leaving.signal });
  const stays = client.translate("b");
  const { response, closed } = await server.arrived(0);
  leaving.abort();
  await assert.rejects(left, { code: "cancelled" });
  response.write(itemLine(1, item("b")));
  assert.deepEqual(texts(await stays), ["«b»"]);
  assert.equal(signals[0]?.aborted, true);
  assert.equal(await closed, "gone");
});

test("the old names of the option for sharing still answer, but not beside the new", async () => {
  assert.deepEqual(await requestsOf([1, 1, 1], { batch: { itemsMax: 2 } }), [
    "1 undefined",
    "2 realtime",
  ]);
  assert.deepEqual(await requestsOf([1, 1, 1], { batch: { itemsMax: 3 } }), ["3 realtime"]);
  assert.deepEqual(await requestsOf([1, 1], { batch: false }), ["1 undefined", "1 undefined"]);
  const both = { batch: false, sharing: {} } as const;
  assert.throws(() => new Millrace("http://nowhere.invalid", both), { code: "option_invalid" });
});
