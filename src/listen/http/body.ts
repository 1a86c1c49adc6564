/**
 * A request's body → its bytes: bounded in bytes (before and after decompression), in time, and with all others in
 * one budget.
 *
 *   request ─► BodyBytes ─────────────────────────► ReceivedBody ─► the front
 *                  └─ compressed? ─► decompress ──────┘
 */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import { MillraceError } from "millrace-client/wire";
import type { BodyBudget, BodyShare } from "../body-budget.js";
import { BodyBytes } from "./body-bytes.js";
import type { BodyReading } from "./body-reading.js";
import { type Compression, compressionOf, decompress } from "./decompression.js";
import type { DecompressionTurns } from "./decompression-turns.js";
import type { ReceivedBody } from "./http-front.js";
import type { Lifetime } from "./lifetime.js";

export interface BodyParts {
  readonly bodyBytesMax: number;
  readonly bodyTimeoutMs: number;
  readonly budget: BodyBudget;
  readonly turns: DecompressionTurns;
  readonly reading: BodyReading;
  readonly lifetime: Lifetime;
}

/** See `Exchange.receive`. What was not read is left in `request`; the reply's owner discards it. */
export async function receiveBody(
  request: IncomingMessage,
  response: ServerResponse,
  parts: BodyParts,
): Promise<ReceivedBody> {
  const compression = compressionOf(request.headers);
  if (compression === null) parts.turns.otherCame();
  // An honest length is refused before anything is read. A compressed one says nothing about what comes out.
  const declared = Number(request.headers["content-length"] ?? Number.NaN);
  if (declared > parts.bodyBytesMax) throw tooLarge(parts, `${declared}`);
  // The caller waits for leave to send the body; everything that its headers can do wrong was checked by now.
  if (request.headers.expect?.toLowerCase() === "100-continue") response.writeContinue();

  const stop = new AbortController();
  const share = parts.budget.open((error) => stop.abort(error));
  const timer = setTimeout(() => {
    const message = `The body did not arrive within ${parts.bodyTimeoutMs} ms.`;
    stop.abort(new MillraceError("body_timeout", message));
  }, parts.bodyTimeoutMs);
  // Not the request's end: Node tells a request nothing more once its reply was sent, as happens when the parser gives
  // up on the body (connections.ts).
  const stay = parts.lifetime.onEnd(() => {
    stop.abort(new MillraceError("cancelled", "The caller left mid-body."));
  });
  try {
    const bytes = new BodyBytes(share, Number.isNaN(declared) ? null : declared);
    const keep = bounded(bytes, parts);
    stop.signal.throwIfAborted();
    await collect(request, stop.signal, (chunk) => {
      share.received(chunk.length);
      keep(chunk);
      parts.reading.took(chunk.length);
    });
    share.arrived();
    const whole =
      compression === null ? bytes : await expand(bytes, { compression, share, stop, ...parts });
    stop.signal.throwIfAborted();
    share.settle();
    return new WholeBody(whole, share);
  } catch (error) {
    share.release();
    throw error;
  } finally {
    clearTimeout(timer);
    stay();
  }
}

/** Stops at the first byte too many: a bomb is cut off, never unfolded. */
function bounded(bytes: BodyBytes, { bodyBytesMax }: BodyParts): (chunk: Buffer) => void {
  return (chunk) => {
    if (bytes.length + chunk.length > bodyBytesMax) {
      throw tooLarge({ bodyBytesMax }, `more than ${bodyBytesMax}`);
    }
    bytes.append(chunk);
  };
}

export function tooLarge(
  { bodyBytesMax }: Pick<BodyParts, "bodyBytesMax">,
  size: string,
): MillraceError {
  return new MillraceError(
    "body_too_large",
    `The body has ${size} bytes; at most ${bodyBytesMax} are taken.`,
  );
}

/** No `stream.pipeline`: on an error it would destroy the request, and with it the way to answer. */
function collect(
  request: IncomingMessage,
  signal: AbortSignal,
  onChunk: (chunk: Buffer) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error: unknown): void => {
      request.off("data", onData).off("end", onEnd);
      signal.removeEventListener("abort", onAbort);
      if (error === null) resolve();
      else {
        request.pause();
        reject(error as Error);
      }
    };
    const onData = (chunk: Buffer): void => {
      try {
        onChunk(chunk);
      } catch (error) {
        settle(error);
      }
    };
    const onEnd = (): void => settle(null);
    const onAbort = (): void => settle(signal.reason);
    signal.addEventListener("abort", onAbort);
    request.on("data", onData).on("end", onEnd);
  });
}

interface ExpandParts extends BodyParts {
  readonly compression: Compression;
  readonly share: BodyShare;
  readonly stop: AbortController;
}

async function expand(compressed: BodyBytes, parts: ExpandParts): Promise<BodyBytes> {
  const { compression, share, stop, turns } = parts;
  const before = share.bytes;
  const expanded = new BodyBytes(share, null);
  const append = bounded(expanded, parts);
  let decoderBytes = 0;
  const hold = (bytes: number): void => {
    share.grow(bytes);
    decoderBytes += bytes;
  };
  await decompress(compressed.take(), {
    compression,
    turns,
    bytesMax: parts.bodyBytesMax,
    signal: stop.signal,
    onOpen: () => hold(compression.decoderBytes),
    onChunk: (chunk) => {
      hold(chunk.length * compression.decoderBytesPerByte);
      append(chunk);
    },
  });
  // The compressed bytes and the decoder are gone.
  share.shrink(before + decoderBytes);
  return expanded;
}

class WholeBody implements ReceivedBody {
  readonly bytes: number;
  readonly #share: BodyShare;
  #whole: BodyBytes | null;

  constructor(whole: BodyBytes, share: BodyShare) {
    this.bytes = whole.length;
    this.#whole = whole;
    this.#share = share;
  }

  buffer(): Buffer {
    const whole = this.#whole;
    this.#whole = null;
    return whole?.take() ?? Buffer.alloc(0);
  }

  text(): string {
    const buffer = this.buffer();
    if (!isUtf8(buffer)) throw new MillraceError("bad_encoding", "The body is not valid UTF-8.");
    return buffer.toString("utf8");
  }

  release(): void {
    this.#whole = null;
    this.#share.release();
  }
}
