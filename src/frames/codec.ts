/**
 * Frames on a byte stream, the same on both sides of the socket pair:
 *
 *   ┌──────────────┬───────────────────────┐
 *   │ u32, little  │ UTF-8 JSON            │
 *   │ endian       │ as many bytes as said │
 *   └──────────────┴───────────────────────┘
 *
 * The other side may crash, hang or lie, so a length is checked before memory is taken, memory grows with
 * what has arrived and never with what was promised, and each frame is checked field by field.
 */
import { isErrorCode } from "millrace-client/wire";
import {
  type ChildFrame,
  type FrameHypothesis,
  type FrameItem,
  type FrameOutcome,
  frameBytesMax,
  type GenerationSettings,
  type ParentFrame,
  type StageReport,
} from "./messages.js";

/** The other side did not keep to the protocol; the stream cannot be read further. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** One step through a chunk: where the next bytes are, and the frame that ended here. */
interface Taken<Frame> {
  readonly next: number;
  readonly frame: Frame | null;
}

const headerBytes = 4;
const bodyBytesFirst = 64 * 1024;

/** Throws `RangeError` where the frame would be longer than the other side accepts: that is the sender's bug. */
export function encodeFrame(frame: ParentFrame | ChildFrame): Buffer {
  const json = JSON.stringify(frame);
  const bodyBytes = Buffer.byteLength(json);
  if (bodyBytes > frameBytesMax) {
    throw new RangeError(`a ${frame.type} frame of ${bodyBytes} bytes is over ${frameBytesMax}`);
  }
  const buffer = Buffer.allocUnsafe(headerBytes + bodyBytes);
  buffer.writeUInt32LE(bodyBytes, 0);
  buffer.write(json, headerBytes);
  return buffer;
}

/**
 * Cuts a stream into frames, however the stream was cut before. After a `ProtocolError` every later call throws it
 * again, because after a bad frame nobody knows where the next one begins.
 */
export class FrameDecoder<Frame> {
  readonly #parse: (value: unknown) => Frame;
  readonly #header = Buffer.alloc(headerBytes);
  #headerFilled = 0;
  /** Length that the header promised; null while the header is not complete. */
  #bodyBytes: number | null = null;
  #body: Buffer = Buffer.alloc(0);
  #bodyFilled = 0;
  #broken: ProtocolError | null = null;

  constructor(parse: (value: unknown) => Frame) {
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

  /** Consumes header bytes or body bytes from `at`. */
  #take(chunk: Buffer, at: number): Taken<Frame> {
    if (this.#bodyBytes === null) {
      const taken = chunk.copy(this.#header, this.#headerFilled, at);
      this.#headerFilled += taken;
      if (this.#headerFilled === headerBytes) this.#bodyBytes = this.#checkedLength();
      return { next: at + taken, frame: null };
    }
    const end = at + this.#bodyBytes - this.#bodyFilled;
    if (this.#bodyFilled === 0 && end <= chunk.length) {
      // The usual case: the frame lies whole in the chunk and is read where it lies.
      return { next: end, frame: this.#finish(chunk.toString("utf8", at, end)) };
    }
    const until = Math.min(end, chunk.length);
    this.#reserve(this.#bodyFilled + until - at, this.#bodyBytes);
    this.#bodyFilled += chunk.copy(this.#body, this.#bodyFilled, at, until);
    if (until < end) return { next: until, frame: null };
    return { next: end, frame: this.#finish(this.#body.toString("utf8", 0, this.#bodyFilled)) };
  }

  #checkedLength(): number {
    const bytes = this.#header.readUInt32LE(0);
    if (bytes === 0) throw new ProtocolError("a frame of no bytes");
    if (bytes > frameBytesMax) {
      throw new ProtocolError(`a frame of ${bytes} bytes, at most ${frameBytesMax} are allowed`);
    }
    return bytes;
  }

  /** Doubles, so that a frame that comes byte by byte costs linear time, and a promise alone costs nothing. */
  #reserve(neededBytes: number, bodyBytes: number): void {
    if (neededBytes <= this.#body.length) return;
    const doubled = Math.max(neededBytes, 2 * this.#body.length, bodyBytesFirst);
    const grown = Buffer.allocUnsafe(Math.min(bodyBytes, doubled));
    this.#body.copy(grown, 0, 0, this.#bodyFilled);
    this.#body = grown;
  }

  #finish(json: string): Frame {
    this.#headerFilled = 0;
    this.#bodyBytes = null;
    this.#bodyFilled = 0;
    this.#body = Buffer.alloc(0);
    let value: unknown;
    try {
      value = JSON.parse(json);
    } catch {
      throw new ProtocolError("a frame that is not JSON");
    }
    return this.#parse(value);
  }
}

/** What the child said, checked; throws `ProtocolError`. */
export function parseChildFrame(value: unknown): ChildFrame {
  return parseFrame<ChildFrame>(value, childShapes);
}

/** What the parent said, checked; throws `ProtocolError`. */
export function parseParentFrame(value: unknown): ParentFrame {
  return parseFrame<ParentFrame>(value, parentShapes);
}

type Check = (value: unknown) => boolean;
/** A check for each field; the type makes the table complete. */
type Shape<T> = { readonly [Field in keyof T]-?: Check };
type FrameShapes<Frame extends { readonly type: string }> = {
  readonly [Type in Frame["type"]]: Shape<Omit<Extract<Frame, { readonly type: Type }>, "type">>;
};

function parseFrame<Frame extends { readonly type: string }>(
  value: unknown,
  shapes: Readonly<Record<string, Readonly<Record<string, Check>>>>,
): Frame {
  const type = isRecord(value) ? value["type"] : undefined;
  const shape = typeof type === "string" && Object.hasOwn(shapes, type) ? shapes[type] : undefined;
  if (shape === undefined || !isRecord(value)) throw new ProtocolError("a frame of unknown type");
  for (const field in shape) {
    if (shape[field]?.(value[field]) !== true) {
      throw new ProtocolError(`a ${String(type)} frame whose ${field} is wrong`);
    }
  }
  return value as unknown as Frame;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const isText: Check = (value) => typeof value === "string";
const isAmount: Check = (value) => typeof value === "number" && value >= 0 && value < Infinity;
const isNumber: Check = (value) => Number.isFinite(value);
const isCount: Check = (value) => Number.isSafeInteger(value) && isAmount(value);
const isWorkClass: Check = (value) => value === "realtime" || value === "bulk";

function isListOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every((entry) => check(entry));
}

function hasShape<T>(shape: Shape<T>): Check {
  const entries = Object.entries<Check>(shape);
  return (value) => isRecord(value) && entries.every(([field, check]) => check(value[field]));
}

const isSettings = hasShape<GenerationSettings>({
  beams: isCount,
  nBest: isCount,
  lengthPenalty: isNumber,
  maxLength: isCount,
});

const isItem = hasShape<FrameItem>({
  itemId: isCount,
  tokenIds: isListOf(isCount),
  settings: isSettings,
});

const isHypothesis = hasShape<FrameHypothesis>({ tokenIds: isListOf(isCount), score: isNumber });

const isGoodOutcome = hasShape<Extract<FrameOutcome, { readonly ok: true }>>({
  itemId: isCount,
  ok: (value) => value === true,
  hypotheses: (value) =>
    Array.isArray(value) && value.length > 0 && value.every((entry) => isHypothesis(entry)),
  waitMs: isAmount,
  runMs: isAmount,
});

const isBadOutcome = hasShape<Extract<FrameOutcome, { readonly ok: false }>>({
  itemId: isCount,
  ok: (value) => value === false,
  code: isErrorCode,
  message: isText,
});

const isStageReport = hasShape<StageReport>({
  stage: isText,
  runs: isCount,
  rows: isCount,
  tokens: isCount,
  paddedTokens: isCount,
  ms: isAmount,
});

const isIds = isListOf(isCount);

const childShapes: FrameShapes<ChildFrame> = {
  hello: { version: isCount, pid: isCount },
  ready: { loadMs: isAmount, warmupMs: isAmount, loads: isCount, memoryBytes: isAmount },
  "load-failed": { code: isErrorCode, message: isText },
  run: {
    stage: isText,
    rows: isCount,
    width: isCount,
    predictedMs: isAmount,
    begunItemIds: isIds,
    memoryBytes: isAmount,
  },
  items: { outcomes: isListOf((value) => isGoodOutcome(value) || isBadOutcome(value)) },
  recalled: { itemIds: isIds },
  report: { stages: isListOf(isStageReport), cacheBytes: isAmount },
};

const parentShapes: FrameShapes<ParentFrame> = {
  load: { version: isCount, modelDir: isText, threads: isCount, rowsMax: isCount },
  batch: { batchId: isCount, class: isWorkClass, items: isListOf(isItem) },
  cancel: { itemIds: isIds },
  recall: { itemIds: isIds },
  stop: {},
};
