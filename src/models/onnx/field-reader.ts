/**
 * Walks the fields of a protobuf message where it lies in its file. Of a graph of gigabytes only the heads of fields and what
 * is asked for are read; weights are passed over.
 *
 *   file   │ tag │ length │ ……… a message, walked the same way ……… │ tag │ length │ weights, skipped │ …
 *
 * Files come from strangers: a field never reaches over the end of its message, and nothing is allocated by what a length says.
 */
import type { FileHandle } from "node:fs/promises";

const windowBytes = 64 * 1024;
/** A tag and a length, each a varint of ten bytes at most. */
const headBytesMax = 20;
/** Far over the nodes and weights of any graph; a file of nothing but heads ends here. */
const fieldsMax = 20_000_000;

export interface Field {
  /** Its number in the schema. */
  readonly id: number;
  /** Of a number: the number. Null where it has a content. */
  readonly number: number | null;
  /** Where its content begins and ends in the file. */
  readonly from: number;
  readonly until: number;
}

export class FieldReader {
  readonly #handle: FileHandle;
  readonly #window: Buffer = Buffer.allocUnsafe(windowBytes);
  #windowFrom = 0;
  #windowUntil = 0;
  #fields = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Throws a plain Error that says what is wrong, without the file's name. */
  async *fields(from: number, until: number): AsyncGenerator<Field> {
    for (let at = from; at < until; ) {
      const field = await this.#fieldAt(at, until);
      yield field;
      at = field.until;
    }
  }

  /** Throws where it is longer than `bytesMax` or is no UTF-8. */
  async text({ from, until }: Field, bytesMax: number): Promise<string> {
    if (until - from > bytesMax) {
      throw new Error(`a name of ${until - from} bytes; at most ${bytesMax} are read`);
    }
    await this.#load(from, until - from);
    const bytes = this.#window.subarray(from - this.#windowFrom, until - this.#windowFrom);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch (cause) {
      throw new Error("a name that is not UTF-8", { cause });
    }
  }

  async #fieldAt(at: number, until: number): Promise<Field> {
    this.#fields += 1;
    if (this.#fields > fieldsMax) throw new Error(`more than ${fieldsMax} fields`);
    await this.#load(at, Math.min(headBytesMax, until - at));
    const tag = this.#varint(at, until);
    const id = Math.floor(tag.value / 8);
    if (id < 1 || id > 0x1fffffff) throw new Error(`no field is numbered ${id}`);
    const body = tag.until;
    switch (tag.value % 8) {
      case 0: {
        const { value, until: end } = this.#varint(body, until);
        return { id, number: value, from: body, until: end };
      }
      case 1:
        return sized(id, { from: body, bytes: 8, until });
      case 2: {
        const length = this.#varint(body, until);
        return sized(id, { from: length.until, bytes: length.value, until });
      }
      case 5:
        return sized(id, { from: body, bytes: 4, until });
      default:
        throw new Error(`a field of an unknown kind at byte ${at}`);
    }
  }

  /** Of what is loaded. Numbers over 2^53 lose their last bits, negative ones come as what they are below 2^64. */
  #varint(at: number, until: number): { readonly value: number; readonly until: number } {
    let value = 0;
    let scale = 1;
    for (let place = at; place < at + 10; place += 1) {
      if (place >= until || place >= this.#windowUntil) throw truncated();
      const byte = this.#window[place - this.#windowFrom] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return { value, until: place + 1 };
      scale *= 128;
    }
    throw new Error(`a number of more than ten bytes at byte ${at}`);
  }

  /** So many bytes from there on are in the window, or the file is shorter. */
  async #load(at: number, bytes: number): Promise<void> {
    if (at >= this.#windowFrom && at + bytes <= this.#windowUntil) return;
    let length = 0;
    while (length < windowBytes) {
      const { bytesRead } = await this.#handle.read(
        this.#window,
        length,
        windowBytes - length,
        at + length,
      );
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    this.#windowFrom = at;
    this.#windowUntil = at + length;
    if (length < bytes) throw truncated();
  }
}

function sized(
  id: number,
  { from, bytes, until }: { readonly from: number; readonly bytes: number; readonly until: number },
): Field {
  if (from + bytes > until) throw truncated();
  return { id, number: null, from, until: from + bytes };
}

function truncated(): Error {
  return new Error(
    "it ends in the middle of a field: the file is truncated, or a length in it lies",
  );
}
