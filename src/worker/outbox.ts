/**
 * What is still to be said to a child. A child that is in a run reads nothing, for a minute if need be, while its parent
 * goes on deciding; so frames wait as what they are, objects that the queue holds anyway, and become bytes only as the
 * socket takes them:
 *
 *   send ──► [ batch ][ cancel ][ recall ] ──encode──► socket, at most `waitingBytesMax` and one part of a frame
 *
 * What is said in one callback leaves together: a system call takes longer than to make the frame of a sentence.
 */
import type { Writable } from "node:stream";
import { encodeFrames, type TooLarge } from "../frames/encode.js";
import type { ParentFrame } from "../frames/messages.js";

/** Bytes that the socket may hold before no more are made. A part of a frame is 5 MiB at most, or a single larger item. */
export const waitingBytesMax: number = 1024 * 1024;

export class Outbox {
  readonly #socket: Writable;
  readonly #onTooLarge: (item: TooLarge) => void;
  readonly #frames: ParentFrame[] = [];
  /** The rest of the frame that is on its way. */
  #parts: Iterator<Buffer> | null = null;
  #isGathering = false;

  constructor(socket: Writable, onTooLarge: (item: TooLarge) => void) {
    this.#socket = socket;
    this.#onTooLarge = onTooLarge;
    socket.on("drain", () => this.#pump());
  }

  /** Frames for a socket that is closed vanish. */
  send(frame: ParentFrame): void {
    this.#frames.push(frame);
    this.#pump();
  }

  /** What waits is for nobody any more. */
  close(): void {
    this.#frames.length = 0;
    this.#parts = null;
  }

  #pump(): void {
    if (!this.#socket.writable) this.close();
    this.#gather();
    while (this.#socket.writableLength < waitingBytesMax) {
      const part = this.#next();
      if (part === null) return;
      this.#socket.write(part);
    }
  }

  #gather(): void {
    if (this.#isGathering) return;
    this.#isGathering = true;
    this.#socket.cork();
    process.nextTick(() => {
      this.#isGathering = false;
      this.#socket.uncork();
    });
  }

  #next(): Buffer | null {
    for (;;) {
      const part = this.#parts?.next();
      if (part?.done === false) return part.value;
      const frame = this.#frames.shift();
      if (frame === undefined) {
        this.#parts = null;
        return null;
      }
      this.#parts = encodeFrames(frame, this.#onTooLarge);
    }
  }
}
