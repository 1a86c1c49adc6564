/**
 * Tensors of a frame, one after the other behind its JSON header, each from a multiple of eight bytes on, so that the
 * receiver reads them where they lie:
 *
 *   header   … "payload": {"values": {…}, "tensors": {"tokens": {"type": "int32", "shape": [3]}}} …
 *   tail     │ tokens: 12 bytes │ 4 of padding │ next tensor …
 *
 * The header says type and shape of each, hence its bytes; that all of them together are the tail is checked.
 */
import {
  elementsOf,
  isTensorType,
  type Payload,
  type Tensor,
  type TensorData,
  tensorArrays,
} from "../work/payload.js";

const alignment = 8;

/** A payload as the header has it: types and shapes, and no data. */
export interface PayloadHeader {
  readonly values: Payload["values"];
  readonly tensors: Readonly<Record<string, Pick<Tensor, "type" | "shape">>>;
}

export class TailWriter {
  readonly #parts: TensorData[] = [];
  byteLength = 0;

  /** Throws `RangeError` where a shape is not that of its data: that is the sender's bug. */
  add({ values, tensors }: Payload): PayloadHeader {
    const heads: Record<string, Pick<Tensor, "type" | "shape">> = {};
    for (const [name, { type, shape, data }] of Object.entries(tensors)) {
      if (elementsOf(shape) !== data.length) {
        throw new RangeError(
          `tensor ${name} of shape [${shape.join()}] has ${data.length} elements`,
        );
      }
      heads[name] = { type, shape };
      this.#parts.push(data);
      this.byteLength = aligned(this.byteLength) + data.byteLength;
    }
    return { values, tensors: heads };
  }

  copyTo(target: Buffer, from: number): void {
    let at = 0;
    for (const { buffer, byteOffset, byteLength } of this.#parts) {
      target.fill(0, from + at, from + aligned(at));
      at = aligned(at);
      target.set(new Uint8Array(buffer, byteOffset, byteLength), from + at);
      at += byteLength;
    }
  }
}

export class TailReader {
  readonly #bytes: ArrayBuffer;
  #at = 0;

  /** Takes a copy: the bytes belong to the stream, and lie anywhere. */
  constructor(bytes: Uint8Array) {
    this.#bytes = new ArrayBuffer(bytes.length);
    new Uint8Array(this.#bytes).set(bytes);
  }

  /** Null where the tail ends before the tensors do. */
  take({ values, tensors }: PayloadHeader): Payload | null {
    const taken: Record<string, Tensor> = {};
    for (const [name, { type, shape }] of Object.entries(tensors)) {
      const data = this.#tensor(type, shape);
      if (data === null) return null;
      taken[name] = { type, shape, data };
    }
    return { values, tensors: taken };
  }

  /** Every byte belongs to a tensor. */
  get isAtEnd(): boolean {
    return this.#at === this.#bytes.byteLength;
  }

  #tensor(type: Tensor["type"], shape: readonly number[]): TensorData | null {
    const elements = elementsOf(shape);
    const array = tensorArrays[type];
    const from = aligned(this.#at);
    const until = from + elements * array.BYTES_PER_ELEMENT;
    if (!(until <= this.#bytes.byteLength)) return null;
    this.#at = until;
    return new array(this.#bytes, Math.min(from, this.#bytes.byteLength), elements);
  }
}

export function isPayloadHeader(value: unknown): boolean {
  if (!isRecord(value) || !isRecord(value["values"]) || !isRecord(value["tensors"])) return false;
  return Object.values(value["tensors"]).every(
    (tensor) => isRecord(tensor) && isTensorType(tensor["type"]) && isShape(tensor["shape"]),
  );
}

/** An empty tensor at the very end takes no padding with it: its offset may lie behind the last byte. */
function aligned(byteOffset: number): number {
  return Math.ceil(byteOffset / alignment) * alignment;
}

function isShape(value: unknown): boolean {
  if (!Array.isArray(value) || value.length > 16) return false;
  return value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
