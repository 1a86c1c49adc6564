/**
 * The heads of all requests that are open. A head is 16 KiB at the most, but in memory it is four times that where it has
 * many fields, it is there until its reply was taken, and a thousand connections may have sixteen each.
 *
 *   open ─► all heads fit? ─────────── yes ─► let in
 *             │ no
 *             └─► larger than an even share of the budget? ─► too large; a small one is let in all the same
 *
 * So whoever sends heads like everybody's is served in a flood of large ones. With n heads there are at most
 * `bytesMax` × (1 + ln(n / n₀)), n₀ the number that filled it: four times as much, for any n that connections allow.
 */
import type { IncomingMessage } from "node:http";

const headsBytesMax = 32 * 1024 * 1024;

/** A text's own head, its copy in small letters and its place in the table of fields. */
const textBytes = 64;

export class HeadsBudget {
  readonly #bytesMax: number;
  #bytes = 0;
  #count = 0;

  constructor(bytesMax: number = headsBytesMax) {
    this.#bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.#bytes;
  }

  /** Counts the head in any case, until `close` is called with the same bytes. False: it is too large to be served. */
  open(bytes: number): boolean {
    this.#bytes += bytes;
    this.#count += 1;
    return this.#bytes <= this.#bytesMax || bytes * this.#count <= this.#bytesMax;
  }

  close(bytes: number): void {
    this.#bytes -= bytes;
    this.#count -= 1;
  }
}

/** About what a request's head holds in memory. */
export function headBytes({ url = "", rawHeaders }: IncomingMessage): number {
  let characters = url.length;
  for (const text of rawHeaders) characters += text.length;
  return 2 * characters + textBytes * rawHeaders.length;
}
