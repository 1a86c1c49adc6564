/** `/v1/stream`: many requests on one connection. What the listener does for every WebSocket is in websocket-listener.test.ts. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { MillraceError, type StreamServerMessage, streamLimits } from "millrace-client/wire";
import { accessFor, TestFront } from "../support/http-front.js";
import { identity } from "../support/identity.js";
import { WsClient } from "../support/ws-client.js";

async function begun(front: TestFront): Promise<WsClient> {
  const client = await WsClient.open(`${front.url}/v1/stream`);
  assert.deepEqual(await client.next(), { type: "hello", deployment: identity });
  return client;
}

function request(id: string, texts: readonly string[], more: object = {}): Record<string, unknown> {
  return { type: "request", id, task: "translate", texts, ...more };
}

/** As `accepted a`, `a 0 text`, `done a`, `error a code`. */
function shown(message: StreamServerMessage): string {
  switch (message.type) {
    case "outcome": {
      const { error, text } = message.outcome as { error?: { code: string }; text?: string };
      return `${message.id} ${message.index} ${error?.code ?? text ?? ""}`;
    }
    case "error":
      return `error ${message.id ?? "-"} ${message.error.code} ${message.error.param ?? ""}`.trim();
    case "accepted":
    case "done":
      return `${message.type} ${message.id}`;
    case "hello":
    case "pong":
      return message.type;
  }
}

async function shownUntil(client: WsClient, last: string): Promise<string[]> {
  const messages = await client.until((message) => shown(message) === last);
  return messages.map(shown);
}

async function aborted(signal: AbortSignal | undefined): Promise<void> {
  assert.ok(signal !== undefined);
  if (!signal.aborted) await once(signal, "abort");
}

test("requests share a connection, outcomes come as they are ready, each with its index", async () => {
  await using front = await TestFront.start();
  await using client = await begun(front);
  front.submit.orderOf = (count) => [...Array(count).keys()].toReversed();
  front.submit.hold();
  client.say(request("a", ["one", "!two"]));
  client.say(request("b", ["three"], { class: "bulk", tenant: "press", timeoutMs: 5_000 }));
  await front.submit.arrived(2);
  front.submit.release();
  assert.deepEqual(await shownUntil(client, "done b"), [
    "accepted a",
    "accepted b",
    "a 1 item_failed",
    "a 0 eno",
    "b 0 eerht",
    "done a",
    "done b",
  ]);
  const [first, second] = front.submit.seen.map((seen) => seen.request);
  assert.deepEqual(first?.fields, { texts: ["one", "!two"] });
  assert.equal(
    first?.payloadBytes,
    Buffer.byteLength(JSON.stringify(request("a", ["one", "!two"]))),
  );
  assert.deepEqual([second?.class, second?.tenant], ["bulk", "press"]);
  assert.notEqual(first?.id, second?.id);
});

test("the summary is that of any reply, and an id is free again when its request was answered", async () => {
  await using front = await TestFront.start();
  await using client = await begun(front);
  for (let round = 0; round < 2; round += 1) {
    client.say(request("a", ["one"]));
    const messages = await client.until(({ type }) => type === "done");
    const [accepted, , done] = messages;
    assert.ok(accepted?.type === "accepted" && done?.type === "done");
    const { id, model, timings, pipelines, deployment } = done.summary;
    assert.deepEqual([id, model], [accepted.requestId, "echo"]);
    assert.deepEqual([timings.totalMs, pipelines, deployment], [6, { "echo-0": 1 }, identity]);
  }
});

test("cancel ends a request and nobody else's; what was answered cannot be cancelled any more", async () => {
  await using front = await TestFront.start();
  await using client = await begun(front);
  front.submit.hold();
  client.say(request("a", ["one"]));
  client.say(request("b", ["two"]));
  await front.submit.arrived(2);
  client.say({ type: "cancel", id: "a" });
  client.say({ type: "cancel", id: "nobody" });
  assert.deepEqual(await shownUntil(client, "error a cancelled"), [
    "accepted a",
    "accepted b",
    "error a cancelled",
  ]);
  const [first, second] = front.submit.seen;
  assert.deepEqual([first?.signal.aborted, second?.signal.aborted], [true, false]);
  front.submit.release();
  assert.deepEqual(await shownUntil(client, "done b"), ["b 0 owt", "done b"]);
});

test("a connection that is gone ends what is under way on it, whether it said so or not", async () => {
  await using front = await TestFront.start();
  front.submit.hold();
  await using client = await begun(front);
  client.say(request("a", ["one"]));
  await front.submit.arrived(1);
  client.ws.close(1000);
  await aborted(front.submit.seen[0]?.signal);
  await using rude = await begun(front);
  rude.say(request("a", ["one"]));
  await front.submit.arrived(2);
  rude.ws.terminate();
  await aborted(front.submit.seen[1]?.signal);
});

test("what is no message is refused in words, and the connection goes on", async () => {
  await using front = await TestFront.start();
  await using client = await begun(front);
  const bad: readonly (readonly [string | Buffer | object, string])[] = [
    ["", "error - bad_request"],
    ["[]", "error - bad_request"],
    ['{"type":', "error - bad_request"],
    [`${"[".repeat(100)}`, "error - bad_request"],
    [Buffer.from('{"type":"ping"}'), "error - bad_request"],
    [{}, "error - bad_request type"],
    [{ type: "requets" }, "error - bad_request type"],
    [{ type: "request", task: "translate" }, "error - bad_request id"],
    [request("", ["a"]), "error - bad_request id"],
    [request("x".repeat(65), ["a"]), "error - bad_request id"],
    [{ type: "request", id: "a", texts: ["a"] }, "error a bad_request task"],
    [{ ...request("a", ["a"]), task: "translat" }, "error a bad_request task"],
    [request("a", ["a"], { tests: 1 }), "error a bad_request tests"],
    [request("a", ["a"], { credit: -1 }), "error a bad_request credit"],
    [request("a", ["a"], { timeoutMs: 0 }), "error a bad_request timeoutMs"],
    [request("a", ["a"], { class: "soon" }), "error a bad_request class"],
    [{ type: "cancel" }, "error - bad_request id"],
    [{ type: "cancel", id: "a", why: 1 }, "error - bad_request why"],
    [{ type: "credit" }, "error - bad_request outcomes"],
    [{ type: "credit", outcomes: 0 }, "error - bad_request outcomes"],
    [{ type: "credit", outcomes: 1e10 }, "error - bad_request outcomes"],
  ];
  for (const [message, expected] of bad) {
    const isRaw = typeof message === "string" || Buffer.isBuffer(message);
    client.ws.send(isRaw ? message : JSON.stringify(message));
    assert.equal(shown(await client.next()), expected);
  }
  client.say({ type: "ping" });
  assert.deepEqual(await client.next(), { type: "pong" });
});

test("an id that is taken is refused, and the request that has it goes on", async () => {
  await using front = await TestFront.start();
  await using client = await begun(front);
  front.submit.hold();
  client.say(request("a", ["one"]));
  client.say(request("a", ["two"]));
  assert.deepEqual(await shownUntil(client, "error - bad_request id"), [
    "accepted a",
    "error - bad_request id",
  ]);
  front.submit.release();
  assert.deepEqual(await shownUntil(client, "done a"), ["a 0 eno", "done a"]);
});

test("a refusal at the door is the request's error, with how long to wait", async () => {
  await using front = await TestFront.start();
  await using client = await begun(front);
  front.submit.refuseWith = new MillraceError("queue_full", "Full.", { retryAfterMs: 700 });
  client.say(request("a", ["one"]));
  assert.deepEqual(await client.next(), {
    type: "error",
    id: "a",
    error: { code: "queue_full", message: "Full.", retryable: true },
    retryAfterMs: 700,
  });
  front.submit.refuseWith = new Error("a bug");
  client.say(request("a", ["one"]));
  assert.equal(shown(await client.next()), "error a internal");
  front.submit.refuseWith = null;
  front.submit.failAfterFirst = new MillraceError("worker_lost", "Gone.");
  client.say(request("a", ["one", "two"]));
  assert.deepEqual(await shownUntil(client, "error a worker_lost"), [
    "accepted a",
    "a 0 eno",
    "error a worker_lost",
  ]);
});

test("outcomes wait for the request's credit, and what ends it waits for them", async () => {
  await using front = await TestFront.start();
  await using client = await begun(front);
  client.say(request("a", ["one", "two", "three"], { credit: 1 }));
  assert.deepEqual(await shownUntil(client, "a 0 eno"), ["accepted a", "a 0 eno"]);
  client.say(request("b", ["four"]));
  assert.deepEqual(await shownUntil(client, "done b"), ["accepted b", "b 0 ruof", "done b"]);
  assert.ok(front.front.held().repliesBytes > 0, "what waits is counted");
  client.say({ type: "credit", id: "a", outcomes: 1 });
  assert.equal(shown(await client.next()), "a 1 owt");
  client.say({ type: "credit", id: "a", outcomes: 5 });
  assert.deepEqual(await shownUntil(client, "done a"), ["a 2 eerht", "done a"]);
  assert.equal(front.front.held().repliesBytes, 0);
  client.say({ type: "credit", id: "a", outcomes: 5 });
  client.say(request("c", ["five"], { credit: 0 }));
  assert.equal(shown(await client.next()), "accepted c");
  client.say({ type: "cancel", id: "c" });
  assert.equal(shown(await client.next()), "error c cancelled", "what waited is dropped");
  assert.equal(front.front.held().repliesBytes, 0);
});

test("the connection's credit is for all of its requests, in turns", async () => {
  await using front = await TestFront.start();
  await using client = await begun(front);
  client.say({ type: "credit", outcomes: 1 });
  client.say(request("a", ["one", "two", "three"]));
  client.say(request("b", ["four"]));
  const told = ["accepted a", "a 0 eno", "accepted b"];
  assert.deepEqual(await shownUntil(client, "accepted b"), told);
  client.say({ type: "credit", outcomes: 2 });
  assert.deepEqual(await shownUntil(client, "done b"), ["a 1 owt", "b 0 ruof", "done b"]);
  client.say({ type: "credit", outcomes: 9 });
  assert.deepEqual(await shownUntil(client, "done a"), ["a 2 eerht", "done a"]);
});

test("a connection has so many requests, and so many outcomes that wait for credit", async () => {
  await using front = await TestFront.start();
  await using client = await begun(front);
  const { requestsMax, waitingOutcomesMax } = streamLimits;
  const many = Array.from({ length: waitingOutcomesMax }, (_, index) => String(index));
  client.say(request("large", many, { credit: 0 }));
  client.say(request("next", ["one"]));
  assert.deepEqual(await shownUntil(client, "error next queue_full"), [
    "accepted large",
    "error next queue_full",
  ]);
  client.say({ type: "credit", id: "large", outcomes: waitingOutcomesMax });
  await shownUntil(client, "done large");
  front.submit.hold();
  for (let index = 0; index < requestsMax; index += 1) client.say(request(`${index}`, ["one"]));
  client.say(request("over", ["one"]));
  await shownUntil(client, "error over queue_full");
  assert.equal(front.submit.seen.length, 1 + requestsMax);
});

test("while the server drains no new request is taken, and the connection is closed behind the last answer", async () => {
  await using front = await TestFront.start();
  await using idle = await begun(front);
  await using client = await begun(front);
  front.submit.hold();
  client.say(request("a", ["one"]));
  await front.submit.arrived(1);
  front.state = "draining";
  const drained = front.front.drained();
  assert.equal((await idle.closed()).code, 1001);
  client.say(request("b", ["two"]));
  assert.deepEqual(await shownUntil(client, "error b draining"), [
    "accepted a",
    "error b draining",
  ]);
  await assert.rejects(WsClient.open(`${front.url}/v1/stream`), /503/);
  front.submit.release();
  assert.deepEqual(await shownUntil(client, "done a"), ["a 0 eno", "done a"]);
  assert.equal((await client.closed()).code, 1001);
  await drained;
});

test("two hundred connections at once, each with its own answers", async () => {
  await using front = await TestFront.start();
  const clients = await Promise.all(Array.from({ length: 200 }, () => begun(front)));
  await Promise.all(
    clients.map(async (client, index) => {
      client.say(request("a", [`n${index}`, "!"]));
      const said = await shownUntil(client, "done a");
      const reversed = Array.from(`n${index}`).toReversed().join("");
      assert.deepEqual(said.slice(1), [`a 0 ${reversed}`, "a 1 item_failed", "done a"]);
    }),
  );
  assert.equal(front.front.held().connections, 200);
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
});

test("over HTTP the path says that it is a WebSocket's, to whoever may come", async () => {
  await using front = await TestFront.start({}, { access: accessFor("k3y") });
  const asked = await fetch(`${front.url}/v1/stream`, { headers: { "x-api-key": "k3y" } });
  assert.equal(asked.status, 426);
  assert.equal(asked.headers.get("upgrade"), "websocket");
  const { error } = (await asked.json()) as { error: { code: string } };
  assert.equal(error.code, "upgrade_required");
  assert.equal((await fetch(`${front.url}/v1/stream`)).status, 401);
});
