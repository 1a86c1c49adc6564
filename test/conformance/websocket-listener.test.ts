/** What the listener does for every WebSocket, whatever is spoken on it: handshakes, frames, limits, and how it ends. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import { mock, test } from "node:test";
import { originsOf } from "#src/options/origins.js";
import { accessFor, sized, TestFront } from "../support/http-front.js";
import { until } from "../support/real-server.js";
import { WsClient, type WsOptions } from "../support/ws-client.js";

async function begun(front: TestFront, options: WsOptions = {}): Promise<WsClient> {
  const client = await WsClient.open(`${front.url}/v1/stream`, options);
  assert.equal((await client.next()).type, "hello");
  return client;
}

const ping = JSON.stringify({ type: "ping" });

async function answers(client: WsClient): Promise<void> {
  client.ws.send(ping);
  await client.until(({ type }) => type === "pong");
}

/** The bytes below the frames. */
function socketOf(client: WsClient): Socket {
  return Reflect.get(client.ws, "_socket") as Socket;
}

interface FrameParts {
  readonly opcode?: number;
  readonly fin?: boolean;
  readonly reserved?: number;
  readonly masked?: boolean;
  /** What the head says, where it lies. */
  readonly length?: bigint;
}

const [continuation, text, pinging] = [0, 1, 9];

/** With a mask of zeros, which changes nothing. */
function frame(payload: string | Buffer, parts: FrameParts = {}): Buffer {
  const { opcode = text, fin = true, reserved = 0, masked = true } = parts;
  const bytes = Buffer.from(payload);
  const { length = BigInt(bytes.length) } = parts;
  const head = Buffer.alloc(10);
  head[0] = (fin ? 0x80 : 0) | reserved | opcode;
  const size = length < 126n ? 2 : length < 65_536n ? 4 : 10;
  head[1] = (masked ? 0x80 : 0) | (size === 2 ? Number(length) : size === 4 ? 126 : 127);
  if (size === 4) head.writeUInt16BE(Number(length), 2);
  if (size === 10) head.writeBigUInt64BE(length, 2);
  return Buffer.concat([head.subarray(0, size), Buffer.alloc(masked ? 4 : 0), bytes]);
}

const handshakeHeaders = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  "sec-websocket-version": "13",
};

/** The status, and the code of the error; 101 where it was taken. */
async function handshake(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  method = "GET",
): Promise<string> {
  const asked = request(url, { method, headers: { ...handshakeHeaders, ...headers } });
  asked.end();
  const upgraded = once(asked, "upgrade").then(([, socket]) => {
    (socket as Socket).destroy();
    return "101";
  });
  const answered = once(asked, "response").then(async ([response]) => {
    const { statusCode, headers: told } = response as IncomingMessage;
    assert.match(String(told["x-millrace-deployment"]), /name=echo/);
    let body = "";
    for await (const chunk of response as IncomingMessage) body += String(chunk);
    const { error } = JSON.parse(body) as { error: { code: string; param?: string } };
    return [statusCode, error.code, error.param ?? ""].join(" ").trim();
  });
  return await Promise.race([upgraded, answered]);
}

test("a handshake is refused over HTTP, in words and with a status; then its connection is closed", async () => {
  await using front = await TestFront.start({}, { access: accessFor("k3y") });
  const [stream, key] = [`${front.url}/v1/stream`, { "x-api-key": "k3y" }];
  const subprotocol = "sec-websocket-protocol";
  const cases: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
    [`${front.url}/v1/nothing`, key, "404 not_found"],
    [`${front.url}/v1/models`, key, "404 not_found"],
    [stream, {}, "401 unauthenticated"],
    [stream, { [subprotocol]: "millrace.v1, millrace.key.nobody" }, "401 unauthenticated"],
    [
      stream,
      { ...key, "x-millrace-expect": "name=other" },
      "412 deployment_mismatch x-millrace-expect",
    ],
    [stream, { ...key, "sec-websocket-version": "8" }, "400 bad_request sec-websocket-version"],
    [stream, { ...key, "sec-websocket-key": "short" }, "400 bad_request sec-websocket-key"],
    [stream, { ...key, [subprotocol]: "mqtt" }, `400 bad_request ${subprotocol}`],
    [
      stream,
      { ...key, [subprotocol]: "millrace.v1,millrace.v1" },
      `400 bad_request ${subprotocol}`,
    ],
    [stream, { ...key, [subprotocol]: "millrace.v1, (" }, `400 bad_request ${subprotocol}`],
    [stream, { ...key, origin: "https://evil.example" }, "403 forbidden origin"],
    [stream, key, "101"],
    [stream, { [subprotocol]: "millrace.v1, millrace.key.k3y" }, "101"],
    [stream, { authorization: "Bearer k3y" }, "101"],
  ];
  for (const [url, headers, expected] of cases) {
    assert.equal(await handshake(url, headers), expected, JSON.stringify([url, headers]));
  }
  assert.equal(await handshake(stream, key, "POST"), "405 method_not_allowed");
  await until(() => front.front.held().connections === 0);
});

test("a page of somebody else does not reach a server that asks for no key", async () => {
  const allowed = "https://mine.example";
  await using front = await TestFront.start({}, { origins: originsOf(allowed) });
  const stream = `${front.url}/v1/stream`;
  const { port } = front.front;
  const cases: readonly (readonly [string, string, string])[] = [
    [`http://127.0.0.1:${port}`, `127.0.0.1:${port}`, "101"],
    [`http://localhost:${port}`, `localhost:${port}`, "101"],
    [allowed, `127.0.0.1:${port}`, "101"],
    ["https://evil.example", `127.0.0.1:${port}`, "403 forbidden origin"],
    [`http://127.0.0.1:${port + 1}`, `127.0.0.1:${port}`, "403 forbidden origin"],
    ["null", `127.0.0.1:${port}`, "403 forbidden origin"],
    ["", `127.0.0.1:${port}`, "403 forbidden origin"],
    // A name that its owner made to mean this machine: same host, and somebody else's page.
    [`http://evil.example:${port}`, `evil.example:${port}`, "403 forbidden origin"],
  ];
  for (const [origin, host, expected] of cases) {
    assert.equal(await handshake(stream, { origin, host }), expected, origin);
  }
  await using keyed = await TestFront.start({}, { access: accessFor("k3y") });
  const host = `models.example:${keyed.front.port}`;
  const own = { origin: `https://${host}`, host, "x-api-key": "k3y" };
  assert.equal(await handshake(`${keyed.url}/v1/stream`, own), "101");
});

test("defect: who only wishes for HTTP/2 is answered as before, on a connection that goes on", async () => {
  await using front = await TestFront.start();
  const wish = ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk"];
  const raw = await front.raw();
  raw.send(sized('{"texts":["one"]}', ...wish));
  await raw.until(/"text":"eno"/);
  raw.send(sized('{"texts":["two"]}'));
  await raw.until(/"text":"owt"/);
  assert.match(raw.received, /^HTTP\/1\.1 200 OK/);
  assert.equal(front.front.held().connections, 1);
});

test("defect: who asks for another protocol behind a request that is not answered ends that connection only", async () => {
  await using front = await TestFront.start();
  front.submit.hold();
  for (const protocol of ["websocket", "h2c"]) {
    const raw = await front.raw();
    raw.send(sized('{"texts":["one"]}'));
    const lines = Object.entries({ ...handshakeHeaders, upgrade: protocol, host: "x" });
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    raw.send(`GET /v1/stream HTTP/1.1\r\n${head}\r\n`);
    assert.equal(await raw.closed(), "");
  }
  await until(() => front.submit.seen.every(({ signal }) => signal.aborted));
  front.submit.release();
  assert.equal((await front.translate({ texts: ["two"] })).status, 200);
});

test("a message may come in parts, byte by byte, with pings between and characters cut in two", async () => {
  await using front = await TestFront.start();
  await using client = await begun(front);
  const message = Buffer.from(
    JSON.stringify({ type: "request", id: "é", task: "translate", texts: ["añb"] }),
  );
  const at = message.indexOf(0xc3) + 1;
  const frames = [
    frame(message.subarray(0, at), { fin: false }),
    frame("hello", { opcode: pinging }),
    frame("", { opcode: continuation, fin: false }),
    frame(message.subarray(at), { opcode: continuation }),
  ];
  const socket = socketOf(client);
  for (const byte of Buffer.concat(frames)) socket.write(Buffer.from([byte]));
  const [, outcome] = await client.until(({ type }) => type === "done");
  assert.ok(outcome?.type === "outcome");
  assert.equal((outcome.outcome as { text: string }).text, "bña");
  assert.equal(front.front.held().bodiesBytes, 0);
});

test("what is no frame ends its connection with the code for that, and nobody else's", async () => {
  await using front = await TestFront.start({ bodyBytesMax: 65_536 });
  await using neighbour = await begun(front);
  const lies: readonly (readonly [string, Buffer, number])[] = [
    ["no mask", frame(ping, { masked: false }), 1002],
    ["compressed", frame(ping, { reserved: 0x40 }), 1002],
    ["reserved", frame(ping, { reserved: 0x10 }), 1002],
    ["an opcode that nobody knows", frame(ping, { opcode: 3 }), 1002],
    ["a part of nothing", frame(ping, { opcode: continuation }), 1002],
    ["a long ping", frame("x".repeat(126), { opcode: pinging }), 1002],
    ["a ping in parts", frame("x", { opcode: pinging, fin: false }), 1002],
    ["no UTF-8", frame(Buffer.from([0xff, 0xfe])), 1007],
    ["too long", frame("", { length: 65_537n }), 1009],
    ["of all memory", frame("", { length: 1n << 40n }), 1009],
    ["of more than there is", frame("", { length: (1n << 63n) - 1n }), 1009],
    ["too long in parts", twice(frame("x".repeat(40_000), { fin: false })), 1009],
    ["parts without end", endless(), 1008],
  ];
  for (const [what, bytes, code] of lies) {
    await using client = await begun(front);
    socketOf(client).write(bytes);
    assert.equal((await client.closed()).code, code, what);
  }
  await answers(neighbour);
  await until(() => front.front.held().connections === 1);
  assert.equal(front.front.held().bodiesBytes, 0);
});

/** A first part and one that follows. */
function twice(first: Buffer): Buffer {
  return Buffer.concat([first, frame("x".repeat(40_000), { opcode: continuation, fin: false })]);
}

/** None of these parts is the last. */
function endless(): Buffer {
  const next = frame("", { opcode: continuation, fin: false });
  return Buffer.concat([frame("", { fin: false }), ...(Array(1_100).fill(next) as Buffer[])]);
}

test("messages that are not whole are counted with all bodies; where they are too many, the heaviest goes", async () => {
  await using front = await TestFront.start({ bodyBytesMax: 65_536, bodiesBytesMax: 131_072 });
  const half = frame("x".repeat(50_000), { length: 60_000n });
  const clients = [await begun(front), await begun(front)];
  for (const client of clients) socketOf(client).write(half);
  await until(() => front.front.held().bodiesBytes > 100_000);
  await using third = await begun(front);
  socketOf(third).write(half);
  const ended = await Promise.race([...clients, third].map((client) => client.closed()));
  assert.equal(ended.code, 1013);
  assert.ok(front.front.held().bodiesBytes <= 131_072);
  await using small = await begun(front);
  await answers(small);
  for (const client of clients) await client[Symbol.asyncDispose]();
  await third[Symbol.asyncDispose]();
  await until(() => front.front.held().bodiesBytes === 0);
});

test("a message that does not come to its end, and a peer that is not there any more", async () => {
  await using front = await TestFront.start({ bodyTimeoutMs: 100 }, { pingMs: 25 });
  await using slow = await begun(front);
  socketOf(slow).write(frame("x", { length: 100n }));
  const { code, reason } = await slow.closed();
  assert.equal(code, 1008);
  assert.match(reason, /did not arrive within 100 ms/);
  front.submit.hold();
  await using gone = await begun(front, { autoPong: false });
  gone.say({ type: "request", id: "a", task: "translate", texts: ["one"] });
  await front.submit.arrived(1);
  const signal = front.submit.seen[0]?.signal;
  assert.ok(signal !== undefined);
  if (!signal.aborted) await once(signal, "abort");
  assert.equal((await gone.closed()).code, 1006);
});

/** With beats that only the test moves, to the end of the connection: what is made on its clock must be cleared there. */
async function beating(work: (client: WsClient, beat: () => void) => Promise<void>): Promise<void> {
  const pingMs = 25;
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    await using front = await TestFront.start({}, { pingMs });
    {
      await using client = await begun(front);
      await work(client, () => mock.timers.tick(pingMs));
    }
    await until(() => front.front.held().connections === 0);
  } finally {
    mock.timers.reset();
  }
}

test("a peer that is there is asked again and again, and stays", async () => {
  await beating(async (there, beat) => {
    for (let pings = 0; pings < 4; pings += 1) {
      const asked = once(there.ws, "ping");
      beat();
      await asked;
      // Behind its answer to the ping, in the same connection.
      await answers(there);
    }
  });
});

test("defect: whose answer to a ping lay in the socket while the server stood still was taken for gone", async () => {
  await beating(async (there, beat) => {
    // It has answered; and as if all had stood still then, timers that are due come before the server gets to read that.
    const beaten = new Promise<void>((resolve) => {
      there.ws.once("ping", () => {
        setTimeout(() => {
          beat();
          resolve();
        }, 1);
        const stillUntilMs = performance.now() + 5;
        while (performance.now() < stillUntilMs);
      });
    });
    beat();
    await beaten;
    await answers(there);
  });
});

test("who asks for much and reads nothing is ended, and what waited for it is given back", async () => {
  await using front = await TestFront.start({ replyTimeoutMs: 100, bodyBytesMax: 1_048_576 });
  await using client = await begun(front);
  client.ws.pause();
  const large = "x".repeat(500_000);
  for (let id = 0; id < 24; id += 1) {
    client.say({ type: "request", id: String(id), task: "translate", texts: [large] });
  }
  await until(() => front.front.held().repliesBytes > 0);
  await until(() => front.front.held().connections === 0);
  assert.equal(front.front.held().repliesBytes, 0);
});

test("a flood of tiny messages is heard in turns: others are answered meanwhile", async () => {
  await using front = await TestFront.start();
  await using flood = await begun(front);
  await using other = await begun(front);
  const count = 1_000;
  let told = 0;
  const all = new Promise<void>((resolve) => {
    flood.ws.on("message", () => {
      told += 1;
      if (told === count) resolve();
    });
  });
  socketOf(flood).write(Buffer.concat(Array(count).fill(frame("{}")) as Buffer[]));
  await once(flood.ws, "message");
  await answers(other);
  assert.ok(told < count, "the flood is not over when the other is answered");
  assert.equal((await fetch(`${front.url}/live`)).status, 200);
  await all;
});

test("connections are one number with those of HTTP: one that idles gives its place, one that works keeps it", async () => {
  let nowMs = 0;
  await using front = await TestFront.start({ connectionsMax: 2 }, { nowMs: () => nowMs });
  await using idle = await begun(front);
  await using works = await begun(front);
  front.submit.hold();
  works.say({ type: "request", id: "a", task: "translate", texts: ["one"] });
  await front.submit.arrived(1);
  const early = await front.translate({ texts: ["two"] });
  assert.equal(early.status, 503);
  nowMs = 1_000;
  await using next = await begun(front);
  const { code, reason } = await idle.closed();
  assert.deepEqual([code, reason], [1013, "others wait for a connection"]);
  assert.equal((await front.translate({ texts: ["two"] })).status, 503);
  await answers(works);
  await answers(next);
});

test("when the server is closed every connection is told so, also one that does not answer", async () => {
  const front = await TestFront.start();
  await using client = await begun(front);
  await using deaf = await begun(front);
  deaf.ws.pause();
  await front[Symbol.asyncDispose]();
  assert.equal((await client.closed()).code, 1001);
  deaf.ws.resume();
  await deaf.closed();
});
