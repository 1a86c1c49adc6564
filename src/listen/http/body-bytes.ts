/**
 * The bytes of one body, in slabs of our own: a caller that sends a byte at a time would else cost us an object for
 * each byte. What is counted is what is allocated.
 */
import type { BodyShare } from "../body-budget.js";

const slabBytesMin = 4 * 1024;
const slabBytesMax = 1024 * 1024;

export class BodyBytes {
  readonly #share: BodyShare;
  /** Null where the caller has not said. */
  readonly #expectedBytes: number | null;
  #slabs: Buffer[] = [];
  /** Free at the end of the last slab. */
  #freeBytes = 0;
  #length = 0;
  #heldBytes = 0;

  constructor(share: BodyShare, expectedBytes: number | null) {
    this.#share = share;
    this.#expectedBytes = expectedBytes;
  }

  get length(): number {
    return this.#length;
  }

  /** What is counted of it. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** @throws MillraceError `queue_full` */
  append(chunk: Buffer): void {
    let from = 0;
    while (from < chunk.length) {
      if (this.#freeBytes === 0) this.#addSlab(chunk.length - from);
      const slab = this.#slabs.at(-1);
      if (slab === undefined) throw new Error("a slab was added");
      const copied = chunk.copy(slab, slab.length - this.#freeBytes, from);
      from += copied;
      this.#freeBytes -= copied;
      this.#length += copied;
    }
  }

  /** In one piece, and not here any more; still counted. */
  take(): Buffer {
    const slabs = this.#slabs;
    this.#slabs = [];
    const [only = Buffer.alloc(0)] = slabs;
    const whole = slabs.length > 1 ? Buffer.concat(slabs, this.#length) : only;
    return whole.subarray(0, this.#length);
  }

  /** Doubles what is there, so that a body takes few slabs and few bytes too many. */
  #addSlab(neededBytes: number): void {
    const doubled = Math.min(Math.max(this.#length, slabBytesMin), slabBytesMax);
    const wanted = Math.max(doubled, neededBytes);
    const left = (this.#expectedBytes ?? Number.POSITIVE_INFINITY) - this.#length;
    const bytes = Math.max(neededBytes, Math.min(wanted, left));
    this.#share.grow(bytes);
    this.#heldBytes += bytes;
    // Never from Node's pool, of which a small slab would keep 8 KiB alive.
    this.#slabs.push(Buffer.allocUnsafeSlow(bytes));
    this.#freeBytes = bytes;
  }
}
