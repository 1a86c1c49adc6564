/**
 * Compressed bodies → their bytes. A body is decompressed only when it is whole, so that a caller that stalls holds
 * what it sent and not what would become of it; and a turn at a time (decompression-turns.ts).
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { MillraceError } from "millrace-client/wire";
import { type DecompressionTurns, turnBytesOf } from "./decompression-turns.js";

export interface Compression {
  /** A decoder that gives so much at once. */
  readonly open: (chunkBytes: number) => Transform;
  /** What the compressed bytes say of themselves: a hint, and 0 where they say nothing. */
  readonly sizeOf: (compressed: Buffer) => number;
  /** What the decoder itself holds: its window, the next chunk, and for brotli as many bytes again as came out. */
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
        open: (chunkSize) => createGunzip({ chunkSize }),
        sizeOf: gzipSizeOf,
        ...windowed,
      };
    case "deflate":
      return { open: (chunkSize) => createInflate({ chunkSize }), sizeOf, ...windowed };
    case "br":
      return {
        open: (chunkSize) => createBrotliDecompress({ chunkSize }),
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
  /** More is never decompressed, whatever the body says of its size. */
  readonly bytesMax: number;
  readonly signal: AbortSignal;
  /** A decoder will be open from now on. */
  readonly onOpen: () => void;
  /** Throws where it is enough. */
  readonly onChunk: (chunk: Buffer) => void;
}

/** @throws MillraceError `bad_request`, the signal's reason, and what `onChunk` throws. */
export async function decompress(compressed: Buffer, parts: DecompressionParts): Promise<void> {
  const { compression, turns, bytesMax, signal } = parts;
  const said = Math.min(compression.sizeOf(compressed), bytesMax);
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
          decoder = compression.open(turnBytesOf(size)).on("error", () => {});
          decoder.end(compressed);
        }
        had += await oneTurn(decoder, turnBytesOf(size), parts);
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
  { signal, onChunk }: Pick<DecompressionParts, "signal" | "onChunk">,
): Promise<number> {
  let bytes = 0;
  while (bytes < bytesMax && !decoder.readableEnded) {
    await nextChunk(decoder, signal);
    const chunk = decoder.read() as Buffer | null;
    if (chunk === null) continue;
    bytes += chunk.length;
    onChunk(chunk);
  }
  return bytes;
}

/** Resolves when there is something to read, or the end; or `taken`, where what was written came to nothing. */
export async function nextChunk(
  decoder: Transform,
  signal: AbortSignal,
  taken: Promise<void> | null = null,
): Promise<void> {
  if (decoder.errored !== null) throw brokenCompression(decoder.errored);
  if (decoder.readableLength > 0 || decoder.readableEnded) return;
  await new Promise<void>((resolve, reject) => {
    const settle = (error: Error | null): void => {
      decoder.off("readable", onNext).off("end", onNext).off("error", onError);
      signal.removeEventListener("abort", onAbort);
      if (error === null) resolve();
      else reject(error);
    };
    const onNext = (): void => settle(null);
    const onError = (cause: Error): void => settle(brokenCompression(cause));
    const onAbort = (): void => settle(signal.reason as Error);
    decoder.on("readable", onNext).on("end", onNext).on("error", onError);
    signal.addEventListener("abort", onAbort);
    void taken?.then(onNext);
  });
}

export function brokenCompression(cause: Error): MillraceError {
  const message = `The body could not be decompressed: ${cause.message}.`;
  return new MillraceError("bad_request", message, { cause, param: "content-encoding" });
}
