/**
 * A compressed body that is taken as it comes → its bytes, in constant memory: the decoder makes some of them, and no more until they
 * are taken. Its turns are those of all compressed bodies; none is held while the caller or the reader is waited for.
 */
import type { Transform } from "node:stream";
import { brokenCompression, type Compression, nextChunk } from "./decompression.js";
import { type DecompressionTurns, turnBytesOf } from "./decompression-turns.js";

export interface StreamDecompressionParts {
  readonly compression: Compression;
  readonly turns: DecompressionTurns;
  readonly signal: AbortSignal;
  /** So many more are held from now on, until the end. Throws where there is no room. */
  readonly onHold: (bytes: number) => void;
  /** So many came out. Throws where it is enough. */
  readonly onBytes: (bytes: number) => void;
}

/** One that is made, one that waits in the decoder, one that the reader has. */
const chunksHeld = 3;
/** Brotli's largest window: what it looks back to, and keeps. */
const windowBytesMax = 16 * 1024 * 1024;

/** @throws MillraceError `bad_request`, `queue_full`, the signal's reason, and what the two throw */
export async function* decompressStream(
  compressed: AsyncIterable<Buffer>,
  parts: StreamDecompressionParts,
): AsyncGenerator<Buffer, void, undefined> {
  const { compression, onHold, onBytes } = parts;
  const chunkBytes = turnBytesOf(Number.POSITIVE_INFINITY);
  let bytes = 0;
  onHold(compression.decoderBytes + chunksHeld * chunkBytes);
  // The listener stays: an error between two turns, or after the end, would else end the process.
  const decoder = compression.open(chunkBytes).on("error", () => {});
  const came = (chunk: Buffer): Buffer => {
    const windowed = Math.min(bytes, windowBytesMax);
    bytes += chunk.length;
    onBytes(bytes);
    const more = Math.min(bytes, windowBytesMax) - windowed;
    if (more > 0) onHold(more * compression.decoderBytesPerByte);
    return chunk;
  };
  try {
    for await (const piece of compressed) {
      for await (const chunk of made(decoder, piece, parts)) yield came(chunk);
      if (decoder.readableEnded) return;
    }
    for await (const chunk of made(decoder, null, parts)) yield came(chunk);
  } finally {
    decoder.destroy();
  }
}

/** What becomes of one piece; null: the end. */
async function* made(
  decoder: Transform,
  piece: Buffer | null,
  { turns, signal }: StreamDecompressionParts,
): AsyncGenerator<Buffer, void, undefined> {
  let isTaken = false;
  const claim = { had: 1, size: turnBytesOf(Number.POSITIVE_INFINITY) };
  await turns.take(claim, signal);
  let hasTurn = true;
  try {
    const taken = new Promise<void>((resolve) => {
      const done = (): void => {
        isTaken = true;
        resolve();
      };
      if (piece === null) decoder.end();
      else decoder.write(piece, done);
    });
    while ((!isTaken || decoder.readableLength > 0) && !decoder.readableEnded) {
      if (!hasTurn) await turns.take(claim, signal);
      hasTurn = true;
      await nextChunk(decoder, signal, taken);
      const chunk = decoder.read() as Buffer | null;
      turns.giveBack();
      hasTurn = false;
      if (chunk !== null) yield chunk;
    }
    if (decoder.errored !== null) throw brokenCompression(decoder.errored);
  } finally {
    if (hasTurn) turns.giveBack();
  }
}
