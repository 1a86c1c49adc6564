/** A protobuf message in its bytes, field by field: nothing is made of what nobody asked for, and lengths are checked before. */
import { MillraceError } from "millrace-client/wire";

export const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** What a field begins with that has a length: a text, a message, a packed list. */
export function tagOf(field: number): number {
  return (field << 3) | wire.bytes;
}

/**
 * What a message may have beside the elements of its tensors, all parts together: each costs far more than its two bytes to read, and
 * they are read in one turn.
 */
export class FieldsBudget {
  #left = 65_536;

  /** @throws MillraceError `bad_request` */
  take(): void {
    this.#left -= 1;
    if (this.#left < 0) throw new MillraceError("bad_request", "the message has too many fields");
  }
}

export class ProtoReader {
  readonly bytes: Buffer;
  readonly #fields: FieldsBudget | null;
  #at = 0;

  /** `fields`: null for elements of a tensor, which are as many as there are. */
  constructor(bytes: Buffer, fields: FieldsBudget | null = null) {
    this.bytes = bytes;
    this.#fields = fields;
  }

  get left(): number {
    return this.bytes.length - this.#at;
  }

  tag(): { readonly field: number; readonly type: number } {
    this.#fields?.take();
    const tag = this.uint32();
    return { field: tag >>> 3, type: tag & 7 };
  }

  /** The low 32 bits of a number, which is what protobuf has in mind where they are too few. */
  uint32(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw broken();
  }

  uint64(): bigint {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else if (shift < 64) high |= bits << (shift - 32);
      if (byte < 0x80) return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    }
    throw broken();
  }

  /** Of a message in this one. */
  message(): ProtoReader {
    return new ProtoReader(this.part(), this.#fields);
  }

  /** A part of these bytes, not a copy. */
  part(): Buffer {
    return this.take(this.uint32());
  }

  text(): string {
    const part = this.part();
    try {
      return utf8.decode(part);
    } catch (cause) {
      throw new MillraceError("bad_encoding", "a text of the message is not UTF-8", { cause });
    }
  }

  take(length: number): Buffer {
    if (length > this.left) throw broken();
    this.#at += length;
    return this.bytes.subarray(this.#at - length, this.#at);
  }

  skip(type: number): void {
    if (type === wire.varint) this.uint32();
    else if (type === wire.fixed64) this.take(8);
    else if (type === wire.bytes) this.part();
    else if (type === wire.fixed32) this.take(4);
    else throw broken();
  }

  #byte(): number {
    const byte = this.bytes[this.#at];
    if (byte === undefined) throw broken();
    this.#at += 1;
    return byte;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function broken(): MillraceError {
  return new MillraceError("bad_request", "the message is no protobuf of this method");
}
