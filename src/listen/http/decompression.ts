/**
 * Compressed bodies → their bytes. A body is decompressed only when it is whole, so that a caller that stalls holds
 * what it sent and not what would become of it; and a piece at a time, whoever has got least so far going first:
 * a small body waits for one piece of a bomb, not for three hundred bombs.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { MillraceError } from "millrace-client/wire";

/** What the decoder gives at once, and the first turn of a body: a small body is done with it. */
const pieceBytes = 16 * 1024;
/** What is decompressed in a later turn. */
const turnBytes = 64 * 1024;

export interface Compression {
  readonly open: () => Transform;
  /** What the decoder itself holds: its window, the next piece, and for brotli as many bytes again as came out. */
  readonly decoderBytes: number;
  readonly decoderBytesPerByte: number;
}

/**
 * Null for none.
 *
 * @throws MillraceError `unsupported_media_type`
 */
export function compressionOf(headers: IncomingHttpHeaders): Compression | null {
  const encoding = (headers["content-encoding"] ?? "identity").trim().toLowerCase();
  const windowed = { decoderBytes: 128 * 1024, decoderBytesPerByte: 0 };
  switch (encoding) {
    case "identity":
      return null;
    case "gzip":
    case "x-gzip":
      return { open: () => createGunzip({ chunkSize: pieceBytes }), ...windowed };
    case "deflate":
      return { open: () => createInflate({ chunkSize: pieceBytes }), ...windowed };
    case "br":
      return {
        open: () => createBrotliDecompress({ chunkSize: pieceBytes }),
        ...windowed,
        decoderBytesPerByte: 1,
      };
    default:
      throw new MillraceError(
        "unsupported_media_type",
        `The content-encoding ${JSON.stringify(encoding.slice(0, 32))} is not read; gzip, deflate and br are.`,
        { param: "content-encoding" },
      );
  }
}

export interface DecompressionParts {
  readonly compression: Compression;
  readonly turns: DecompressionTurns;
  readonly signal: AbortSignal;
  /** A decoder will be open from now on. */
  readonly onOpen: () => void;
  /** Throws where it is enough. */
  readonly onPiece: (piece: Buffer) => void;
}

/** @throws MillraceError `bad_request`, the signal's reason, and what `onPiece` throws. */
export async function decompress(compressed: Buffer, parts: DecompressionParts): Promise<void> {
  const { compression, turns, signal } = parts;
  let bytes = 0;
  let decoder: Transform | null = null;
  try {
    while (decoder === null || !decoder.readableEnded) {
      await turns.take(bytes, signal);
      try {
        if (decoder === null) {
          parts.onOpen();
          // The listener stays: an error between two turns, or after the end, would else end the process.
          decoder = compression.open().on("error", () => {});
          decoder.end(compressed);
        }
        bytes += await oneTurn(decoder, bytes === 0 ? pieceBytes : turnBytes, parts);
      } finally {
        turns.giveBack();
      }
    }
  } finally {
    decoder?.destroy();
  }
}

/** Until there are so many bytes, or the end. */
async function oneTurn(
  decoder: Transform,
  bytesMax: number,
  { signal, onPiece }: Pick<DecompressionParts, "signal" | "onPiece">,
): Promise<number> {
  let bytes = 0;
  while (bytes < bytesMax && !decoder.readableEnded) {
    await nextPiece(decoder, signal);
    const piece = decoder.read() as Buffer | null;
    if (piece === null) continue;
    bytes += piece.length;
    onPiece(piece);
  }
  return bytes;
}

/** Resolves when there is something to read, or the end. */
async function nextPiece(decoder: Transform, signal: AbortSignal): Promise<void> {
  if (decoder.errored !== null) throw broken(decoder.errored);
  if (decoder.readableLength > 0 || decoder.readableEnded) return;
  await new Promise<void>((resolve, reject) => {
    const settle = (error: Error | null): void => {
      decoder.off("readable", onNext).off("end", onNext).off("error", onError);
      signal.removeEventListener("abort", onAbort);
      if (error === null) resolve();
      else reject(error);
    };
    const onNext = (): void => settle(null);
    const onError = (cause: Error): void => settle(broken(cause));
    const onAbort = (): void => settle(signal.reason as Error);
    decoder.on("readable", onNext).on("end", onNext).on("error", onError);
    signal.addEventListener("abort", onAbort);
  });
}

function broken(cause: Error): MillraceError {
  const message = `The body could not be decompressed: ${cause.message}.`;
  return new MillraceError("bad_request", message, { cause, param: "content-encoding" });
}

interface Waiter {
  readonly bytes: number;
  readonly sinceMs: number;
  readonly begin: () => void;
  readonly refuse: (error: MillraceError) => void;
}

/** A turn of a large body is followed by a pause so many times as long, where others wait. */
const pausesPerTurn = 8;
/** Whoever has had a first turn and no other within this time is refused: there are more large bodies than are decompressed in any good time. */
const waitMsMax = 500;
const retryAfterMs = 1_000;

/**
 * One at a time: a single thread decompresses more text than all pipelines can translate, and the others have better
 * to do. As many wait as there are connections, none of them for long; and where they do, large bodies take a part of
 * the time only, for each piece is memory that must be collected, and while that is done nobody is served.
 */
export class DecompressionTurns {
  readonly #waiting = new Set<Waiter>();
  #busy = false;
  #begunAtMs = 0;
  #pause: NodeJS.Timeout | null = null;

  /** @throws MillraceError `queue_full`, the signal's reason */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#busy && (bytes === 0 || this.#pause === null)) {
      this.#begin();
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => waiter.refuse(signal.reason as MillraceError);
      const leaveLine = (): void => {
        this.#waiting.delete(waiter);
        signal.removeEventListener("abort", leave);
      };
      const waiter: Waiter = {
        bytes,
        sinceMs: performance.now(),
        begin: () => {
          leaveLine();
          resolve();
        },
        refuse: (error) => {
          leaveLine();
          reject(error);
        },
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.add(waiter);
    });
  }

  giveBack(): void {
    this.#busy = false;
    const next = this.#next();
    if (next === null) return;
    if (next.bytes === 0 || this.#waiting.size === 1) return this.#give(next);
    const turnMs = performance.now() - this.#begunAtMs;
    this.#pause ??= setTimeout(() => {
      this.#pause = null;
      const after = this.#busy ? null : this.#next();
      if (after !== null) this.#give(after);
    }, turnMs * pausesPerTurn);
  }

  #begin(): void {
    this.#busy = true;
    this.#begunAtMs = performance.now();
  }

  #give(waiter: Waiter): void {
    this.#begin();
    waiter.begin();
  }

  /** Whose turn is next; those who have waited too long are refused on the way. */
  #next(): Waiter | null {
    const lateMs = performance.now() - waitMsMax;
    let next: Waiter | null = null;
    for (const waiter of this.#waiting) {
      const isLate = waiter.bytes > 0 && waiter.sinceMs < lateMs;
      if (isLate && this.#waiting.size > 1) waiter.refuse(full());
      else if (next === null || waiter.bytes < next.bytes) next = waiter;
    }
    return next;
  }
}

function full(): MillraceError {
  const message = "More compressed bodies wait than are decompressed in good time.";
  return new MillraceError("queue_full", message, { retryAfterMs });
}
