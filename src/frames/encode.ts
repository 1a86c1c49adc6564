/**
 * Frames as bytes. A list of items or outcomes that is long travels as several frames, so that no frame holds the other
 * side's thread for long; what is too large for any frame fails alone:
 *
 *   batch, 9,000 items ──► [ 0 … 1,900 ] [ 1,901 … ] … [ … 8,999 ]       one header and one tail each
 */
import type { ChildFrame, FrameItem, FrameOutcome, ParentFrame } from "./messages.js";
import { headerBytesMax, headerDepthMax, tailBytesMax } from "./messages.js";
import { isNestedDeeper } from "./nesting.js";
import { TailWriter } from "./tail.js";

/** A frame's two lengths. */
export const prefixBytes = 8;

/** Where a list is continued in another frame: far under the most, so that one more entry of any usual size fits. */
const partHeaderCharacters: number = headerBytesMax / 4;
const partTailBytes: number = 4 * 1024 * 1024;

/** An entry that fits into no frame. For an outcome the sender says so to the other side; an item is never sent. */
export interface TooLarge {
  readonly itemId: number;
  readonly message: string;
}

/** The frame in one piece: one frame, or several one after the other. */
export function encodeFrame(frame: ParentFrame | ChildFrame): Buffer {
  const parts = [...encodeFrames(frame)];
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
}

/** Made one by one, as they are asked for: what waits for a slow reader need not be bytes yet. */
export function* encodeFrames(
  frame: ParentFrame | ChildFrame,
  onTooLarge: (item: TooLarge) => void = refuse,
): Generator<Buffer, void, void> {
  if (frame.type === "batch") {
    const model = JSON.stringify(frame.model);
    const head = `{"type":"batch","batchId":${frame.batchId},"model":${model},"class":"${frame.class}"`;
    const open = `${head},"items":[`;
    yield* encodeList(open, { entries: frame.items, write: writeItem, onTooLarge });
  } else if (frame.type === "items") {
    yield* encodeList('{"type":"items","outcomes":[', {
      entries: frame.outcomes,
      write: writeOutcome,
    });
  } else {
    yield assemble(JSON.stringify(frame), new TailWriter());
  }
}

interface List<Entry> {
  readonly entries: readonly Entry[];
  readonly write: (entry: Entry, tail: TailWriter) => string;
  /** Where it is left out, the failure is the outcome. */
  readonly onTooLarge?: (item: TooLarge) => void;
}

function* encodeList<Entry extends FrameItem | FrameOutcome>(
  open: string,
  { entries, write, onTooLarge }: List<Entry>,
): Generator<Buffer, void, void> {
  let header = open;
  let tail = new TailWriter();
  for (const entry of entries) {
    const mark = tail.mark();
    let text = write(entry, tail);
    const excess = excessOf(text, tail.byteLength - mark.byteLength);
    if (excess !== null) {
      tail.splitAt(mark);
      if (onTooLarge !== undefined) {
        onTooLarge({ itemId: entry.itemId, message: excess });
        continue;
      }
      text = writeFailure(entry.itemId, excess);
    }
    const isFirst = header.length === open.length;
    const isFull =
      header.length + text.length > partHeaderCharacters || tail.byteLength > partTailBytes;
    if (isFull && !isFirst) {
      const next = tail.splitAt(mark);
      yield assemble(`${header}]}`, tail);
      header = open + text;
      tail = next;
    } else {
      header += isFirst ? text : `,${text}`;
    }
  }
  if (header.length > open.length || entries.length === 0) yield assemble(`${header}]}`, tail);
}

function writeItem({ itemId, payload }: FrameItem, tail: TailWriter): string {
  return tail.add(itemId, payload);
}

function writeOutcome(outcome: FrameOutcome, tail: TailWriter): string {
  if (!outcome.ok) return JSON.stringify(outcome);
  return tail.add(outcome.itemId, outcome.value);
}

function writeFailure(itemId: number, what: string): string {
  const message = `the model's answer ${what}`;
  return JSON.stringify({ itemId, ok: false, code: "item_failed", message });
}

/** Why an entry fits into no frame; null where it does. */
function excessOf(text: string, tailBytes: number): string | null {
  if (tailBytes > tailBytesMax) {
    return `has tensors of ${tailBytes} bytes, at most ${tailBytesMax} are moved`;
  }
  if (text.length > partHeaderCharacters) {
    const bytes = Buffer.byteLength(text);
    // Room for what opens and closes the list.
    if (bytes > headerBytesMax - 1_024) {
      return `has values of ${bytes} bytes, at most ${headerBytesMax} are moved`;
    }
  }
  // Two characters are the least that a level takes.
  if (text.length >= 2 * (headerDepthMax - listDepth)) {
    if (isNestedDeeper(Buffer.from(text), headerDepthMax - listDepth)) {
      return `has values that are nested deeper than ${headerDepthMax - listDepth}`;
    }
  }
  return null;
}

/** Brackets around an entry: the frame's and the list's. */
const listDepth = 2;

function refuse({ itemId, message }: TooLarge): never {
  throw new RangeError(`item ${itemId} ${message}`);
}

function assemble(header: string, tail: TailWriter): Buffer {
  const textBytes = Buffer.byteLength(header);
  // Blanks behind the text, so that the tail starts at a multiple of eight bytes and is written as whole numbers.
  const blanks = -textBytes & 7;
  const headerBytes = textBytes + blanks;
  if (headerBytes > headerBytesMax) {
    throw new RangeError(`a frame's header of ${headerBytes} bytes is over ${headerBytesMax}`);
  }
  // A buffer of its own starts at a multiple of eight bytes, and so does a piece of the pool.
  const buffer = Buffer.allocUnsafe(prefixBytes + headerBytes + tail.byteLength);
  buffer.writeUInt32LE(headerBytes, 0);
  buffer.writeUInt32LE(tail.byteLength, 4);
  buffer.write(header, prefixBytes);
  buffer.fill(" ", prefixBytes + textBytes, prefixBytes + headerBytes);
  if (tail.byteLength > 0) tail.copyTo(buffer.subarray(prefixBytes + headerBytes));
  return buffer;
}
