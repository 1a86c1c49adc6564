/** The tasks of the client beside translation, and sources of any length, against a made server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Embedding,
  type ItemError,
  Millrace,
  MillraceError,
  type OcrResult,
} from "millrace-client";
import { beginStream, type Exchange, refuse, serveHttp } from "../support/http-server.js";
import { answerTask, inputsOf, scoreOf, vectorOf } from "../support/task-answers.js";

const direct = { retry: { delayMs: 0 }, sharing: false } as const;

function vectors(results: readonly (Embedding | ItemError)[]): (Float32Array | string)[] {
  return results.map((result) => ("error" in result ? result.error.code : result.embedding));
}

/** The sizes of the requests so far, the smallest first. */
function sizes(exchanges: readonly Exchange[]): number[] {
  return exchanges.map((exchange) => inputsOf(exchange).length).toSorted((a, b) => a - b);
}

test("embed: vectors are float arrays in the order of the texts; one that failed is its error", async () => {
  await using server = await serveHttp(answerTask);
  await using client = new Millrace(server.url, direct);
  const progress: number[] = [];
  const { results, shared } = await client.embed(["a", "!b", "c"], {
    pooling: "cls",
    onProgress: ({ done }) => progress.push(done),
  });
  assert.deepEqual(vectors(results), [vectorOf("a"), "item_failed", vectorOf("c")]);
  assert.deepEqual([shared, progress], [false, [1, 2, 3]]);
  assert.deepEqual(server.exchanges[0]?.body, {
    texts: ["a", "!b", "c"],
    pooling: "cls",
    encoding: "base64",
  });
  const seen: number[] = [];
  for await (const { index, ...outcome } of client.embedStream(["x", "y"])) {
    seen.push(index);
    assert.deepEqual(
      "error" in outcome ? null : outcome.embedding,
      vectorOf(index === 0 ? "x" : "y"),
    );
  }
  assert.deepEqual(seen, [1, 0], "as they are ready");
});

test("small calls of one task and one setting share a request, and no others do", async () => {
  await using server = await serveHttp(answerTask);
  await using client = new Millrace(server.url);
  const [first, second, other, labels] = await Promise.all([
    client.embed("a"),
    client.embed(["b", "!c"]),
    client.embed("a", { normalize: false }),
    client.classify([["a", "b"]]),
  ]);
  assert.deepEqual(vectors([...first.results, ...second.results, ...other.results]), [
    vectorOf("a"),
    vectorOf("b"),
    "item_failed",
    vectorOf("a"),
  ]);
  assert.deepEqual([first.shared, second.shared, other.shared], [true, true, false]);
  assert.deepEqual(labels.results, [{ labels: [{ label: "a|b", score: scoreOf("a|b") }] }]);
  assert.deepEqual(sizes(server.exchanges), [1, 1, 3]);
});

test("what is missing when a connection breaks is asked for again, and nothing else", async () => {
  await using server = await serveHttp((exchange) => {
    if (exchange.number > 0) return answerTask(exchange);
    beginStream(exchange.response);
    const embedding = Buffer.from(vectorOf("b").buffer).toString("base64");
    exchange.response.write(`${JSON.stringify({ index: 1, embedding, inputTokens: 1 })}\n`, () => {
      exchange.response.destroy();
    });
    return undefined;
  });
  await using client = new Millrace(server.url, direct);
  const { results } = await client.embed(["a", "b", "c"]);
  assert.deepEqual(vectors(results), [vectorOf("a"), vectorOf("b"), vectorOf("c")]);
  assert.deepEqual(server.exchanges.map(inputsOf), [
    ["a", "b", "c"],
    ["a", "c"],
  ]);
});

test("a line that is no result of the task is no reply of Millrace", async () => {
  const bad = [
    { embedding: [0.5], inputTokens: 1 },
    { embedding: "????", inputTokens: 1 },
    { embedding: "AAA=", inputTokens: 1 },
    { text: "a translation" },
  ];
  await using server = await serveHttp(({ number, response }) => {
    beginStream(response);
    response.end(`${JSON.stringify({ index: 0, ...bad[number] })}\n`);
  });
  await using client = new Millrace(server.url, direct);
  for (const _ of bad) await assert.rejects(client.embed("a"), { code: "response_invalid" });
  assert.equal(server.exchanges.length, bad.length);
});

test("rerank: scores in the order of the texts, and their indices from the best", async () => {
  await using server = await serveHttp(answerTask);
  await using client = new Millrace(server.url, direct);
  const texts = ["one", "!two", "three", "four"];
  const { results, order } = await client.rerank("why", texts, { raw: true });
  const scores = texts.map((text) => scoreOf(`why ${text}`));
  assert.deepEqual(
    results.map((result) => ("error" in result ? result.error.code : result.score)),
    scores.with(1, Number.NaN).map((score) => (Number.isNaN(score) ? "item_failed" : score)),
  );
  assert.deepEqual(
    order,
    [0, 2, 3].toSorted((left, right) => (scores[right] ?? 0) - (scores[left] ?? 0)),
  );
  assert.deepEqual(server.exchanges[0]?.body, { texts, query: "why", raw: true });
});

test("pictures go as files of a form, whatever they came in; ocr and classify take them", async () => {
  await using server = await serveHttp(answerTask);
  await using client = new Millrace(server.url);
  const bytes = [
    new Uint8Array(),
    Uint8Array.of(65),
    Uint8Array.of(255, 66),
    Uint8Array.of(0, 1, 2),
  ];
  const [empty, one, two, three] = bytes;
  assert.ok(empty && one && two && three);
  const pictures = [empty, new Blob([one]), two.buffer, new Uint8Array([9, 0, 1, 2]).subarray(1)];
  const { results } = await client.ocr(pictures, { model: "m" });
  assert.deepEqual(inputsOf(server.exchanges[0] as Exchange), ["", "QQ==", "/0I=", "AAEC"]);
  const read = results.map((result) => ("error" in result ? "" : result.lines[0]?.text));
  assert.deepEqual(
    read,
    bytes.map((each) => new TextDecoder().decode(each)),
  );
  const labels = await client.classify(one);
  assert.deepEqual(labels.results, [{ labels: [{ label: "QQ==", score: scoreOf("QQ==") }] }]);
  const alone: OcrResult[] = [];
  for await (const { index: _, ...result } of client.ocrStream(one)) {
    if (!("error" in result)) alone.push(result);
  }
  assert.equal(alone[0]?.width, 1);
  await assert.rejects(client.ocr([one, "two" as unknown as Blob]), { code: "bad_request" });
  await assert.rejects(client.classify([]), { code: "input_empty" });
  await assert.rejects(client.classify([["a", "b", "c"] as unknown as [string, string]]), {
    code: "bad_request",
    param: "texts[0]",
  });
});

async function* counted(count: number, onRead: (at: number) => void = () => undefined) {
  for (let at = 0; at < count; at += 1) {
    onRead(at);
    yield `text ${at}`;
  }
}

test("a source of any length: requests of a bounded size, outcomes in order, nothing read far ahead", async () => {
  await using server = await serveHttp(answerTask);
  await using client = new Millrace(server.url, direct);
  let read = 0;
  let taken = 0;
  let ahead = 0;
  const source = counted(1_000, (at) => {
    read = at + 1;
  });
  const options = { requestInputsMax: 50, requestsAtOnce: 3 } as const;
  const stream = client.embedEach(source, options);
  for (;;) {
    const next = await stream.next();
    if (next.done === true) {
      const { inputs, failed, requests, pipelines } = next.value;
      assert.deepEqual(
        [inputs, failed, requests, pipelines],
        [1_000, 0, 20, { "shared-0": 1_000 }],
      );
      break;
    }
    const { index, ...outcome } = next.value;
    assert.equal(index, taken);
    assert.deepEqual("error" in outcome ? null : outcome.embedding, vectorOf(`text ${index}`));
    taken += 1;
    ahead = Math.max(ahead, read - taken);
  }
  // Three requests, the one that is being filled, and its first input over the limit.
  assert.ok(ahead > 50 && ahead <= 201, String(ahead));
  const classes = server.exchanges.map(({ body }) => (body as { class?: string }).class);
  assert.deepEqual(new Set(classes), new Set(["bulk"]));
  for await (const _ of client.embedEach(["a", "b"], { class: "realtime" })) taken += 1;
  for await (const _ of client.embedEach(["a", "b"])) taken += 1;
  const [named, unnamed] = server.exchanges.slice(-2).map(({ body }) => body);
  assert.deepEqual(named, { texts: ["a", "b"], class: "realtime", encoding: "base64" });
  assert.deepEqual(unnamed, { texts: ["a", "b"], encoding: "base64" });
  assert.equal(taken, 1_004);
  for await (const _ of client.embedEach([])) assert.fail("nothing comes of nothing");
});

test("by size: pictures go in requests of so many bytes, and a larger one goes alone", async () => {
  await using server = await serveHttp(answerTask);
  await using client = new Millrace(server.url, direct);
  const pictures = [4, 4, 3, 20, 1].map((length) => new Blob([new Uint8Array(length)]));
  const widths: number[] = [];
  for await (const result of client.ocrEach(pictures, { requestSizeMax: 10 })) {
    widths.push("error" in result ? -1 : result.width);
  }
  assert.deepEqual(widths, [4, 4, 3, 20, 1]);
  const whole = { requestInputsMax: Infinity, requestSizeMax: Infinity } as const;
  let count = 0;
  for await (const _ of client.embedEach(counted(3_000), whole)) count += 1;
  assert.equal(count, 3_000);
  assert.equal(inputsOf(server.exchanges.at(-1) as Exchange).length, 3_000);
  assert.deepEqual(sizes(server.exchanges), [1, 1, 1, 2, 3_000]);
});

test("defect: scans of some megabytes share requests", async () => {
  await using server = await serveHttp(answerTask);
  await using client = new Millrace(server.url, direct);
  const scans = Array.from({ length: 5 }, () => new Blob([new Uint8Array(2 ** 21 + 2 ** 19)]));
  let read = 0;
  for await (const result of client.ocrEach(scans)) {
    assert.ok("lines" in result);
    read += 1;
  }
  assert.equal(read, 5);
  assert.deepEqual(sizes(server.exchanges), [2, 3]);
});

test("a refusal that inputs are to blame for finds them by halves; another one ends the source", async () => {
  await using server = await serveHttp((exchange) => {
    const inputs = inputsOf(exchange);
    if (inputs.length > 6) refuse(exchange, { status: 413, code: "too_many_items" });
    else if (inputs.includes("lone")) refuse(exchange, { status: 400, code: "bad_encoding" });
    else if (inputs.includes("gone")) refuse(exchange, { status: 404, code: "model_not_found" });
    else answerTask(exchange);
  });
  await using client = new Millrace(server.url, direct);
  const texts = ["a", "b", "lone", "c", "!d", "e", "f", "g", "h", "i"];
  const unread = new MillraceError("item_failed", "could not be read");
  const done: number[] = [];
  const codes: string[] = [];
  const source = [...texts.slice(0, 2), unread, ...texts.slice(2)];
  const onProgress = ({ done: count }: { done: number }) => done.push(count);
  for await (const { index: _, ...outcome } of client.classifyEach(source, { onProgress })) {
    codes.push("error" in outcome ? outcome.error.code : (outcome.labels[0]?.label ?? ""));
  }
  const wanted = [
    "a",
    "b",
    "item_failed",
    "bad_encoding",
    "c",
    "item_failed",
    "e",
    "f",
    "g",
    "h",
    "i",
  ];
  assert.deepEqual(codes, wanted);
  assert.deepEqual(
    done,
    Array.from(wanted, (_, index) => index + 1),
  );
  const taken: number[] = [];
  const failing = client.classifyEach(["a", "b", "gone", "c"], { requestInputsMax: 2 });
  await assert.rejects(
    async () => {
      for await (const { index } of failing) taken.push(index);
    },
    { code: "model_not_found" },
  );
  assert.deepEqual(taken, [0, 1], "what came before is handed out");
});

test("defect: what is no input in a long source fails alone, and with a code", async () => {
  await using server = await serveHttp(answerTask);
  await using client = new Millrace(server.url, direct);
  const wrong = [7, null, undefined, ["a"], ["a", 7], {}] as unknown as string[];
  const source = ["a", ...wrong, "b"];
  const wanted = ["a", ...wrong.map(() => "bad_request"), "b"];
  const codes: (string | undefined)[] = [];
  for await (const outcome of client.classifyEach(source)) {
    codes.push("error" in outcome ? outcome.error.code : outcome.labels[0]?.label);
  }
  assert.deepEqual(codes, wanted);
  const texts: string[] = [];
  for await (const outcome of client.translateEach(wrong)) {
    texts.push("error" in outcome ? outcome.error.code : outcome.text);
  }
  assert.deepEqual(
    texts,
    wrong.map(() => "bad_request"),
  );
  const pictures: string[] = [];
  for await (const outcome of client.ocrEach(wrong as unknown as Uint8Array[])) {
    pictures.push("error" in outcome ? outcome.error.code : "read");
  }
  assert.deepEqual(pictures, texts);
});

test("a source that throws is told of when all before it is handed out", async () => {
  await using server = await serveHttp(answerTask);
  await using client = new Millrace(server.url, direct);
  const broken = (async function* () {
    yield* ["a", "b", "c"];
    throw new Error("the disk is gone");
  })();
  const taken: number[] = [];
  await assert.rejects(async () => {
    const outcomes = client.embedEach(broken, { requestInputsMax: 2 });
    for await (const { index } of outcomes) taken.push(index);
  }, /the disk is gone/);
  assert.deepEqual(taken, [0, 1, 2]);
});

test("outcomes are handed out as soon as it is their turn, not when their request has ended", async () => {
  await using server = await serveHttp(({ response }) => {
    beginStream(response);
    const labels = [{ label: "x", score: 1 }];
    response.write(
      `${JSON.stringify({ index: 1, labels })}\n${JSON.stringify({ index: 0, labels })}\n`,
    );
  });
  await using client = new Millrace(server.url, direct);
  const stream = client.classifyEach(["a", "b", "c"]);
  for (const index of [0, 1]) {
    const next = await stream.next();
    assert.equal(next.done === true ? null : next.value.index, index);
  }
  const { response } = await server.arrived(0);
  const error = { code: "internal", message: "broken", retryable: false };
  response.end(`${JSON.stringify({ error })}\n`);
  await assert.rejects(stream.next(), { code: "internal" });
});

test("a setting that is refused is no input's fault", async () => {
  await using server = await serveHttp((exchange) =>
    refuse(exchange, { status: 400, code: "bad_request" }),
  );
  await using client = new Millrace(server.url, direct);
  await assert.rejects(client.embedEach(["a", "b"]).next(), { code: "bad_request" });
  assert.equal(server.exchanges.length, 1);
});

test("a loop that is left, a signal and a source that throws end what is under way", async () => {
  await using server = await serveHttp((exchange) => {
    if (exchange.number === 0) answerTask(exchange);
  });
  await using client = new Millrace(server.url, { ...direct, tenant: "press" });
  let closed = false;
  const source = (async function* () {
    try {
      yield* counted(1_000);
    } finally {
      closed = true;
    }
  })();
  for await (const { index } of client.embedEach(source, { requestInputsMax: 1 })) {
    assert.equal(index, 0);
    await server.arrived(1);
    break;
  }
  assert.equal(await server.exchanges[1]?.closed, "gone");
  assert.equal(closed, true);
  assert.deepEqual(
    server.exchanges.slice(0, 2).map(({ body }) => (body as { tenant?: string }).tenant),
    ["press", "press"],
  );

  const controller = new AbortController();
  const before = server.exchanges.length;
  const waiting = client.embedEach(["a"], { signal: controller.signal }).next();
  const { closed: gone } = await server.arrived(before);
  controller.abort();
  await assert.rejects(waiting, { code: "cancelled" });
  assert.equal(await gone, "gone");

  const stuck = (async function* () {
    yield await new Promise<string>(() => undefined);
  })();
  const impatient = new AbortController();
  const never = client.embedEach(stuck, { signal: impatient.signal }).next();
  impatient.abort();
  await assert.rejects(never, { code: "cancelled" });
  await assert.rejects(client.embedEach(["a"], { requestsAtOnce: 0 }).next(), {
    code: "option_invalid",
  });
});
