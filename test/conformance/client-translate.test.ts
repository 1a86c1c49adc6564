import assert from "node:assert/strict";
import { mock, test } from "node:test";
import {
  type ErrorCode,
  Millrace,
  MillraceError,
  type TranslateOutcome,
  type Translation,
} from "millrace-client";
import {
  answer,
  answerJson,
  beginStream,
  deployment,
  deploymentHeader,
  doneLine,
  item,
  itemLine,
  refuse,
  serveHttp,
} from "../support/http-server.js";

/** Retries without a pause, and no sharing of requests, so that a test counts what it sends. */
const direct = { retry: { delayMs: 0 }, sharing: false } as const;
const once = { retry: { attemptsMax: 1 }, sharing: false } as const;

function texts(translation: Translation): (string | undefined)[] {
  return translation.results.map((result) => ("text" in result ? result.text : undefined));
}

async function failsWith(
  promise: Promise<unknown>,
  code: ErrorCode,
  message?: RegExp,
): Promise<MillraceError> {
  const error: unknown = await promise.then(
    () => assert.fail(`resolved instead of failing with ${code}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof MillraceError, String(error));
  assert.equal(error.code, code, error.message);
  if (message !== undefined) assert.match(error.message, message);
  return error;
}

test("results come in the order of the texts, an item's error as a value, with the summary", async () => {
  const failed: TranslateOutcome = {
    error: { code: "item_failed", message: "no", retryable: false },
  };
  await using server = await serveHttp(({ response }) => {
    beginStream(response);
    response.write(itemLine(2, item("c")));
    response.write(itemLine(0, item("a")));
    response.write(itemLine(1, failed));
    response.end(doneLine(3));
  });
  const progress: string[] = [];
  await using client = new Millrace(`${server.url}/`, { ...direct, tenant: "press" });
  const translation = await client.translate(["a", "b", "c"], {
    beams: 4,
    class: "bulk",
    onProgress: ({ done, total }) => progress.push(`${done}/${total}`),
  });
  assert.deepEqual(translation.results, [item("a"), failed, item("c")]);
  assert.deepEqual(translation.deployment, deployment);
  assert.equal(translation.timings.totalMs, 6);
  assert.deepEqual(progress, ["1/3", "2/3", "3/3"]);
  assert.deepEqual(server.exchanges[0]?.body, {
    texts: ["a", "b", "c"],
    beams: 4,
    class: "bulk",
    tenant: "press",
  });
});

test("a server behind a path prefix is reached, and token ids go as they are", async () => {
  await using server = await serveHttp(({ response }) => {
    beginStream(response);
    response.end(itemLine(0, item("x")) + doneLine(1));
  });
  await using client = new Millrace(`${server.url}/translation`, direct);
  await client.translate({ tokenIds: [[5, 0]] });
  assert.equal(server.exchanges[0]?.request.url, "/translation/v1/translate");
  assert.deepEqual(server.exchanges[0]?.body, { tokenIds: [[5, 0]] });
});

test("a stream gives items as they are ready, before the reply has ended", async () => {
  await using server = await serveHttp(({ response }) => {
    beginStream(response);
    response.write(itemLine(1, item("b")));
  });
  await using client = new Millrace(server.url, direct);
  const stream = client.translateStream(["a", "b"]);
  assert.deepEqual((await stream.next()).value, { index: 1, ...item("b") });
  const { response } = await server.arrived(0);
  response.end(itemLine(0, item("a")) + doneLine(2));
  assert.deepEqual((await stream.next()).value, { index: 0, ...item("a") });
  const last = await stream.next();
  assert.ok(last.done === true && last.value.pipelines["shared-0"] === 2);
});

test("a reply may be cut into chunks anywhere, also inside a character", async () => {
  const wanted = [item("你好😀"), item("é")];
  const body = `${itemLine(0, item("你好😀"))}\n${itemLine(1, item("é")).replace("\n", "\r\n")}`;
  const bytes = Buffer.from(body + doneLine(2), "utf8");
  const cuts: Uint8Array[][] = [[...bytes].map((byte) => Uint8Array.of(byte))];
  for (let at = 1; at < bytes.length; at += 1)
    cuts.push([bytes.subarray(0, at), bytes.subarray(at)]);
  let chunks: Uint8Array[] = [];
  await using client = new Millrace("http://nowhere.invalid", {
    ...once,
    fetch: async () =>
      new Response(ReadableStream.from(chunks) as ReadableStream<Uint8Array>, {
        headers: { "content-type": "application/x-ndjson; charset=utf-8" },
      }),
  });
  for (chunks of cuts) {
    const { results } = await client.translate(["a", "b"]);
    assert.deepEqual(results, wanted);
  }
});

test("a reply cut off inside a line is resumed: only the missing texts are sent again", async () => {
  await using server = await serveHttp((exchange) => {
    if (exchange.number > 0) return answer(exchange);
    beginStream(exchange.response);
    const half = itemLine(0, item("a")).slice(0, 20);
    exchange.response.write(itemLine(3, item("d")) + itemLine(1, item("b")) + half, () => {
      exchange.response.destroy();
    });
    return undefined;
  });
  await using client = new Millrace(server.url, direct);
  const seen: number[] = [];
  for await (const { index } of client.translateStream(["a", "b", "c", "d"])) seen.push(index);
  assert.deepEqual(seen, [3, 1, 0, 2]);
  assert.deepEqual(
    server.exchanges.map((exchange) => exchange.texts),
    [
      ["a", "b", "c", "d"],
      ["a", "c"],
    ],
  );
});

test("a reply without its done line is a failed connection, also when it ends politely", async () => {
  await using server = await serveHttp(({ response, texts: asked }) => {
    beginStream(response);
    response.end(asked.map((text, index) => itemLine(index, item(text))).join(""));
  });
  await using impatient = new Millrace(server.url, once);
  await failsWith(impatient.translate(["a"]), "connection_failed", /before it was done/);
});

test("where only the done line was lost, one text is asked for again and handed out once", async () => {
  await using server = await serveHttp((exchange) => {
    if (exchange.number > 0) return answer(exchange);
    beginStream(exchange.response);
    exchange.response.end(itemLine(0, item("a")) + itemLine(1, item("b")));
    return undefined;
  });
  await using client = new Millrace(server.url, direct);
  const seen: number[] = [];
  for await (const { index } of client.translateStream(["a", "b"])) seen.push(index);
  assert.deepEqual(seen, [0, 1]);
  assert.deepEqual(server.exchanges[1]?.texts, ["b"]);
});

test("an error line in the stream ends the attempt; a retryable one is resumed", async () => {
  await using server = await serveHttp((exchange) => {
    if (exchange.number > 0) return answer(exchange);
    beginStream(exchange.response);
    const error = { code: "draining", message: "stopping", retryable: true };
    exchange.response.end(`${itemLine(0, item("a"))}${JSON.stringify({ error })}\n`);
    return undefined;
  });
  await using client = new Millrace(server.url, direct);
  assert.deepEqual(texts(await client.translate(["a", "b"])), ["«a»", "«b»"]);
  assert.deepEqual(server.exchanges[1]?.texts, ["b"]);
});

test("attempts without any result are bounded; a result starts the count afresh", async () => {
  await using dead = await serveHttp(({ request }) => {
    request.socket.destroy();
  });
  await using client = new Millrace(dead.url, {
    retry: { delayMs: 0, attemptsMax: 3 },
    sharing: false,
  });
  await failsWith(client.translate("a"), "connection_failed");
  assert.equal(dead.exchanges.length, 3);

  await using slow = await serveHttp(({ response, texts: asked, number }) => {
    beginStream(response);
    const [first = ""] = asked;
    response.end(number < 9 ? itemLine(0, item(first)) : itemLine(0, item(first)) + doneLine(1));
  });
  await using patient = new Millrace(slow.url, { retry: { delayMs: 0, attemptsMax: 2 } });
  assert.equal((await patient.translate("abcdefghij".split(""))).results.length, 10);
  assert.equal(slow.exchanges.length, 10);
});

test("a refusal that may pass is tried again, one that may not is not", async () => {
  await using server = await serveHttp((exchange) => {
    if (exchange.number === 0) {
      refuse(exchange, { status: 429, code: "queue_full", retryAfter: "0" });
    } else if (exchange.number === 1) answer(exchange);
    else refuse(exchange, { status: 404, code: "model_not_found" });
  });
  await using client = new Millrace(server.url, direct);
  assert.deepEqual(texts(await client.translate("a")), ["«a»"]);
  await failsWith(client.translate("a", { model: "x" }), "model_not_found");
  assert.equal(server.exchanges.length, 3);
});

test("pauses grow with full jitter, which also spreads those that Retry-After sets, and are capped", async (context) => {
  const pauses: number[] = [];
  const random = mock.method(Math, "random", () => 0.5);
  // Timers of limits are far longer than any pause; these run at once and are noted.
  const timers = mock.method(globalThis, "setTimeout", (run: () => void, ms: number) => {
    if (ms > 20_000) return undefined;
    pauses.push(ms);
    queueMicrotask(run);
    return undefined;
  });
  context.after(() => {
    random.mock.restore();
    timers.mock.restore();
  });
  const retryAfters = [null, null, "3", "7200", null, null];
  let attempts = 0;
  const error = { code: "queue_full", message: "full", retryable: true };
  await using client = new Millrace("http://nowhere.invalid", {
    retry: { attemptsMax: 7, delayMs: 100, delayMsMax: 5000 },
    sharing: false,
    fetch: async () => {
      const retryAfter = retryAfters[attempts] ?? null;
      attempts += 1;
      return Response.json(
        { error },
        { status: 429, headers: retryAfter === null ? {} : { "retry-after": retryAfter } },
      );
    },
  });
  await failsWith(client.translate("a"), "queue_full");
  assert.deepEqual(pauses, [50, 100, 3200, 5000, 800, 1600]);
});

test("no attempt begins after the retry's total time, and the server's deadline shrinks", async () => {
  await using server = await serveHttp(({ request }) => {
    request.socket.destroy();
  });
  const retry = { delayMs: 0, totalMs: -1 };
  await using hurried = new Millrace(server.url, { retry, sharing: false });
  await failsWith(hurried.translate("a"), "connection_failed");
  assert.equal(server.exchanges.length, 1);

  let nowMs = 1000;
  const clock = mock.method(performance, "now", () => nowMs);
  try {
    const sent: unknown[] = [];
    await using client = new Millrace("http://nowhere.invalid", {
      ...direct,
      fetch: async (_url, init) => {
        sent.push(init.body);
        nowMs += 300;
        throw new TypeError("no route");
      },
    });
    await failsWith(client.translate("a", { timeoutMs: 800 }), "deadline_exceeded");
    assert.deepEqual(sent, [
      JSON.stringify({ timeoutMs: 800, texts: ["a"] }),
      JSON.stringify({ timeoutMs: 500, texts: ["a"] }),
      JSON.stringify({ timeoutMs: 200, texts: ["a"] }),
    ]);
  } finally {
    clock.mock.restore();
  }
});

test("an error that is not Millrace's names the status and the start of the body", async () => {
  const page = `<html>${"x".repeat(500)}</html>`;
  await using server = await serveHttp(({ response }) => {
    response.writeHead(502, { "content-type": "text/html" }).end(page);
  });
  await using client = new Millrace(server.url, direct);
  const error = await failsWith(client.translate("a"), "response_invalid", /Status 502/);
  assert.ok(error.message.endsWith(page.slice(0, 200)));
  assert.equal(server.exchanges.length, 1);
});

test("replies that are not Millrace's fail with response_invalid, and say why", async () => {
  const bodies: readonly (readonly [string, RegExp])[] = [
    ["not json\n", /not JSON/],
    ["[1]\n", /not Millrace's/],
    [`${JSON.stringify({ index: 0, words: 1 })}\n`, /not Millrace's/],
    [itemLine(7, item("a")) + doneLine(1), /unknown or came twice/],
    [itemLine(0, item("a")).repeat(2) + doneLine(1), /unknown or came twice/],
    [itemLine(-1, item("a")), /unknown or came twice/],
    [doneLine(0), /1 inputs lack/],
    [`${JSON.stringify({ done: {} })}\n`, /not Millrace's/],
  ];
  await using server = await serveHttp(({ response, number }) => {
    beginStream(response);
    response.end(bodies[number]?.[0]);
  });
  await using client = new Millrace(server.url, direct);
  for (const [, message] of bodies) {
    await failsWith(client.translate("a"), "response_invalid", message);
  }
  await using page = await serveHttp(({ response }) => {
    response.writeHead(200, { "content-type": "text/html" }).end("<html>");
  });
  await using lost = new Millrace(page.url, direct);
  await failsWith(lost.translate("a"), "response_invalid", /content type text\/html/);
  await failsWith(lost.status(), "response_invalid", /content type text\/html/);
  const invalidUtf8 = Uint8Array.of(0x22, 0xff, 0x22, 0x0a);
  await using garbled = new Millrace("http://nowhere.invalid", {
    ...direct,
    fetch: async () =>
      new Response(invalidUtf8, { headers: { "content-type": "application/x-ndjson" } }),
  });
  await failsWith(garbled.translate("a"), "response_invalid", /not UTF-8/);
});

test("a server that hangs is left when the caller aborts, closes or has waited long enough", async () => {
  await using server = await serveHttp(({ response, number }) => {
    // Half of them hang after the head, half before it.
    if (number % 2 === 1) return;
    beginStream(response);
    response.flushHeaders();
  });
  await using client = new Millrace(server.url, direct);
  for (const number of [0, 1]) {
    const controller = new AbortController();
    const pending = client.translate("a", { signal: controller.signal });
    const { closed } = await server.arrived(number);
    controller.abort(new Error("enough"));
    await failsWith(pending, "cancelled");
    assert.equal(await closed, "gone");
  }
  await failsWith(client.translate("a", { signal: AbortSignal.timeout(5) }), "deadline_exceeded");
  await failsWith(client.translate("a", { signal: AbortSignal.abort() }), "cancelled");
  // Limits of both kinds, for who knows whether the last two have arrived and how this one will hang.
  await using wary = new Millrace(server.url, { ...once, silenceMsMax: 5, headMsMax: 200 });
  await failsWith(wary.translate("a"), "connection_failed", /nothing for 5 ms|within 200 ms/);

  const before = server.exchanges.length;
  const pending = client.translate("a");
  const { closed } = await server.arrived(before);
  client.close();
  client.close();
  await failsWith(pending, "cancelled", /closed/);
  assert.equal(await closed, "gone");
  await failsWith(client.translate("a"), "cancelled", /closed/);
  await failsWith(client.status(), "cancelled", /closed/);
});

test("a loop over a stream that is left early stops the work", async () => {
  await using server = await serveHttp(({ response }) => {
    beginStream(response);
    response.write(itemLine(0, item("a")));
  });
  await using client = new Millrace(server.url, direct);
  for await (const { index } of client.translateStream(["a", "b"])) {
    assert.equal(index, 0);
    break;
  }
  assert.equal(await (await server.arrived(0)).closed, "gone");
});

test("another deployment than the expected one is refused on both sides", async () => {
  await using server = await serveHttp((exchange) => {
    if (exchange.request.headers["x-millrace-expect"] === "environment=staging") {
      refuse(exchange, { status: 412, code: "deployment_mismatch" });
    } else answer(exchange);
  });
  const expecting = (expect: object) => new Millrace(server.url, { ...direct, expect });
  await using right = expecting({ environment: "test", configHash: "abc123", name: "millrace" });
  await right.translate("a");
  assert.equal(
    server.exchanges[0]?.request.headers["x-millrace-expect"],
    "name=millrace, environment=test, config=abc123",
  );
  await using refused = expecting({ environment: "staging" });
  await failsWith(refused.translate("a"), "deployment_mismatch", /refused with/);
  // A server that ignores the header: the client compares for itself.
  await using wrong = expecting({ environment: "prod" });
  await failsWith(wrong.translate("a"), "deployment_mismatch", /prod, but test answered/);
  assert.throws(() => expecting({ version: "1, environment=prod" }), { code: "option_invalid" });
  await using silent = await serveHttp(({ response }) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" }).end(doneLine(0));
  });
  await using unsure = new Millrace(silent.url, { ...direct, expect: { environment: "test" } });
  await failsWith(unsure.translate("a"), "response_invalid", /no x-millrace-deployment header/);
});

test("status, ready and models are read; not being ready is an answer", async () => {
  await using server = await serveHttp((exchange) => {
    const answers = new Map<string | undefined, [number, object]>([
      ["/status", [200, { state: "ready", pipelines: [], deployment }]],
      ["/ready", [503, { ready: false, state: "starting", notReady: [] }]],
      ["/v1/models", [200, { models: [], deployment }]],
    ]);
    answerJson(exchange, ...(answers.get(exchange.request.url) ?? [404, {}]));
  });
  await using client = new Millrace(server.url, { expect: { environment: "test" } });
  assert.equal((await client.status()).state, "ready");
  assert.equal((await client.ready()).ready, false);
  assert.deepEqual((await client.models()).models, []);
  assert.ok(deploymentHeader.includes("environment=test"));
});

test("a bad address, and nothing to translate, are refused without a request", async () => {
  for (const url of ["nonsense", "file:///etc", "http://user:word@host"]) {
    assert.throws(() => new Millrace(url), { code: "option_invalid" }, url);
  }
  await using client = new Millrace("http://nowhere.invalid");
  await failsWith(client.translate([]), "input_empty");
});
