/**
 * One request between whoever asks and a node, seen from either end: messages in order, in parts, with a window.
 *
 *   send ─► waiting ──(window has room, NATS is there)──► parts ═══ NATS ═══► checked ─► whole ─► onMessage
 *                            ▲                                                   │
 *                            └──────────────── credit, half a window at a time ◄─┘
 *
 * A window of bytes may be on its way, and no more: a node whose outcomes nobody takes keeps them, where they are counted, and NATS keeps
 * little. What fits into half a window, as a person's sentence does, costs no message beside its own. A part that is missing, wrong
 * or too much breaks the conversation, once; whoever asked has the rest of it done elsewhere.
 */
import { headerDepthMax } from "../frames/messages.js";
import { isNestedDeeper } from "../frames/nesting.js";
import type { TailWriter } from "../frames/tail.js";
import { isJsonObject, type JsonObject } from "../work/payload.js";
import { encodePart, type WirePart } from "./parts.js";

/** May be on its way in one direction of one conversation. */
const windowBytes = 1024 * 1024;
/** Of one part, however large a message NATS takes: others come in between. */
const partBytesMost = 128 * 1024;

export interface ReceivedMessage {
  readonly head: JsonObject;
  /** The caller's own. */
  readonly tail: Uint8Array;
  readonly bytes: number;
}

export interface ConversationParts {
  /** One message to the other side; false: NATS is away, and it is tried again by `pump`. */
  readonly publish: (bytes: Uint8Array) => boolean;
  /** What NATS takes in one message; it may be another one after a reconnection. */
  readonly payloadBytesMax: () => number;
  /** Before memory is taken for a message of so many bytes; false: it is refused, and nothing more is received. */
  readonly onAnnounced: (totalBytes: number) => boolean;
  readonly onMessage: (message: ReceivedMessage) => void;
  /** Bytes that wait to be sent have become more, or fewer. */
  readonly onWaiting?: (bytes: number) => void;
  /** At most once; nothing is received after it. */
  readonly onBroken: (error: unknown) => void;
}

interface Waiting {
  readonly bytes: Buffer;
  readonly headBytes: number;
  offset: number;
}

interface Arriving {
  readonly totalBytes: number;
  readonly headBytes: number;
  readonly chunks: Uint8Array[];
  bytes: number;
}

export class Conversation {
  readonly #parts: ConversationParts;
  readonly #waiting: Waiting[] = [];
  #sent = 0;
  #received = 0;
  #windowLeft = windowBytes;
  #uncredited = 0;
  #arriving: Arriving | null = null;
  #isBroken = false;
  #isPumping = false;
  /** What comes is not taken any more; what is said is sent. */
  #isDeaf = false;
  #onEmpty: (() => void) | null = null;

  constructor(parts: ConversationParts) {
    this.#parts = parts;
  }

  /** Parts that were sent so far: what a beat says, so that the other side notices that the last one is missing. */
  get sent(): number {
    return this.#sent;
  }

  /** `head`: JSON text of an object. */
  send(head: string, tail?: TailWriter): void {
    if (this.#isBroken) return;
    const bytes = assemble(head, tail);
    this.#waiting.push({ ...bytes, offset: 0 });
    this.#parts.onWaiting?.(bytes.bytes.length);
    this.pump();
  }

  /** Sends what the window and NATS let it. */
  pump(): void {
    // What is sent may be credited before the call is back.
    if (this.#isBroken || this.#isPumping) return;
    this.#isPumping = true;
    try {
      this.#credit(0);
      for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
        if (!this.#sendPart(first)) return;
        if (first.offset === first.bytes.length) this.#waiting.shift();
      }
    } finally {
      this.#isPumping = false;
    }
    this.#onEmpty?.();
  }

  #sendPart(message: Waiting): boolean {
    const { bytes: whole, headBytes, offset } = message;
    const partMax = Math.min(partBytesMost, this.#parts.payloadBytesMax() - 1_024);
    const end = Math.min(whole.length, offset + partMax);
    const size = end - offset;
    if (size <= 0 || size > this.#windowLeft) return false;
    const bytes = whole.subarray(offset, end);
    const of = { sequence: this.#sent, totalBytes: whole.length, headBytes, offset };
    this.#sent += 1;
    this.#windowLeft -= size;
    message.offset = end;
    if (!this.#parts.publish(encodePart({ kind: "part", ...of, bytes }))) {
      this.#sent -= 1;
      this.#windowLeft += size;
      message.offset = offset;
      return false;
    }
    this.#parts.onWaiting?.(-size);
    return true;
  }

  /** Resolves when nothing waits to be sent any more. Call it once. */
  async emptied(signal: AbortSignal): Promise<void> {
    const isEmpty = this.#waiting.length === 0;
    if (isEmpty || this.#isBroken || signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  receive(part: Extract<WirePart, { kind: "part" | "credit" }>): void {
    if (this.#isBroken) return;
    try {
      if (part.kind === "credit") this.#credited(part.bytes);
      else if (!this.#isDeaf) this.#take(part);
    } catch (error) {
      this.break(error);
    }
  }

  deafen(): void {
    this.#isDeaf = true;
    this.#arriving = null;
  }

  /** What a beat of the other side says that it has sent. */
  otherHasSent(parts: number): void {
    if (this.#isDeaf) return;
    if (parts > this.#received) this.break(new Error("a part of it was lost on its way"));
  }

  /** Ends it; a second time nothing happens. */
  break(error: unknown): void {
    if (this.#isBroken) return;
    this.close();
    this.#parts.onBroken(error);
  }

  /** Nothing is sent or received any more, and what waited is given back. */
  close(): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#arriving = null;
    let bytes = 0;
    for (const each of this.#waiting.splice(0)) bytes += each.bytes.length - each.offset;
    if (bytes > 0) this.#parts.onWaiting?.(-bytes);
    this.#onEmpty?.();
  }

  #credited(bytes: number): void {
    this.#windowLeft += bytes;
    if (this.#windowLeft > windowBytes) throw new Error("more is credited than was sent");
    this.pump();
  }

  #take(part: Extract<WirePart, { kind: "part" }>): void {
    const { sequence, totalBytes, headBytes, offset, bytes } = part;
    if (sequence !== this.#received) throw new Error("a part of it was lost on its way");
    this.#received += 1;
    if (this.#arriving === null && !this.#parts.onAnnounced(totalBytes)) return this.deafen();
    const arriving = this.#arriving ?? { totalBytes, headBytes, chunks: [], bytes: 0 };
    const isNext = arriving.totalBytes === totalBytes && arriving.headBytes === headBytes;
    if (!isNext || arriving.bytes !== offset) throw new Error("a part that belongs to nothing");
    arriving.bytes += bytes.length;
    const isWhole = arriving.bytes === totalBytes;
    // The library's buffer holds what else came with it: a part of a few bytes would keep all of that.
    arriving.chunks.push(isWhole ? bytes : bytes.slice());
    this.#arriving = isWhole ? null : arriving;
    this.#credit(bytes.length);
    if (isWhole) this.#whole(arriving);
  }

  #credit(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited < windowBytes / 2) return;
    // Where NATS is away the whole of it is a question of seconds.
    if (this.#parts.publish(encodePart({ kind: "credit", bytes: this.#uncredited }))) {
      this.#uncredited = 0;
    }
  }

  #whole({ chunks, headBytes, totalBytes }: Arriving): void {
    const [only, ...others] = chunks;
    const whole = only !== undefined && others.length === 0 ? only : Buffer.concat(chunks);
    const json = whole.subarray(0, headBytes);
    if (isNestedDeeper(json, headerDepthMax)) throw new Error("a message that is nested too deep");
    const head: unknown = JSON.parse(
      Buffer.from(json.buffer, json.byteOffset, json.length).toString(),
    );
    if (!isJsonObject(head)) throw new Error("a message that is no object");
    this.#parts.onMessage({ head, tail: whole.subarray(headBytes), bytes: totalBytes });
  }
}

function assemble(head: string, tail?: TailWriter): { bytes: Buffer; headBytes: number } {
  const textBytes = Buffer.byteLength(head);
  // Blanks behind the text, so that the tail starts at a multiple of eight bytes.
  const headBytes = textBytes + (-textBytes & 7);
  const bytes = Buffer.alloc(headBytes + (tail?.byteLength ?? 0));
  bytes.write(head, 0);
  bytes.fill(" ", textBytes, headBytes);
  tail?.copyTo(bytes.subarray(headBytes));
  return { bytes, headBytes };
}
