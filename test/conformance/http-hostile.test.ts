/** Callers who take more than their share: of connections, of memory, of time. Each ends at a limit that has a name. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { get, post, type RawSocket, sized, TestFront } from "../support/http-front.js";
import { someOf } from "../support/long.js";
import { until } from "../support/until.js";

const KiB = 1024;

async function fill(front: TestFront, connections: number): Promise<RawSocket[]> {
  const sockets: RawSocket[] = [];
  for (let i = 0; i < connections; i++) {
    const socket = await front.raw();
    socket.send(get("/v1/models"));
    await socket.until(/"models":/);
    sockets.push(socket);
  }
  return sockets;
}

async function ask(front: TestFront, bytes: string): Promise<string> {
  const socket = await front.raw();
  socket.send(bytes);
  return await socket.closed();
}

// ── Connections ─────────────────────────────────────────────────────────────────────────────────────────────────

test("defect 6: /live answers when every connection is taken", async () => {
  await using front = await TestFront.start({ connectionsMax: 2 }, { nowMs: () => 0 });
  await fill(front, 2);
  for (const path of ["/live", "/ready", "/status", "/metrics"]) {
    assert.match(await ask(front, get(path)), /^HTTP\/1.1 200 [\s\S]*connection: close/i, path);
  }
  for (const bytes of [get("/v1/models"), get("/nowhere"), sized('{"texts":"ab"}')]) {
    assert.match(await ask(front, bytes), /^HTTP\/1.1 503 [\s\S]*too_many_connections/);
  }
  assert.equal(front.submit.seen.length, 0);
});

test("attack: idle connections give their places to whoever asks, the longest idle first", async () => {
  let nowMs = 0;
  await using front = await TestFront.start({ connectionsMax: 3 }, { nowMs: () => nowMs });
  const [first, second, third] = await fill(front, 3);
  nowMs += 500;
  // Who has polled is not the longest any more.
  first?.send(get("/live"));
  await first?.until(/"live":true/);
  nowMs += 500;
  for (const [asked, closed] of [
    [2, second],
    [3, third],
  ] as const) {
    assert.match(await ask(front, get("/live")), /^HTTP\/1.1 200 /);
    const next = await front.raw();
    next.send(sized('{"texts":"ab"}').repeat(2));
    assert.match(
      await next.until(/"ba"[\s\S]*"ba"/),
      /^HTTP\/1.1 200 OK(?![\s\S]*connection: close)/i,
    );
    await closed?.closed();
    assert.equal(front.front.held().connections, 3, `${asked} have a place`);
  }
  // It has idled for less than a second, and so have the newcomers.
  assert.match(await ask(front, get("/v1/models")), /^HTTP\/1.1 503 [\s\S]*too_many_connections/);
  assert.equal(first?.socket.closed, false);
});

test("attack: a connection with an open exchange or half a request keeps its place", async () => {
  let nowMs = 0;
  await using front = await TestFront.start(
    { connectionsMax: 2, headersTimeoutMs: 60_000 },
    { nowMs: () => nowMs },
  );
  const [busy, begun] = await fill(front, 2);
  front.submit.hold();
  busy?.send(sized('{"texts":"ab"}'));
  begun?.send("GET /li");
  await front.submit.arrived(1);
  await until(() => (begun?.socket.writableLength ?? 0) === 0);
  nowMs += 50_000;
  assert.match(await ask(front, get("/v1/models")), /^HTTP\/1.1 503 [\s\S]*too_many_connections/);
  begun?.send("ve HTTP/1.1\r\nhost: x\r\n\r\n");
  await begun?.until(/"live":true/);
  nowMs += 600_000;
  const next = await front.raw();
  next.send(get("/v1/models"));
  await next.until(/"models":/);
  await begun?.closed();
  assert.match(await ask(front, get("/v1/models")), /^HTTP\/1.1 503 [\s\S]*too_many_connections/);
  front.submit.release();
  await busy?.until(/"ba"/);
});

test("attack: bodies that have stopped coming give their places, and are told; those that come keep theirs", async () => {
  let nowMs = 0;
  await using front = await TestFront.start({ connectionsMax: 3 }, { nowMs: () => nowMs });
  const [stalled, slow, waiting] = await fill(front, 3);
  front.submit.hold();
  waiting?.send(sized('{"texts":"cd"}'));
  await front.submit.arrived(1);
  const [body] = sized('{"texts":"ab"}').split("ab");
  for (const socket of [stalled, slow]) socket?.send(body ?? "");
  await until(() => front.front.held().bodiesBytes === 2 * '{"texts":"ab"}'.length);
  assert.match(await ask(front, get("/v1/models")), /^HTTP\/1.1 503 [\s\S]*too_many_connections/);
  nowMs += 900;
  assert.match(await ask(front, get("/v1/models")), /^HTTP\/1.1 503 /);
  slow?.send("a");
  await until(() => slow?.socket.writableLength === 0);
  // What was sent before is read before.
  assert.match(await ask(front, get("/live")), /^HTTP\/1.1 200 /);
  nowMs += 100;
  const next = await front.raw();
  next.send(sized('{"texts":"ef"}'));
  assert.match(
    (await stalled?.closed()) ?? "",
    /HTTP\/1.1 408 [\s\S]*body_timeout[\s\S]*others wait/,
  );
  await front.submit.arrived(2);
  // It has sent a byte in between, and who waits for us has sent all.
  nowMs += 900;
  assert.match(await ask(front, get("/v1/models")), /^HTTP\/1.1 503 /);
  slow?.send('b"}');
  await front.submit.arrived(3);
  front.submit.release();
  await slow?.until(/"ba"/);
  await waiting?.until(/"dc"/);
  await next.until(/"fe"/);
});

test("attack: line ends between requests keep no place", async () => {
  let nowMs = 0;
  const limits = { connectionsMax: 1, headersTimeoutMs: 5_000 };
  await using front = await TestFront.start(limits, { nowMs: () => nowMs });
  const [idle] = await fill(front, 1);
  idle?.send("\r\n");
  nowMs += 1_000;
  assert.match(await ask(front, get("/v1/models")), /^HTTP\/1.1 503 /);
  idle?.send("\r\n");
  nowMs += 6_000;
  const next = await front.raw();
  next.send(get("/v1/models"));
  await next.until(/"models":/);
  await idle?.closed();
});

test("attack: connections that have never asked give their places too", async () => {
  let nowMs = 0;
  await using front = await TestFront.start({ connectionsMax: 20 }, { nowMs: () => nowMs });
  for (let i = 0; i < 20; i++) await front.raw();
  await until(() => front.front.held().connections >= 20);
  nowMs += 1_000;
  for (let i = 0; i < 20; i++) {
    const next = await front.raw();
    next.send(get("/v1/models"));
    await next.until(/"models":/);
  }
  assert.match(await ask(front, get("/v1/models")), /^HTTP\/1.1 503 /);
});

test("defect 6: /live answers in a flood of connections that say nothing", async () => {
  await using front = await TestFront.start({ connectionsMax: 2 });
  await fill(front, 2);
  const silent: RawSocket[] = [];
  for (let i = 0; i < 600; i++) silent.push(await front.raw());
  assert.match(await ask(front, get("/live")), /^HTTP\/1.1 200 /);
  assert.ok(front.front.held().connections <= 2 + 256, "the flood is bounded");
  await silent[0]?.closed();
});

test("defect 6: a connection without a place that says nothing ends by itself", async () => {
  await using front = await TestFront.start({ connectionsMax: 1, headersTimeoutMs: 600_000 });
  await fill(front, 1);
  const late = await front.raw();
  late.send("GET /live HTTP/1.1\r\n");
  await late.closed();
});

test("a connection that came too late gets a place that is free when it asks", async () => {
  await using front = await TestFront.start({ connectionsMax: 1 });
  const [first] = await fill(front, 1);
  const late = await front.raw();
  first?.socket.destroy();
  // A poll would take the place.
  while (front.front.held().connections > 1) await new Promise(setImmediate);
  late.send(get("/v1/models"));
  await late.until(/"models":/);
  late.send(get("/v1/models"));
  await late.until(/"models":[\s\S]*"models":/);
});

test("one connection has sixteen requests open at the most; who sends on is disconnected", async () => {
  await using front = await TestFront.start();
  front.submit.hold();
  const socket = await front.raw();
  socket.send(sized('{"texts":"ab"}').repeat(17));
  await front.submit.arrived(16);
  front.submit.release();
  const replies = await socket.closed();
  assert.equal(replies.match(/HTTP\/1.1 200 /g)?.length, 16);
  assert.match(replies, /HTTP\/1.1 429 [\s\S]*connection: close[\s\S]*queue_full/i);

  front.submit.hold();
  const flood = await front.raw();
  flood.send(sized('{"texts":"ab"}').repeat(400));
  assert.equal(await flood.closed(), "");
  assert.ok(front.submit.seen.length <= 32);
});

test("attack: open requests with the largest heads are refused before they fill the memory", async () => {
  await using front = await TestFront.start();
  front.submit.hold();
  const fields = Array.from(
    { length: 190 },
    (_, at) => `x-${at}-${"n".repeat(30)}: ${at}${"v".repeat(30)}`,
  );
  const large = sized('{"texts":"ab"}', ...fields);
  let refused = false;
  for (let count = 0; !refused && count < 100; count += 1) {
    const socket = await front.raw();
    const seen = front.submit.seen.length;
    socket.send(large.repeat(15));
    // Behind the one that is refused its connection ends.
    await until(() => front.submit.seen.length === seen + 15 || socket.socket.destroyed);
    refused = socket.socket.destroyed;
  }
  assert.ok(refused);
  assert.ok(front.submit.seen.length < 1_000, `${front.submit.seen.length} were taken`);
  const before = front.submit.seen.length;
  const honest = await front.raw();
  honest.send(sized('{"texts":"ab"}'));
  await front.submit.arrived(before + 1);
});

test("a caller that leaves aborts all its requests, also those behind the first, and nothing waits for them", async () => {
  await using front = await TestFront.start();
  front.submit.hold();
  const socket = await front.raw();
  socket.send(sized('{"texts":"ab"}').repeat(5));
  await front.submit.arrived(5);
  socket.socket.destroy();
  const signals = front.submit.seen.map(({ signal }) => signal);
  await until(() => signals.every(({ aborted }) => aborted));
  await front.front.drained();
});

test("a flood of pipelined requests leaves nothing behind", async () => {
  await using front = await TestFront.start();
  for (let i = 0; i < 20; i++) {
    const socket = await front.raw();
    socket.send(get("/live").repeat(5000));
    await socket.closed();
  }
  await front.front.drained();
  assert.equal(front.front.held().repliesBytes, 0);
});

test("thousands of small requests, one after another, leave nothing behind", async () => {
  await using front = await TestFront.start();
  const socket = await front.raw();
  for (let i = 0; i < 3000; i++) {
    socket.send(get("/live"));
    await socket.until(/"live":true/);
    socket.received = "";
  }
  assert.deepEqual(front.front.held(), { connections: 1, bodiesBytes: 0, repliesBytes: 0 });
});

// ── Bodies ──────────────────────────────────────────────────────────────────────────────────────────────────────

test("defect 4: bodies in progress are in one budget, and the small ones get through", async () => {
  const bodiesBytesMax = 256 * KiB;
  await using front = await TestFront.start({ bodyBytesMax: 64 * KiB, bodiesBytesMax });
  const large = "a".repeat(60 * KiB);
  const sockets: RawSocket[] = [];
  let most = 0;
  for (let i = 0; i < 40; i++) {
    const socket = await front.raw();
    socket.send(post(large, `content-length: ${61 * KiB}`));
    sockets.push(socket);
    await (await fetch(`${front.url}/live`)).text();
    most = Math.max(most, front.front.held().bodiesBytes);
  }
  await until(() => sockets.filter((socket) => socket.received !== "").length >= 35);
  assert.ok(most > 128 * KiB && most <= bodiesBytesMax, `${most} bytes held`);
  for (const { received } of sockets) {
    if (received !== "")
      assert.match(received, /^HTTP\/1.1 429 [\s\S]*retry-after: 1[\s\S]*queue_full/i);
  }
  for (let i = 0; i < 10; i++) assert.equal((await front.translate({ texts: "ab" })).status, 200);
  for (const { socket } of sockets) socket.destroy();
  await until(() => front.front.held().bodiesBytes === 0);
});

test("attack: uploads that never end shut out no larger body that is under way", async () => {
  let nowMs = 0;
  const bodiesBytesMax = 256 * KiB;
  const limits = { bodyBytesMax: 200 * KiB, bodiesBytesMax };
  await using front = await TestFront.start(limits, { nowMs: () => nowMs });
  const sockets: RawSocket[] = [];
  for (let i = 0; i < 4; i++) {
    const socket = await front.raw();
    // 80 KiB are allocated for 60 that came.
    socket.send(post("a".repeat(60 * KiB), `content-length: ${80 * KiB}`));
    sockets.push(socket);
    await until(() => front.front.held().bodiesBytes >= (i + 1) * 60 * KiB);
  }
  nowMs += 3_000;
  const texts = Array.from({ length: 10 }, () => "a".repeat(15_000));
  for (let i = 0; i < 2; i++) {
    const reply = await front.translate({ texts });
    assert.equal(reply.status, 200, await reply.text());
  }
  for (const { received } of sockets) assert.match(received, /^$|^HTTP\/1.1 429 /);
  assert.ok(sockets.some(({ received }) => received !== ""));
  for (const { socket } of sockets) socket.destroy();
  await until(() => front.front.held().bodiesBytes === 0);
});

test("defect 4: three hundred bombs that stall hold what they sent, not what would become of it", async () => {
  await using front = await TestFront.start();
  const bomb = gzipSync(Buffer.alloc(4 * KiB * KiB, "a"));
  const sockets: RawSocket[] = [];
  for (let i = 0; i < 300; i++) {
    const socket = await front.raw();
    socket.send(post("", `content-length: ${bomb.length}`, "content-encoding: gzip"));
    socket.send(bomb.subarray(0, -1));
    sockets.push(socket);
  }
  await until(() => front.front.held().bodiesBytes >= 300 * (bomb.length - 1));
  assert.ok(front.front.held().bodiesBytes <= 300 * 2 * bomb.length);
  for (const { socket } of sockets) socket.destroy();
  await until(() => front.front.held().bodiesBytes === 0);
});

/** By default it takes a second for a bomb, which is no smaller then. */
const brotli = (bytes: Buffer | string): Buffer =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } });

const encodings = [
  ["gzip", gzipSync],
  ["br", brotli],
] as const;
for (const [encoding, compress] of someOf(encodings, 2)) {
  test(`defect 4: a small body in ${encoding} overtakes a hundred bombs, within the budget`, async () => {
    const bodiesBytesMax = 16 * KiB * KiB;
    await using front = await TestFront.start({ bodiesBytesMax });
    const bomb = compress(Buffer.alloc(64 * KiB * KiB, "a"));
    const headers = { "content-encoding": encoding };
    const order: string[] = [];
    const bombs = Array.from({ length: 100 }, async () => {
      const response = await front.translate(bomb, { headers });
      await response.text();
      order.push("bomb");
      return response.status;
    });
    await until(() => front.front.held().bodiesBytes > 0);
    const small = await front.translate(compress('{"texts":"ab"}'), { headers });
    assert.match(await small.text(), /"ba"/);
    order.push("small");
    let most = 0;
    await until(() => {
      most = Math.max(most, front.front.held().bodiesBytes);
      return order.length === 101;
    });
    const statuses = new Set(await Promise.all(bombs));
    assert.ok(
      [...statuses].every((status) => status === 413 || status === 429),
      [...statuses].join(),
    );
    assert.ok(most <= bodiesBytesMax, `${most} bytes held`);
    assert.equal(front.front.held().bodiesBytes, 0);
  });
}

test("a body's bytes are counted until submit has them, and not twice", async () => {
  await using front = await TestFront.start();
  front.submit.hold();
  const reply = front.translate({ texts: "a".repeat(100 * KiB) });
  await front.submit.arrived(1);
  assert.equal(front.front.held().bodiesBytes, 0);
  front.submit.release();
  await (await reply).text();
});

test("forty large bodies at once are all read, whatever turns they took", async () => {
  await using front = await TestFront.start();
  const texts = Array.from({ length: 50 }, (_, i) =>
    String.fromCharCode(97 + (i % 26)).repeat(20_000),
  );
  const replies = await Promise.all(Array.from({ length: 40 }, () => front.translate({ texts })));
  for (const reply of replies) assert.equal(reply.status, 200, await reply.text());
  assert.equal(front.submit.seen.length, 40);
});

test("callers who wait for leave and then send nothing hold nothing, and end in time", async () => {
  await using front = await TestFront.start({ bodyTimeoutMs: 50 });
  const sockets: RawSocket[] = [];
  for (let i = 0; i < 200; i++) {
    const socket = await front.raw();
    socket.send(post("", "content-length: 4000000", "expect: 100-continue"));
    sockets.push(socket);
  }
  assert.ok(front.front.held().bodiesBytes === 0);
  for (const socket of sockets) {
    assert.match(await socket.closed(), /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 408 /);
  }
});

test("a body in pieces of one byte costs its bytes, not its pieces", async () => {
  await using front = await TestFront.start({ bodiesBytesMax: 128 * KiB, bodyBytesMax: 64 * KiB });
  const socket = await front.raw();
  socket.send(post("", "transfer-encoding: chunked"));
  const text = JSON.stringify({ texts: "a".repeat(20 * KiB) });
  socket.send(Array.from(text, (character) => `1\r\n${character}\r\n`).join(""));
  await until(() => front.front.held().bodiesBytes >= text.length);
  assert.ok(front.front.held().bodiesBytes <= 2 * text.length);
  socket.send("0\r\n\r\n");
  assert.match(await socket.until(/\}$/), /^HTTP\/1.1 200 /);
});

// ── Replies ─────────────────────────────────────────────────────────────────────────────────────────────────────

const longReply = JSON.stringify({ texts: Array.from({ length: 400 }, () => "x".repeat(20_000)) });

test("replies that nobody takes are in one budget; who has waited longest is disconnected", async () => {
  const repliesBytesMax = 16 * KiB * KiB;
  await using front = await TestFront.start({ bodyBytesMax: 16 * KiB * KiB, repliesBytesMax });
  const sockets: RawSocket[] = [];
  for (let i = 0; i < 6; i++) {
    const socket = await front.raw();
    socket.socket.pause();
    socket.send(
      sized(longReply, `accept: ${i % 2 === 0 ? "application/json" : "application/x-ndjson"}`),
    );
    sockets.push(socket);
    await front.submit.arrived(i + 1);
    assert.ok(front.front.held().repliesBytes <= repliesBytesMax);
  }
  await until(() => front.front.held().connections <= 4);
  const last = sockets.at(-1) ?? assert.fail();
  last.socket.resume();
  await last.until(/"done"/);
  for (const { socket } of sockets) socket.destroy();
  await until(() => front.front.held().repliesBytes === 0);
});

test("a caller that takes nothing is disconnected, also while it goes on asking", async () => {
  await using front = await TestFront.start({ replyTimeoutMs: 100, bodyBytesMax: 16 * KiB * KiB });
  const socket = await front.raw();
  socket.socket.pause();
  socket.send(sized(longReply));
  await front.submit.arrived(1);
  await until(() => {
    if (socket.socket.writable) socket.send("G");
    return front.front.held().connections <= 1;
  });
});

test("defect 11: the head of lines comes when the request was accepted, then a sign of life", async () => {
  await using front = await TestFront.start({}, { signOfLifeMs: 20 });
  front.submit.hold();
  const socket = await front.raw();
  socket.send(sized('{"texts":"ab"}', "accept: application/x-ndjson"));
  await socket.until(
    /^HTTP\/1.1 200 OK[\s\S]*application\/x-ndjson[\s\S]*\r\n\r\n1\r\n\n\r\n1\r\n\n\r\n/,
  );
  assert.doesNotMatch(socket.received, /index/);
  front.submit.release();
  const reply = await socket.until(/0\r\n\r\n$/);
  assert.match(reply, /"text":"ba"[\s\S]*"done"/);
});

test("defect 11: what is refused at the door has its own status, also for lines", async () => {
  await using front = await TestFront.start({}, { signOfLifeMs: 1 });
  front.submit.refuseWith = new Error("a bug");
  const accept = { headers: { accept: "application/x-ndjson" } };
  assert.equal((await front.translate({ texts: "ab" }, accept)).status, 500);
});

test("when all is over no timer is left", async () => {
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  {
    await using front = await TestFront.start({ connectionsMax: 1, bodyTimeoutMs: 60_000 });
    const [taken] = await fill(front, 1);
    await front.raw();
    taken?.send(post("{", "content-length: 100"));
    await (await fetch(`${front.url}/live`)).text();
  }
  {
    await using front = await TestFront.start({}, { signOfLifeMs: 60_000 });
    front.submit.hold();
    const lines = await front.raw();
    lines.send(sized('{"texts":"ab"}', "accept: application/x-ndjson"));
    await front.submit.arrived(1);
    const json = await front.raw();
    json.send(sized('{"texts":"ab"}'));
    await front.submit.arrived(2);
  }
  assert.ok(timers() <= before + 1, "the listener's own interval ends with it");
});

// ── HTTP itself ─────────────────────────────────────────────────────────────────────────────────────────────────

test("HTTP/1.0 is answered, lines too, without chunks", async () => {
  await using front = await TestFront.start();
  assert.match(await ask(front, "GET /live HTTP/1.0\r\n\r\n"), /^HTTP\/1.1 200 [\s\S]*"live":true/);
  const lines = sized('{"texts":"ab"}', "accept: application/x-ndjson").replace("/1.1", "/1.0");
  const reply = await ask(front, lines);
  assert.doesNotMatch(reply, /transfer-encoding/i);
  assert.match(reply, /"text":"ba"\S*\n\{"done":.*\}\n$/);
});

test("what HTTP itself refuses is told in the front's words, with who answers", async () => {
  await using front = await TestFront.start();
  const fields = Array.from({ length: 300 }, (_, i) => `x-${i}: 1\r\n`).join("");
  for (const [bytes, status, code] of [
    [`GET /live HTTP/1.1\r\nhost: x\r\n${fields}\r\n`, 431, "headers_too_large"],
    [`GET /live HTTP/1.1\r\n\r\n`, 400, "bad_request"],
    [get("/live").replace("host: x", "host: x\r\nexpect: tea"), 400, "bad_request"],
  ] as const) {
    const socket = await front.raw();
    socket.send(bytes);
    const reply = await socket.until(/\r\n\r\n\{.*\}/);
    assert.match(reply, new RegExp(`^HTTP/1.1 ${status} [\\s\\S]*"code":"${code}"`));
    assert.match(reply, /x-millrace-deployment: name=echo/i);
  }
});

/** Ways to hide a second request in the first one's body from one of two servers in a row. */
const smuggled = get("/status");
const shapes: readonly (readonly [what: string, head: string])[] = [
  ["a length and chunks", "content-length: 5\r\ntransfer-encoding: chunked"],
  ["chunks and a length", "transfer-encoding: chunked\r\ncontent-length: 5"],
  ["chunks that are not the last", "transfer-encoding: chunked, identity"],
  ["chunks by another name", "transfer-encoding: xchunked"],
  ["two lengths", "content-length: 5\r\ncontent-length: 6"],
  ["a list of lengths", "content-length: 5, 6"],
  ["a length with a sign", "content-length: +5"],
  ["a space before the colon", "transfer-encoding : chunked"],
  ["a folded header", "transfer-encoding:\r\n chunked\r\ncontent-length: 5"],
  ["a null in a name", "content\u0000-length: 5"],
  ["a length in hexadecimal", "content-length: 0x5"],
];
for (const [what, head] of shapes) {
  test(`no second request is smuggled: ${what}`, async () => {
    await using front = await TestFront.start();
    const begin = "POST /v1/translate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json";
    const reply = await ask(front, `${begin}\r\n${head}\r\n\r\n0\r\n\r\n${smuggled}`);
    assert.match(reply, /^HTTP\/1.1 400 [\s\S]*bad_request/);
    assert.doesNotMatch(reply, /"uptimeMs"/);
  });
}
