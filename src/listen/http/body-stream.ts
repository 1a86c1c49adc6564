/**
 * The body of one request that may be larger than the memory: as it comes, and no faster than it is taken.
 *
 *   socket ─► #collecting ─► the piece that the reader has          each 64 KiB and what one read of the socket brings
 *      ▲          │ full?         │ next one asked for
 *      └─ held ◄──┘     go on ◄───┘
 *
 * Compressed, the pieces go through a decoder whose next output waits for the reader too (stream-decompression.ts).
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { MillraceError } from "millrace-client/wire";
import type { BodyShare } from "../body-budget.js";
import { type BodyParts, tooLarge } from "./body.js";
import { BodyBytes } from "./body-bytes.js";
import { compressionOf } from "./decompression.js";
import { decompressStream } from "./stream-decompression.js";

/** Of what waits for the reader: with more, the caller is kept from sending. */
const enoughBytes = 64 * 1024;

export class BodyStream {
  readonly #request: IncomingMessage;
  readonly #parts: BodyParts;
  readonly #share: BodyShare;
  readonly #stop = new AbortController();
  readonly #pieces: AsyncIterable<Uint8Array>;
  #collecting: BodyBytes;
  /** What the reader has, counted until it asks for more. */
  #taken: BodyBytes | null = null;
  #receivedBytes = 0;
  #hasEnded = false;
  #hasLeft = false;
  #timer: NodeJS.Timeout | null = null;
  #wakeReader: () => void = () => {};
  #stay: () => void = () => {};

  /** @throws MillraceError as `Exchange.receive`, of what the headers say */
  constructor(request: IncomingMessage, response: ServerResponse, parts: BodyParts) {
    const compression = compressionOf(request.headers);
    if (compression === null) parts.turns.otherCame();
    const declared = Number(request.headers["content-length"] ?? Number.NaN);
    if (declared > parts.bodyBytesMax) throw tooLarge(parts, `${declared}`);
    if (request.headers.expect?.toLowerCase() === "100-continue") response.writeContinue();
    this.#request = request;
    this.#parts = parts;
    this.#share = parts.budget.open((error) => this.#fail(error));
    this.#collecting = new BodyBytes(this.#share, null);
    this.#pieces =
      compression === null
        ? this.#received()
        : decompressStream(this.#received(), {
            compression,
            turns: parts.turns,
            signal: this.#stop.signal,
            onHold: (bytes) => {
              // What was given back stays so.
              this.#stop.signal.throwIfAborted();
              this.#share.grow(bytes);
            },
            onBytes: (bytes) => {
              if (bytes > parts.bodyBytesMax)
                throw tooLarge(parts, `more than ${parts.bodyBytesMax}`);
            },
          });
    this.#stay = parts.lifetime.onEnd(() => {
      this.#fail(new MillraceError("cancelled", "The caller left mid-body."));
    });
    if (this.#hasLeft) return;
    request.on("data", this.#onData).on("end", this.#onEnd);
    this.#awaitBytes();
  }

  /** Once. */
  async *pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    const received = this.#pieces;
    try {
      yield* received;
      // A decoder has its end before the body has, where more stands behind.
      this.#stop.signal.throwIfAborted();
    } finally {
      this.leave();
    }
  }

  /** Nobody reads it any more: nothing is kept, and what still comes is left in the request. Again: nothing. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    const { reading } = this.#parts;
    this.#request.off("data", this.#onData).off("end", this.#onEnd);
    if (!this.#hasEnded) this.#request.pause();
    this.#stop.abort(new MillraceError("cancelled", "The body is not read any more."));
    this.#expectNothing();
    this.#stay();
    this.#taken = null;
    this.#collecting = new BodyBytes(this.#share, null);
    this.#share.settle();
    this.#share.release();
    reading.release();
    this.#wakeReader();
  }

  readonly #onData = (chunk: Buffer): void => {
    const { reading, bodyBytesMax } = this.#parts;
    this.#receivedBytes += chunk.length;
    if (this.#receivedBytes > bodyBytesMax) {
      this.#fail(tooLarge(this.#parts, `more than ${bodyBytesMax}`));
      return;
    }
    try {
      this.#share.received(chunk.length);
      this.#collecting.append(chunk);
    } catch (error) {
      this.#fail(error);
      return;
    }
    reading.took(chunk.length);
    if (this.#collecting.length < enoughBytes) this.#awaitBytes();
    else {
      reading.hold();
      // It waits for us now, and neither its time nor its weight grows by that.
      this.#share.waitsForUs(true);
      this.#expectNothing();
    }
    this.#wakeReader();
  };

  readonly #onEnd = (): void => {
    this.#hasEnded = true;
    this.#expectNothing();
    this.#share.waitsForUs(true);
    this.#wakeReader();
  };

  async *#received(): AsyncGenerator<Buffer, void, undefined> {
    while (true) {
      this.#giveBack();
      this.#stop.signal.throwIfAborted();
      if (this.#collecting.length > 0) yield this.#take();
      else if (this.#hasEnded) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        });
      }
    }
  }

  #take(): Buffer {
    const taken = this.#collecting;
    this.#taken = taken;
    this.#collecting = new BodyBytes(this.#share, null);
    const piece = taken.take();
    if (!this.#hasEnded) {
      this.#share.waitsForUs(false);
      this.#parts.reading.release();
      this.#awaitBytes();
    }
    return piece;
  }

  #giveBack(): void {
    const taken = this.#taken;
    this.#taken = null;
    if (taken !== null) this.#share.shrink(taken.heldBytes);
  }

  #fail(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(error);
    this.leave();
  }

  #awaitBytes(): void {
    if (this.#timer !== null) {
      this.#timer.refresh();
      return;
    }
    const { bodyTimeoutMs } = this.#parts;
    this.#timer = setTimeout(() => {
      const message = `No byte of the body came for ${bodyTimeoutMs} ms.`;
      this.#fail(new MillraceError("body_timeout", message));
    }, bodyTimeoutMs);
  }

  #expectNothing(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
