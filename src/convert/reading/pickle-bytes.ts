/** The bytes of a pickle, read from front to back; every length is checked before anything is taken. */
import { MillraceError } from "millrace-client/wire";

/** Longer than any name of a tensor or a class. */
const textBytesMax = 64 * 1024;

export class PickleBytes {
  position = 0;
  readonly #bytes: Buffer;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#bytes.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  i32(): number {
    return this.#bytes.readInt32LE(this.#take(4));
  }

  f64(): number {
    return this.#bytes.readDoubleBE(this.#take(8));
  }

  /** As a number: one that is not exact any more is over every length that there is. */
  u64(): number {
    return Number(this.#bytes.readBigUInt64LE(this.#take(8)));
  }

  /** Two's complement, little-endian. */
  integer(byteLength: number): number | bigint {
    if (byteLength > 8) throw invalid(`an integer of ${byteLength} bytes; the limit is 8`);
    const start = this.#take(byteLength);
    let value = 0n;
    for (let at = byteLength - 1; at >= 0; at -= 1) {
      value = (value << 8n) | BigInt(this.#bytes.readUInt8(start + at));
    }
    const signed = BigInt.asIntN(8 * byteLength, value);
    const number = Number(signed);
    return Number.isSafeInteger(number) ? number : signed;
  }

  text(byteLength: number): string {
    if (byteLength > textBytesMax) {
      throw invalid(`a text of ${byteLength} bytes; the limit is ${textBytesMax}`);
    }
    return this.#decode(this.slice(byteLength));
  }

  /** Up to the end of the line, which is not part of it. */
  line(): string {
    const start = this.position;
    const end = this.#bytes.indexOf(0x0a, start);
    if (end === -1 || end - start > textBytesMax) throw invalid("a name that does not end");
    this.position = end + 1;
    return this.#decode(this.#bytes.subarray(start, end));
  }

  /** A view. */
  slice(byteLength: number): Uint8Array {
    const start = this.#take(byteLength);
    return this.#bytes.subarray(start, start + byteLength);
  }

  #decode(bytes: Uint8Array): string {
    try {
      return this.#decoder.decode(bytes);
    } catch (cause) {
      const message = `the pickle has a text before byte ${this.position} that is not UTF-8`;
      throw new MillraceError("weights_invalid", message, { cause });
    }
  }

  #take(byteLength: number): number {
    const start = this.position;
    if (byteLength > this.#bytes.byteLength - start) {
      throw invalid(`${byteLength} bytes at byte ${start}, but ends at ${this.#bytes.byteLength}`);
    }
    this.position = start + byteLength;
    return start;
  }
}

function invalid(what: string): MillraceError {
  return new MillraceError("weights_invalid", `the pickle has ${what}`);
}
