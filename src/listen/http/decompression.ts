/**
 * Compressed bodies → their bytes. A body is decompressed only when it is whole, so that a caller that stalls holds
 * what it sent and not what would become of it; and a turn at a time, the smallest first: a small body waits for one turn
 * of a bomb, not for three hundred bombs.
 *
 *   size: what gzip's last bytes say, and never less than what came out; nothing is trusted but the order to it
 *   ≤ 16 KiB  small: in order of arrival, without pauses
 *   more      large: the smallest first, with a pause after each turn; who waits too long is refused
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { MillraceError } from "millrace-client/wire";

/** What the decoder gives at once, and the turn of a small body: it is done with it, or is none. */
const pieceBytes = 16 * 1024;
/** What is decompressed in a turn of a large one. */
const turnBytes = 64 * 1024;

export interface Compression {
  readonly open: () => Transform;
  /** What the compressed bytes say of themselves: a hint, and 0 where they say nothing. */
  readonly sizeOf: (compressed: Buffer) => number;
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
  const sizeOf = (): number => 0;
  switch (encoding) {
    case "identity":
      return null;
    case "gzip":
    case "x-gzip":
      return {
        open: () => createGunzip({ chunkSize: pieceBytes }),
        sizeOf: gzipSizeOf,
        ...windowed,
      };
    case "deflate":
      return { open: () => createInflate({ chunkSize: pieceBytes }), sizeOf, ...windowed };
    case "br":
      return {
        open: () => createBrotliDecompress({ chunkSize: pieceBytes }),
        sizeOf,
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

/** RFC 1952: the last four bytes are the size, modulo 2³²; of the last member where there are several. */
function gzipSizeOf(compressed: Buffer): number {
  const { length } = compressed;
  return length < 4 ? 0 : compressed.readUInt32LE(length - 4);
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
  const said = compression.sizeOf(compressed);
  let had = 0;
  let decoder: Transform | null = null;
  try {
    while (decoder === null || !decoder.readableEnded) {
      const size = Math.max(had, said);
      await turns.take({ had, size }, signal);
      try {
        if (decoder === null) {
          parts.onOpen();
          // The listener stays: an error between two turns, or after the end, would else end the process.
          decoder = compression.open().on("error", () => {});
          decoder.end(compressed);
        }
        had += await oneTurn(decoder, isSmall(size) ? pieceBytes : turnBytes, parts);
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

/** Bytes: what came out so far, and what it comes to as far as is known. */
export interface Claim {
  readonly had: number;
  readonly size: number;
}

interface Waiter extends Claim {
  readonly sinceMs: number;
  readonly begin: () => void;
  readonly refuse: (error: MillraceError) => void;
}

/** A turn of a large body is followed by a pause so many times as long, where others wait. */
const pausesPerTurn = 8;
/** Whoever waits longer for a turn is refused: there are more large bodies than are decompressed in any good time. */
const waitMsMax = 500;
const retryAfterMs = 1_000;

/**
 * One at a time: a single thread decompresses more text than all pipelines can translate, and the others have better
 * to do. As many wait as there are connections, none of them for long; and where they do, large bodies take a part of
 * the time only, for each piece is memory that must be collected, and while that is done nobody is served.
 */
export class DecompressionTurns {
  readonly #small = new Set<Waiter>();
  readonly #large = new Set<Waiter>();
  #busy = false;
  /** These two are of the turn under way, or of the last one. */
  #isLargeTurn = false;
  #begunAtMs = 0;
  #pause: NodeJS.Timeout | null = null;

  /** @throws MillraceError `queue_full`, the signal's reason */
  async take(claim: Claim, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const small = isSmall(claim.size);
    if (!this.#busy && (small || this.#pause === null)) {
      this.#begin(claim);
      return;
    }
    const line = small ? this.#small : this.#large;
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => waiter.refuse(signal.reason as MillraceError);
      const leaveLine = (): void => {
        line.delete(waiter);
        signal.removeEventListener("abort", leave);
      };
      const waiter: Waiter = {
        ...claim,
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
      line.add(waiter);
    });
  }

  giveBack(): void {
    this.#busy = false;
    if (this.#isLargeTurn && this.#small.size + this.#large.size > 1) {
      const turnMs = performance.now() - this.#begunAtMs;
      this.#pause = setTimeout(() => {
        this.#pause = null;
        this.#serveNext();
      }, turnMs * pausesPerTurn);
    }
    this.#serveNext();
  }

  #serveNext(): void {
    if (this.#busy) return;
    const [small = null] = this.#small;
    const large = this.#pause === null ? this.#nextLarge() : null;
    const next = large ?? small;
    if (next === null) return;
    this.#begin(next);
    next.begin();
  }

  #begin({ size }: Claim): void {
    this.#busy = true;
    this.#isLargeTurn = !isSmall(size);
    this.#begunAtMs = performance.now();
  }

  /** Who has waited too long is refused on the way; one that is alone is not. */
  #nextLarge(): Waiter | null {
    const lateMs = performance.now() - waitMsMax;
    let next: Waiter | null = null;
    for (const waiter of this.#large) {
      if (waiter.sinceMs < lateMs && this.#large.size > 1) waiter.refuse(full());
      else if (next === null || isBefore(waiter, next)) next = waiter;
    }
    return next;
  }
}

/** The smaller; of equals the one that is nearer to its end, so that few are begun and not ended. */
function isBefore(one: Claim, other: Claim): boolean {
  return one.size === other.size ? one.had > other.had : one.size < other.size;
}

function isSmall(size: number): boolean {
  return size <= pieceBytes;
}

function full(): MillraceError {
  const message = "More compressed bodies wait than are decompressed in good time.";
  return new MillraceError("queue_full", message, { retryAfterMs });
}
