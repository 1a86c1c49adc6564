/** Bodies and replies that are larger than what the server may hold of them: they go at the pace of whoever is slower. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { mock, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { MillraceError } from "millrace-client/wire";
import type { HttpFront, ReplyStream } from "#src/listen/http/http-front.js";
import type { Options } from "#src/options/options.js";
import { get, type RawSocket, TestFront } from "../support/http-front.js";
import { until } from "../support/until.js";

const KiB = 1024;
const MiB = 1024 * KiB;
/** What one body or reply may have in the server's own books at any time: two pieces, and what they double to. */
const heldMax = 512 * KiB;

/** A front that stores what it gets at the test's pace, and sends as much as it is asked for. */
class LargeFront {
  /** What the reader waits for before each piece; the test's. */
  pace: () => Promise<void> = async () => {};
  /** Called with each piece. */
  onPiece: (bytes: number) => void = () => {};
  bytesMax = 64 * MiB;
  begun = 0;
  readonly thrown: string[] = [];
  readonly streams: ReplyStream[] = [];

  async start(options: Partial<Options> = {}, nowMs?: () => number): Promise<TestFront> {
    return await TestFront.start(options, nowMs === undefined ? {} : { nowMs }, [this.#front()]);
  }

  #front(): HttpFront {
    return {
      name: "large",
      pathPrefixes: ["/large/"],
      renderError: ({ code }) => ({
        status: code === "internal" ? 500 : 418,
        contentType: "text/plain",
        body: code,
      }),
      routes: [
        {
          path: "/large/in",
          method: "POST",
          handler: async (exchange) => {
            const hash = createHash("sha256");
            this.begun += 1;
            try {
              for await (const piece of await exchange.receiveStream(this.bytesMax)) {
                hash.update(piece);
                this.onPiece(piece.length);
                await this.pace();
              }
            } catch (error) {
              this.thrown.push(error instanceof MillraceError ? error.code : String(error));
              throw error;
            }
            exchange.reply({ status: 200, contentType: "text/plain", body: hash.digest("hex") });
          },
        },
        {
          path: "/large/early",
          method: "POST",
          handler: async (exchange) => {
            for await (const piece of await exchange.receiveStream(this.bytesMax)) {
              exchange.reply({
                status: 200,
                contentType: "text/plain",
                body: `${piece.length > 0}`,
              });
              return;
            }
          },
        },
        {
          path: "/large/out/{pieces}",
          method: "GET",
          handler: async (exchange) => {
            const stream = exchange.stream({ status: 200, contentType: "text/plain" });
            this.streams.push(stream);
            for (let left = Number(exchange.params["pieces"]); left > 0; left -= 1) {
              if (exchange.departed.aborted) throw new MillraceError("cancelled", "left");
              stream.write(left % 2 === 0 ? "x".repeat(64 * KiB) : Buffer.alloc(64 * KiB, "x"));
              await stream.ready();
              this.onPiece(64 * KiB);
            }
            await stream.end();
          },
        },
      ],
    };
  }
}

const head = (length: number | "chunked", ...more: readonly string[]): string =>
  [
    "POST /large/in HTTP/1.1",
    "host: x",
    length === "chunked" ? "transfer-encoding: chunked" : `content-length: ${length}`,
    ...more,
    "",
    "",
  ].join("\r\n");

const random = (bytes: number): Buffer => {
  const made = Buffer.alloc(bytes);
  let x = 1;
  for (let at = 0; at < bytes; at += 4) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    made.writeUInt32LE(x, at);
  }
  return made;
};
const sha = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

async function upload(
  front: TestFront,
  body: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const response = await fetch(`${front.url}/large/in`, { method: "POST", body, headers });
  return `${response.status} ${await response.text()}`;
}

// ── Bodies ──────────────────────────────────────────────────────────────────────────────────────────────────────

test("a body larger than all bodies may be goes to a slow reader, piece by piece, to the byte", async () => {
  const large = new LargeFront();
  await using front = await large.start({ bodyBytesMax: 64 * KiB, bodiesBytesMax: 1 * MiB });
  const body = random(8 * MiB);
  let most = 0;
  let pieces = 0;
  large.pace = async () => {
    pieces += 1;
    if (pieces % 8 === 0) await delay(1);
    most = Math.max(most, front.front.held().bodiesBytes);
  };
  assert.equal(await upload(front, body), `200 ${sha(body)}`);
  assert.ok(most > 0 && most <= heldMax, `${most} bytes were held`);
  assert.equal(front.front.held().bodiesBytes, 0);
});

test("a body that comes byte by byte, in chunks, is the same one", async () => {
  const large = new LargeFront();
  await using front = await large.start();
  const body = Buffer.from("one\ntwo\nthree\n");
  const socket = await front.raw();
  socket.send(head("chunked"));
  for (const byte of body) {
    socket.send(`1\r\n${String.fromCharCode(byte)}\r\n`);
    await new Promise(setImmediate);
  }
  socket.send(`0\r\n\r\n${get("/live")}`);
  // The connection goes on behind it.
  assert.match(await socket.until(/"live":true/), new RegExp(`^HTTP/1.1 200 [^]*${sha(body)}`));
});

test("while the reader has enough the caller is kept from sending, and none of its time goes by", async () => {
  const large = new LargeFront();
  const bodyTimeoutMs = 100;
  await using front = await large.start({
    bodyTimeoutMs,
    bodyBytesMax: 64 * KiB,
    bodiesBytesMax: 1 * MiB,
  });
  const body = random(4 * MiB);
  let pieces = 0;
  large.pace = async () => {
    pieces += 1;
    if (pieces > 1) return;
    await nothingMoreCame(front);
    mock.timers.tick(2 * bodyTimeoutMs);
  };
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    assert.equal(await upload(front, body), `200 ${sha(body)}`);
  } finally {
    mock.timers.reset();
  }
});

/** Called with a piece: until there is another behind it, and the server has read no more for many turns. */
async function nothingMoreCame({ front }: TestFront): Promise<void> {
  const enough = front.held().bodiesBytes + 64 * KiB;
  let held = 0;
  for (let turns = 0; turns < 100; turns += 1) {
    await new Promise(setImmediate);
    const { bodiesBytes } = front.held();
    if (bodiesBytes < enough || bodiesBytes !== held) turns = 0;
    held = bodiesBytes;
  }
}

test("a body that stops coming is told so, and nothing of it is kept", async () => {
  const large = new LargeFront();
  await using front = await large.start({ bodyTimeoutMs: 50 });
  const socket = await front.raw();
  socket.send(`${head(100)}begun`);
  assert.match(await socket.closed(), /^HTTP\/1.1 418 [\s\S]*body_timeout$/);
  assert.equal(front.front.held().bodiesBytes, 0);
});

test("a caller who leaves mid-body is no end of it", async () => {
  const large = new LargeFront();
  await using front = await large.start();
  const socket = await front.raw();
  const told = new Promise<number>((resolve) => {
    large.onPiece = resolve;
  });
  socket.send(`${head(100)}begun`);
  await told;
  socket.socket.destroy();
  await until(() => large.thrown.length > 0);
  assert.deepEqual(large.thrown, ["cancelled"]);
  await front.front.drained();
  assert.equal(front.front.held().bodiesBytes, 0);
});

test("more bytes than are taken: refused by their length, or where they are over", async () => {
  const large = new LargeFront();
  large.bytesMax = 100 * KiB;
  await using front = await large.start();
  assert.equal(await upload(front, random(100 * KiB)), `200 ${sha(random(100 * KiB))}`);
  let pieces = 0;
  large.onPiece = () => {
    pieces += 1;
  };
  assert.equal(await upload(front, random(101 * KiB)), "418 body_too_large");
  assert.equal(pieces, 0);
  const socket = await front.raw();
  socket.send(head("chunked"));
  for (let sent = 0; sent < 20; sent += 1) socket.send(`2000\r\n${"x".repeat(8 * KiB)}\r\n`);
  assert.match(await socket.until(/body_too_large$/), /^HTTP\/1.1 418 /);
});

test("leave to send is asked for first, and the rest of a body that nobody reads is thrown away", async () => {
  const large = new LargeFront();
  await using front = await large.start();
  const polite = await front.raw();
  polite.send(head(3, "expect: 100-continue"));
  await polite.until(/^HTTP\/1.1 100 Continue\r\n\r\n/);
  polite.send("abc");
  await polite.until(/HTTP\/1.1 200 OK/);

  const response = await fetch(`${front.url}/large/early`, {
    method: "POST",
    body: random(2 * MiB),
  });
  assert.equal(await response.text(), "true");
  assert.equal(front.front.held().bodiesBytes, 0);
});

test("compressed bodies are taken as they come; a bomb ends at the limit, in little memory", async () => {
  const large = new LargeFront();
  await using front = await large.start({ bodiesBytesMax: 20 * MiB });
  const body = Buffer.concat([random(700 * KiB), Buffer.alloc(2 * MiB, "line\n")]);
  const encodings = { gzip: gzipSync, deflate: deflateSync, br: brotliOf } as const;
  for (const [encoding, compress] of Object.entries(encodings)) {
    const headers = { "content-encoding": encoding };
    assert.equal(await upload(front, compress(body), headers), `200 ${sha(body)}`, encoding);
    const half = compress(body).subarray(0, 400 * KiB);
    assert.equal(await upload(front, half, headers), "418 bad_request", encoding);
    assert.equal(await upload(front, random(64), headers), "418 bad_request", encoding);
    large.bytesMax = 1 * MiB;
    let most = 0;
    large.pace = async () => {
      await Promise.resolve();
      most = Math.max(most, front.front.held().bodiesBytes);
    };
    const bomb = compress(Buffer.alloc(32 * MiB));
    assert.equal(await upload(front, bomb, headers), "418 body_too_large", encoding);
    // Brotli keeps what it may look back to.
    assert.ok(most <= heldMax + (encoding === "br" ? 1 * MiB : 0), `${encoding}: ${most} held`);
    large.bytesMax = 64 * MiB;
    assert.equal(front.front.held().bodiesBytes, 0, encoding);
  }
  assert.equal(
    await upload(front, body, { "content-encoding": "zstd" }),
    "418 unsupported_media_type",
  );
});

function brotliOf(bytes: Buffer): Buffer {
  return brotliCompressSync(bytes, { params: { 1: 3 } });
}

async function uploads(front: TestFront, count: number, body: string): Promise<RawSocket[]> {
  const sockets: RawSocket[] = [];
  for (let at = 0; at < count; at += 1) {
    const socket = await front.raw();
    socket.send(`${head(MiB / 2)}${body}`);
    sockets.push(socket);
  }
  return sockets;
}

test("attack: 64 uploads that have stopped shut nobody out", async () => {
  let nowMs = 0;
  const large = new LargeFront();
  await using front = await large.start({ connectionsMax: 64 }, () => nowMs);
  await uploads(front, 64, "begun");
  await until(() => large.begun === 64);
  const first = await front.raw();
  first.send(get("/v1/models"));
  assert.match(await first.closed(), /too_many_connections/);
  nowMs += 1_000;
  const next = await front.raw();
  next.send(get("/v1/models"));
  assert.match(await next.until(/"models":/), /^HTTP\/1.1 200 /);
});

test("64 uploads that wait for us have not stopped, and hold little", async () => {
  let nowMs = 0;
  const large = new LargeFront();
  await using front = await large.start(
    { connectionsMax: 64, bodiesBytesMax: 32 * MiB },
    () => nowMs,
  );
  let goOn: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  large.pace = () => held;
  const body = "x".repeat(MiB / 2);
  const sockets = await uploads(front, 64, body);
  // Each has enough that waits, beside what its reader has.
  await until(() => front.front.held().bodiesBytes >= 64 * 64 * KiB);
  for (let looks = 0; looks < 3; looks += 1) {
    const late = await front.raw();
    late.send(get("/v1/models"));
    assert.match(await late.closed(), /too_many_connections/);
    nowMs += 5_000;
  }
  assert.ok(front.front.held().bodiesBytes <= 64 * heldMax);
  goOn();
  for (const socket of sockets) await socket.until(new RegExp(sha(Buffer.from(body))));
});

// ── Replies ─────────────────────────────────────────────────────────────────────────────────────────────────────

test("a reply larger than all replies may be goes to a slow caller, in little memory", async () => {
  const large = new LargeFront();
  await using front = await large.start({ repliesBytesMax: 1 * MiB });
  const pieces = 16 * 16;
  let most = 0;
  large.onPiece = () => {
    most = Math.max(most, front.front.held().repliesBytes);
  };
  const asked = request(`${front.url}/large/out/${pieces}`).end();
  const [reply] = (await once(asked, "response")) as [AsyncIterable<Buffer>];
  let bytes = 0;
  let reads = 0;
  for await (const chunk of reply) {
    bytes += chunk.length;
    reads += 1;
    if (reads % 32 === 0) await delay(1);
  }
  assert.equal(bytes, pieces * 64 * KiB);
  assert.ok(most <= heldMax, `${most} bytes were held`);
});

test("who waits for a caller that has left, or takes nothing, waits no longer", async () => {
  const large = new LargeFront();
  await using front = await large.start({ replyTimeoutMs: 100 });
  for (const leaves of [true, false]) {
    const socket = await front.raw();
    socket.socket.pause();
    socket.send(get("/large/out/100000"));
    await until(() => front.front.held().repliesBytes > 0);
    if (leaves) socket.socket.destroy();
    await until(() => front.front.held().connections === 0);
    assert.equal(front.front.held().repliesBytes, 0);
  }
  await front.front.drained();
  for (const stream of large.streams) await stream.ready();
});
