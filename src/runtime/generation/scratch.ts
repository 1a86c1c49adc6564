import type { NativeData } from "../native/native-tensor.js";

/** What an array may keep while the engine idles. */
const idleBytesMax = 1024 * 1024;

/** An array that is used again and again, and made anew where it is too small. */
export class Scratch<Kind extends NativeData> {
  readonly #make: (length: number) => Kind;
  #whole: Kind;

  constructor(make: (length: number) => Kind) {
    this.#make = make;
    this.#whole = make(0);
  }

  /** At least so long; what was in it is there, or is zero where it was made anew. */
  take(length: number): Kind {
    if (this.#whole.length < length) this.#whole = this.#make(length);
    return this.#whole;
  }

  get byteLength(): number {
    return this.#whole.byteLength;
  }

  /** Nothing runs for a while. */
  rest(): void {
    if (this.#whole.byteLength > idleBytesMax) this.#whole = this.#make(0);
  }
}
