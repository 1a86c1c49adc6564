/** Frames of WebSockets, cut anywhere, on a connection that was handed over; the socket is one in memory. */
import { once } from "node:events";
import { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { MillraceError } from "millrace-client/wire";
import { openStreamsFront } from "#src/front/streams/streams.js";
import { BodyBudget } from "#src/listen/body-budget.js";
import { ReplyBudget } from "#src/listen/reply-budget.js";
import { Rounds } from "#src/listen/rounds.js";
import { WebSockets } from "#src/listen/websocket/websockets.js";
import { createLog } from "#src/log.js";
import { anyCaller } from "#src/work/caller.js";
import type { Random } from "../../sim/random.js";
import { mutateBytes } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";
import { fuzzFrontParts } from "./fuzz-front-parts.js";
import { fuzzOptions } from "./fuzz-options.js";

const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** As a client sends it: masked. */
function frame(opcode: number, content: string, { isLast = true } = {}): Buffer {
  const bytes = Buffer.from(content);
  const mask = Buffer.of(1, 2, 3, 4);
  const head = Buffer.of(
    opcode | (isLast ? 0x80 : 0),
    0x80 | (bytes.length < 126 ? bytes.length : 126),
  );
  const length = Buffer.alloc(bytes.length < 126 ? 0 : 2);
  if (length.length > 0) length.writeUInt16BE(bytes.length);
  const masked = bytes.map((byte, at) => byte ^ (mask[at % 4] ?? 0));
  return Buffer.concat([head, length, mask, masked]);
}

const request = JSON.stringify({
  type: "request",
  id: "1",
  task: "translate",
  texts: ["a ".repeat(80)],
});
const good: readonly Buffer[] = [
  frame(opcodes.text, '{"type":"ping"}'),
  frame(opcodes.text, request),
  Buffer.concat([
    frame(opcodes.text, request.slice(0, 20), { isLast: false }),
    frame(opcodes.ping, "x"),
    frame(opcodes.continuation, request.slice(20)),
  ]),
  frame(opcodes.binary, "bytes"),
  frame(opcodes.pong, ""),
];
/** Too short to be a code. */
const close = frame(opcodes.close, "\u0003");

interface CutFrames {
  readonly bytes: Buffer;
  readonly cut: number;
}

export const webSocketFrameParser: FuzzParser = defineParser<CutFrames>({
  name: "websocket-frames",
  open: () => {
    const { webSocket } = openStreamsFront(fuzzFrontParts());
    if (webSocket === undefined) throw new Error("streams speak no WebSocket");
    const sockets = new WebSockets({
      fronts: [webSocket],
      limits: fuzzOptions,
      metrics: { replied: () => {}, refused: () => {} },
      log: createLog({ ...fuzzOptions, logLevel: "silent", destination: process.stderr }),
    });
    const bodies = new BodyBudget(fuzzOptions.bodiesBytesMax);
    const replies = new ReplyBudget(fuzzOptions.repliesBytesMax);
    const reads = new Rounds();
    return {
      make: framesOf,
      take: async ({ bytes, cut }) => {
        const socket = new MemorySocket(bytes, cut);
        const ended = once(socket, "close");
        const shared = {
          id: "1",
          caller: anyCaller,
          path: "/v1/stream",
          headers: {},
          bodies,
          replies,
          reads,
        };
        const asked = upgradeOf(socket);
        sockets.check(asked, "/v1/stream");
        sockets.accept({
          ...shared,
          request: asked,
          socket: socket.asSocket,
          head: Buffer.alloc(0),
        });
        await ended;
        if (bodies.heldBytes !== 0)
          throw new Error(`${bodies.heldBytes} bytes are counted for nobody`);
        const code = socket.closeCode;
        if (code !== null && code !== 1000 && code !== 1005) {
          throw new MillraceError("bad_request", `closed with ${code}`);
        }
      },
    };
  },
});

function framesOf(random: Random): CutFrames {
  const isGood = random.chance(goodShare);
  const whole = Buffer.concat(Array.from({ length: random.int(1, 4) }, () => random.pick(good)));
  const bytes = isGood ? whole : mutateBytes(random, whole, [...good, close]);
  return { bytes, cut: bytes.length < 400 && random.chance(0.2) ? 1 : random.int(1, 64) * 32 };
}

function upgradeOf(socket: MemorySocket): IncomingMessage {
  const asked = new IncomingMessage(socket.asSocket);
  Object.assign(asked, { method: "GET", url: "/v1/stream" });
  Object.assign(asked.headers, {
    host: "127.0.0.1",
    connection: "upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  });
  return asked;
}

/** Gives its bytes in chunks and ends; of what is written to it the code of a close is kept. */
class MemorySocket extends Duplex {
  closeCode: number | null = null;
  bytesRead = 0;
  readonly remoteAddress = "127.0.0.1";
  #isCloseHead = false;
  readonly #bytes: Buffer;
  readonly #cut: number;

  constructor(bytes: Buffer, cut: number) {
    super({ allowHalfOpen: true });
    this.#bytes = bytes;
    this.#cut = cut;
  }

  get asSocket(): Socket {
    return this as unknown as Socket;
  }

  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  override _read(): void {
    const chunk = this.#bytes.subarray(this.bytesRead, this.bytesRead + this.#cut);
    this.bytesRead += chunk.length;
    this.push(chunk.length === 0 ? null : chunk);
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    // A frame of the server's own is a chunk, or two: its head and its content.
    const content = this.#isCloseHead ? chunk : chunk.subarray(2);
    const isClose = this.#isCloseHead || chunk[0] === 0x88;
    this.#isCloseHead = isClose && content.length === 0;
    if (isClose && content.length >= 2) this.closeCode = content.readUInt16BE(0);
    done();
  }
}
