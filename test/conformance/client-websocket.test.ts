/** The client over a WebSocket: the same results and errors as over HTTP, on one connection. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { type ErrorCode, Millrace, MillraceError, type MillraceOptions } from "millrace-client";
import { WebSocket, WebSocketServer } from "ws";
import { accessFor, TestFront } from "../support/http-front.js";
import { deployment } from "../support/http-server.js";

const direct = { retry: { delayMs: 0 }, sharing: false, webSocket: WebSocket } as const;
const attempt = { ...direct, retry: { attemptsMax: 1 } } as const;

async function failsWith(promise: Promise<unknown>, code: ErrorCode): Promise<MillraceError> {
  const error: unknown = await promise.then(
    () => assert.fail(`resolved instead of failing with ${code}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof MillraceError, String(error));
  assert.equal(error.code, code, error.message);
  return error;
}

test("the same results, summary and errors as over HTTP", async () => {
  await using front = await TestFront.start();
  await using overHttp = new Millrace(front.url, { retry: { attemptsMax: 1 }, sharing: false });
  await using client = new Millrace(front.url, attempt);
  const asked = ["one", "!two", "three"];
  const [left, right] = [await overHttp.translate(asked), await client.translate(asked)];
  assert.deepEqual({ ...right, id: left.id }, left);
  const bad = { beams: 99 };
  const [refused, told] = [
    await failsWith(overHttp.translate(asked, bad), "bad_request"),
    await failsWith(client.translate(asked, bad), "bad_request"),
  ];
  assert.equal(told.message, refused.message);
  assert.equal(told.param, "beams");
  front.submit.refuseWith = new MillraceError("queue_full", "Full.", { retryAfterMs: 40 });
  const full = await failsWith(client.translate(asked), "queue_full");
  assert.equal(full.retryAfterMs, 40);
});

test("calls share one connection; each has its own outcomes as they come", async () => {
  await using front = await TestFront.start();
  await using client = new Millrace(front.url, direct);
  const all = Array.from({ length: 64 }, (_, index) => `text ${index}`);
  const results = await Promise.all(all.map((text) => client.translate([text, text])));
  for (const [index, { results: own }] of results.entries()) {
    const expected = Array.from(all[index] ?? "")
      .toReversed()
      .join("");
    assert.deepEqual(
      own.map((result) => ("text" in result ? result.text : "")),
      [expected, expected],
    );
  }
  assert.equal(front.front.held().connections, 1);
  const stream = client.translateStream(["a", "b"]);
  assert.equal((await stream.next()).done, false);
  await stream.return(undefined as never);
});

test("who aborts, leaves a loop or closes the client stops the work; nobody else's", async () => {
  await using front = await TestFront.start();
  await using client = new Millrace(front.url, direct);
  front.submit.hold();
  const abort = new AbortController();
  const left = client.translate("one", { signal: abort.signal });
  const stays = client.translate("two");
  await front.submit.arrived(2);
  abort.abort();
  await failsWith(left, "cancelled");
  const [first, second] = front.submit.seen;
  await aborted(first?.signal);
  assert.equal(second?.signal.aborted, false);
  client.close();
  await failsWith(stays, "cancelled");
  await aborted(second?.signal);
});

test("a refusal of the handshake has its code, although a WebSocket cannot say it", async () => {
  await using front = await TestFront.start();
  const expect = { environment: "prod" };
  await using client = new Millrace(front.url, { ...attempt, expect });
  await failsWith(client.translate("a"), "deployment_mismatch");
  const access = accessFor("k3y");
  await using closed = await TestFront.start({}, { access });
  await using stranger = new Millrace(closed.url, attempt);
  await failsWith(stranger.translate("a"), "unauthenticated");
  const headers = { authorization: "Bearer k3y" };
  await using known = new Millrace(closed.url, { ...attempt, headers });
  assert.deepEqual((await known.translate("a")).results.length, 1);
  assert.equal(closed.submit.seen[0]?.request.id.includes("/"), true);
});

test("no server, no WebSocket, no such key: each is told", async () => {
  await using nowhere = new Millrace("http://127.0.0.1:1", attempt);
  await failsWith(nowhere.translate("a"), "connection_failed");
  const broken = { headers: { "x-api-key": "a key" }, webSocket: WebSocket };
  assert.throws(() => new Millrace("http://x", broken), { code: "option_invalid" });
  if (!("WebSocket" in globalThis)) {
    assert.throws(() => new Millrace("http://x", { webSocket: true }), { code: "option_invalid" });
  }
});

test("a connection that breaks is opened anew, and only what is missing is asked for again", async (t) => {
  const asked: unknown[] = [];
  const server = await scripted(t, (say, message, socket) => {
    asked.push(message["texts"]);
    const { id } = message;
    say({ type: "accepted", id, requestId: "r" });
    say({ type: "outcome", id, index: 0, outcome: result("first") });
    if (asked.length === 1) socket.terminate();
    else say({ type: "done", id, summary });
  });
  await using client = new Millrace(server, direct);
  const { results } = await client.translate(["a", "b"]);
  assert.deepEqual(results, [result("first"), result("first")]);
  assert.deepEqual(asked, [["a", "b"], ["b"]]);
});

test("a lie, a silence and a missing greeting end the connection with what they are", async (t) => {
  const lies: readonly (readonly [object | string, ErrorCode])[] = [
    ["no JSON", "response_invalid"],
    [{ type: "outcome", id: "1", index: 7, outcome: result("x") }, "response_invalid"],
    [{ type: "outcome", id: "1", index: 0, outcome: 5 }, "response_invalid"],
    [{ type: "done", id: "1", summary }, "response_invalid"],
    [{ type: "what" }, "response_invalid"],
    [{ type: "error", error: new MillraceError("bad_request", "?").toWire() }, "bad_request"],
  ];
  for (const [lie, code] of lies) {
    const server = await scripted(t, (say, { id }) => {
      say({ type: "accepted", id, requestId: "r" });
      say(lie);
    });
    await using client = new Millrace(server, attempt);
    await failsWith(client.translate("a"), code);
  }
  const silent = await scripted(t, (say, { id }) => say({ type: "accepted", id, requestId: "r" }));
  await using waits = new Millrace(silent, { ...attempt, silenceMsMax: 30 });
  const error = await failsWith(waits.translate("a"), "connection_failed");
  assert.match(error.message, /nothing for 30 ms/);
  const mute = await scripted(t, () => {});
  await using heedless = new Millrace(mute, { ...attempt, headMsMax: 30 });
  await failsWith(heedless.translate("a"), "connection_failed");
  const other = await scripted(t, () => {}, { type: "hello", deployment });
  const expecting: MillraceOptions = { ...attempt, expect: { name: "somebody-else" } };
  await using wrong = new Millrace(other, expecting);
  await failsWith(wrong.translate("a"), "deployment_mismatch");
});

test("who reads slowly is sent no more than the credit given: the rest waits at the server", async () => {
  await using front = await TestFront.start();
  await using client = new Millrace(front.url, direct);
  const texts = Array.from({ length: 1_500 }, (_, index) => String(index));
  const seen: number[] = [];
  for await (const { index } of client.translateStream(texts)) {
    if (seen.length === 0) assert.ok(front.front.held().repliesBytes > 400 * 2);
    seen.push(index);
  }
  assert.equal(seen.length, texts.length);
  assert.equal(front.front.held().repliesBytes, 0);
});

const summary = {
  id: "r",
  model: "m",
  class: "realtime",
  timings: { prepareMs: 0, queueMs: 0, computeMs: 0, totalMs: 0 },
  pipelines: {},
  deployment,
};

function result(text: string): object {
  return { text, score: 0, inputTokens: 1, outputTokens: 1, sentences: 1 };
}

type Say = (message: object | string) => void;

/** A server that greets, and answers requests as it is told. */
async function scripted(
  t: TestContext,
  answer: (say: Say, message: Readonly<Record<string, unknown>>, socket: WebSocket) => void,
  hello: object = { type: "hello", deployment },
): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  server.on("connection", (socket) => {
    const say: Say = (message) =>
      socket.send(typeof message === "string" ? message : JSON.stringify(message));
    say(hello);
    socket.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString()) as Readonly<Record<string, unknown>>;
      if (message["type"] === "request") answer(say, message, socket);
    });
  });
  await once(server, "listening");
  t.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return `http://127.0.0.1:${address.port}`;
}

async function aborted(signal: AbortSignal | undefined): Promise<void> {
  assert.ok(signal !== undefined);
  if (!signal.aborted) await once(signal, "abort");
}
