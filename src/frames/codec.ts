/**
 * Frames on a byte stream, the same on both sides of the socket pair:
 *
 *   ┌──────────────┬──────────────┬────────────────────┬──────────────────┐
 *   │ u32, little  │ u32, little  │ header: UTF-8 JSON │ tail: tensors    │
 *   │ endian       │ endian       │ as many bytes as   │ as many bytes as │
 *   │              │              │ the first says     │ the second says  │
 *   └──────────────┴──────────────┴────────────────────┴──────────────────┘
 *
 * The other side may crash, hang or lie, so a length is checked before memory is taken, memory grows with
 * what has arrived and never with what was promised, and each frame is checked field by field (shapes.ts). Of what an
 * item carries only the envelope is checked here: a bad value fails its item, and it takes its task to know one.
 */
import { prefixBytes } from "./encode.js";
import { headerBytesMax, headerDepthMax, tailBytesMax } from "./messages.js";
import { isNestedDeeper } from "./nesting.js";
import { ProtocolError } from "./protocol-error.js";

/** One step through a chunk: where the next bytes are, and the frame that ended here. */
interface Taken<Frame> {
  readonly next: number;
  readonly frame: Frame | null;
}

/** Checks a frame's header and puts the tensors of the tail to where they belong; throws `ProtocolError`. */
export type ParseFrame<Frame> = (header: unknown, tail: Uint8Array) => Frame;

const bodyBytesFirst = 64 * 1024;

/**
 * Cuts a stream into frames, however the stream was cut before. After a `ProtocolError` every later call throws it
 * again, because after a bad frame nobody knows where the next one begins.
 */
export class FrameDecoder<Frame> {
  readonly #parse: ParseFrame<Frame>;
  readonly #prefix = Buffer.alloc(prefixBytes);
  #prefixFilled = 0;
  /** What the prefix promised; null while the prefix is not complete. */
  #lengths: { readonly header: number; readonly body: number } | null = null;
  #body: Buffer = Buffer.alloc(0);
  #bodyFilled = 0;
  #broken: ProtocolError | null = null;

  constructor(parse: ParseFrame<Frame>) {
    this.#parse = parse;
  }

  /** The frames that the chunk completed; throws where any of them is bad. */
  push(chunk: Buffer): Frame[] {
    return [...this.read(chunk)];
  }

  /** The same one by one, so that the good frames before a bad one are not lost with it. Read it to its end. */
  *read(chunk: Buffer): Generator<Frame, void, void> {
    if (this.#broken !== null) throw this.#broken;
    for (let at = 0; at < chunk.length; ) {
      const taken = this.#takeOrBreak(chunk, at);
      at = taken.next;
      if (taken.frame !== null) yield taken.frame;
    }
  }

  #takeOrBreak(chunk: Buffer, at: number): Taken<Frame> {
    try {
      return this.#take(chunk, at);
    } catch (error) {
      this.#broken = error instanceof ProtocolError ? error : new ProtocolError(String(error));
      throw this.#broken;
    }
  }

  /** Consumes prefix bytes or body bytes from `at`. */
  #take(chunk: Buffer, at: number): Taken<Frame> {
    if (this.#lengths === null) {
      const taken = chunk.copy(this.#prefix, this.#prefixFilled, at);
      this.#prefixFilled += taken;
      if (this.#prefixFilled === prefixBytes) this.#lengths = this.#checkedLengths();
      return { next: at + taken, frame: null };
    }
    const { header, body } = this.#lengths;
    const end = at + body - this.#bodyFilled;
    if (this.#bodyFilled === 0 && end <= chunk.length) {
      // The usual case: the frame lies whole in the chunk and is read where it lies.
      return { next: end, frame: this.#finish(chunk.subarray(at, end), header) };
    }
    const until = Math.min(end, chunk.length);
    this.#reserve(this.#bodyFilled + until - at, body);
    this.#bodyFilled += chunk.copy(this.#body, this.#bodyFilled, at, until);
    if (until < end) return { next: until, frame: null };
    return { next: end, frame: this.#finish(this.#body.subarray(0, this.#bodyFilled), header) };
  }

  #checkedLengths(): { readonly header: number; readonly body: number } {
    const header = this.#prefix.readUInt32LE(0);
    const tail = this.#prefix.readUInt32LE(4);
    if (header === 0) throw new ProtocolError("a frame without a header");
    if (header > headerBytesMax || tail > tailBytesMax) {
      throw new ProtocolError(
        `a frame of ${header} + ${tail} bytes, at most ${headerBytesMax} + ${tailBytesMax} are allowed`,
      );
    }
    return { header, body: header + tail };
  }

  /** Doubles, so that a frame that comes byte by byte costs linear time, and a promise alone costs nothing. */
  #reserve(neededBytes: number, bodyBytes: number): void {
    if (neededBytes <= this.#body.length) return;
    const doubled = Math.max(neededBytes, 2 * this.#body.length, bodyBytesFirst);
    const grown = Buffer.allocUnsafe(Math.min(bodyBytes, doubled));
    this.#body.copy(grown, 0, 0, this.#bodyFilled);
    this.#body = grown;
  }

  #finish(body: Buffer, headerBytes: number): Frame {
    this.#prefixFilled = 0;
    this.#lengths = null;
    this.#bodyFilled = 0;
    this.#body = Buffer.alloc(0);
    const json = body.subarray(0, headerBytes);
    if (isNestedDeeper(json, headerDepthMax)) {
      throw new ProtocolError(`a frame that is nested deeper than ${headerDepthMax}`);
    }
    let header: unknown;
    try {
      header = JSON.parse(json.toString());
    } catch {
      throw new ProtocolError("a frame that is not JSON");
    }
    return this.#parse(header, body.subarray(headerBytes));
  }
}
