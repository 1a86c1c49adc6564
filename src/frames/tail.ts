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
/** Stands in JSON as it is. */
const plainName = /^\w+$/;

export class TailWriter {
  readonly #parts: TensorData[] = [];
  byteLength = 0;

  /**
   * Takes the tensors and returns the payload as the header has it: types and shapes, and no data. Throws `RangeError`
   * where a shape is not that of its data: that is the sender's bug.
   */
  add({ values, tensors }: Payload): string {
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
      const comma = heads === "" ? "" : ",";
      const quoted = plainName.test(name) ? `"${name}"` : JSON.stringify(name);
      heads += `${comma}${quoted}:{"type":"${type}","shape":[${shape.join()}]}`;
      this.#append(data);
    }
    return `{"values":${JSON.stringify(values)},"tensors":{${heads}}}`;
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

/** What `TailWriter.add` made of a payload, read again; nothing of it is known yet. */
export interface PayloadHeader {
  readonly values: Payload["values"];
  readonly tensors: Readonly<Record<string, Omit<Tensor, "data"> & { data?: TensorData }>>;
}

export class TailReader {
  readonly #bytes: ArrayBuffer;
  #at = 0;

  /** Takes a copy: the bytes belong to the stream, and lie anywhere. */
  constructor(bytes: Uint8Array) {
    this.#bytes = new ArrayBuffer(bytes.length);
    new Uint8Array(this.#bytes).set(bytes);
  }

  /** Gives each tensor of a checked payload its data. False where the tail ends before the tensors do. */
  fill({ tensors }: PayloadHeader): boolean {
    for (const name of Object.keys(tensors)) {
      const tensor = tensors[name];
      if (tensor === undefined) continue;
      const elements = elementsOf(tensor.shape);
      const array = tensorArrays[tensor.type];
      const from = aligned(this.#at);
      const until = from + elements * array.BYTES_PER_ELEMENT;
      if (!(until <= this.#bytes.byteLength)) return false;
      this.#at = until;
      tensor.data = new array(this.#bytes, from, elements);
    }
    return true;
  }

  /** Every byte belongs to a tensor. */
  get isAtEnd(): boolean {
    return this.#at === this.#bytes.byteLength;
  }
}

export function isPayloadHeader(value: unknown): boolean {
  if (!isRecord(value) || !isRecord(value["values"]) || !isRecord(value["tensors"])) return false;
  for (const name in value["tensors"]) {
    const tensor = value["tensors"][name];
    if (!isRecord(tensor) || !isTensorType(tensor["type"]) || !isShape(tensor["shape"])) {
      return false;
    }
  }
  return true;
}

/** An empty tensor behind others takes its padding with it. */
function aligned(byteOffset: number): number {
  return Math.ceil(byteOffset / alignment) * alignment;
}

function isShape(value: unknown): boolean {
  if (!Array.isArray(value) || value.length > 16) return false;
  for (const size of value) if (!Number.isSafeInteger(size) || size < 0) return false;
  return true;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
