/**
 * Tensors of a frame, one after the other behind its JSON header, each from a multiple of eight bytes on, so that the
 * receiver reads them where they lie:
 *
 *   header   … [17, {"beams": 1}, ["tokens", "int32", 3]] …        an item: its id, its values, its tensors
 *   tail     │ tokens: 12 bytes │ 4 of padding │ next tensor …
 *
 * The header says name, type and shape of each, hence its bytes; that all of them together are the tail is checked.
 * Entries are lists because they come by the thousand: names of fields would be most of a header, and of its time.
 */
import {
  elementsOf,
  isTensorType,
  type Payload,
  type Tensor,
  type TensorData,
  type TensorType,
  tensorArrays,
} from "../work/payload.js";

const alignment = 8;
/** Stands in JSON as it is. */
const plainName = /^\w+$/;

export class TailWriter {
  readonly #parts: TensorData[] = [];
  byteLength = 0;

  /**
   * Takes the tensors and returns the entry as the header has it: names, types and shapes, and no data. Throws
   * `RangeError` where a shape is not that of its data: that is the sender's bug.
   */
  add(itemId: number, { values, tensors }: Payload): string {
    let heads = "";
    for (const name of Object.keys(tensors)) {
      const tensor = tensors[name];
      if (tensor === undefined) continue;
      const { type, shape, data } = tensor;
      if (elementsOf(shape) !== data.length) {
        throw new RangeError(
          `tensor ${name} of shape [${shape.join()}] has ${data.length} elements`,
        );
      }
      const quoted = plainName.test(name) ? `"${name}"` : JSON.stringify(name);
      heads += `,[${quoted},"${type}"`;
      for (const size of shape) heads += `,${size}`;
      heads += "]";
      this.#append(data);
    }
    return `[${itemId},${JSON.stringify(values)}${heads}]`;
  }

  /** Where the next tensor would come. */
  mark(): TailMark {
    return { parts: this.#parts.length, byteLength: this.byteLength };
  }

  /** Takes out what was added since the mark, as a tail of its own. */
  splitAt({ parts, byteLength }: TailMark): TailWriter {
    const rest = new TailWriter();
    for (const data of this.#parts.splice(parts)) rest.#append(data);
    this.byteLength = byteLength;
    return rest;
  }

  /** `target` starts at a multiple of four bytes. */
  copyTo(target: Uint8Array): void {
    const whole = target.length - (target.length % 4);
    const integers = new Int32Array(target.buffer, target.byteOffset, whole / 4);
    let at = 0;
    for (const data of this.#parts) {
      const start = aligned(at);
      if (start > at) target.fill(0, at, start);
      // Most tensors are token ids, and a view of each one's bytes would cost more than to copy them.
      if (data instanceof Int32Array) integers.set(data, start / 4);
      else target.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start);
      at = start + data.byteLength;
    }
  }

  #append(data: TensorData): void {
    this.#parts.push(data);
    this.byteLength = aligned(this.byteLength) + data.byteLength;
  }
}

interface TailMark {
  readonly parts: number;
  readonly byteLength: number;
}

/** What `TailWriter.add` made, with its data again. */
export interface Entry {
  readonly itemId: number;
  readonly payload: Payload;
}

export class TailReader {
  readonly #bytes: ArrayBuffer;
  #at = 0;

  /** Takes a copy: the bytes belong to the stream, and lie anywhere. */
  constructor(bytes: Uint8Array) {
    this.#bytes = new ArrayBuffer(bytes.length);
    new Uint8Array(this.#bytes).set(bytes);
  }

  /** The next entry of the header; null where it is none, or where the tail ends before its tensors do. */
  take(entry: unknown): Entry | null {
    if (!Array.isArray(entry)) return null;
    const [itemId, values] = entry;
    if (!Number.isSafeInteger(itemId) || itemId < 0 || !isRecord(values)) return null;
    const tensors: Record<string, Tensor> = {};
    for (let at = 2; at < entry.length; at += 1) {
      const head: unknown = entry[at];
      if (!Array.isArray(head)) return null;
      const [name, type] = head;
      if (typeof name !== "string" || !isTensorType(type) || Object.hasOwn(tensors, name)) {
        return null;
      }
      const shape: unknown[] = head.slice(2);
      const data = isShape(shape) ? this.#tensor(type, shape) : null;
      if (data === null) return null;
      const tensor = { type, shape, data } as Tensor;
      // To assign to this one name would set the object's prototype.
      if (name !== "__proto__") tensors[name] = tensor;
      else Object.defineProperty(tensors, name, { value: tensor, ...ownField });
    }
    return { itemId, payload: { values, tensors } };
  }

  /** Every byte belongs to a tensor. */
  get isAtEnd(): boolean {
    return this.#at === this.#bytes.byteLength;
  }

  #tensor(type: TensorType, shape: readonly number[]): TensorData | null {
    const elements = elementsOf(shape);
    const array = tensorArrays[type];
    const from = aligned(this.#at);
    const until = from + elements * array.BYTES_PER_ELEMENT;
    if (!(until <= this.#bytes.byteLength)) return null;
    this.#at = until;
    return new array(this.#bytes, from, elements);
  }
}

const ownField = { enumerable: true, configurable: true, writable: true };

/** An empty tensor behind others takes its padding with it. */
function aligned(byteOffset: number): number {
  return Math.ceil(byteOffset / alignment) * alignment;
}

function isShape(sizes: readonly unknown[]): sizes is readonly number[] {
  if (sizes.length > 16) return false;
  for (const size of sizes) if (!isSize(size)) return false;
  return true;
}

function isSize(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isRecord(value: unknown): value is Payload["values"] {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
