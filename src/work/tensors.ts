/**
 * READ FIRST of named tensors. What fronts and tasks that speak of them hand each other, and what the program `tensors` takes
 * and gives, as payloads; names of tensors are a stranger's, so in payloads they are places in a list:
 *
 *   fields    inputs: NamedTensors, from a front that read bytes; any other value is JSON, which the task reads (tensor-json.ts)
 *   item      values: outputs, places among the model's outputs         tensors: "0", "1", … by the model's inputs
 *   outcome   values: rowsApart, each row is its own                     tensors: "0", "1", … by the model's outputs
 *   result    values: tensors: [name, datatype] of each                 tensors: "0", "1", … by that list
 *
 * Texts (`BYTES`) are their UTF-8 one after the other, with the bytes of each in "0.lengths", which has the tensor's shape.
 */
import type { TensorDatatype } from "millrace-client/wire";
import {
  elementsOf,
  type JsonValue,
  type Payload,
  type Tensor,
  type TensorData,
  type TensorType,
  tensorArrays,
} from "./payload.js";

export interface NamedTensor {
  readonly name: string;
  readonly datatype: TensorDatatype;
  readonly shape: readonly number[];
  /** Of texts: the bytes of all. */
  readonly data: TensorData;
  /** Of texts only: the bytes of each. */
  readonly lengths?: Int32Array;
}

/** What goes by a name elsewhere. */
export type TensorValue = Omit<NamedTensor, "name">;

/** Told from a caller's JSON by its class: no JSON is one. */
export class NamedTensors {
  readonly list: readonly NamedTensor[];

  constructor(list: readonly NamedTensor[]) {
    this.list = list;
  }
}

export const tensorTypes: Readonly<Record<TensorDatatype, TensorType>> = {
  BOOL: "bool",
  UINT8: "uint8",
  UINT16: "uint16",
  UINT32: "uint32",
  UINT64: "uint64",
  INT8: "int8",
  INT16: "int16",
  INT32: "int32",
  INT64: "int64",
  FP16: "float16",
  FP32: "float32",
  FP64: "float64",
  BF16: "bfloat16",
  BYTES: "uint8",
};

/** Largest size of an axis: shapes travel as 32-bit numbers. */
const axisMax = 0x7fffffff;

export function isAxis(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= axisMax;
}

/** `[2, -1, 3]`, for messages. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

/** What the tensor holds in memory. */
export function bytesOf({ data, lengths }: NamedTensor): number {
  return data.byteLength + (lengths?.byteLength ?? 0);
}

type TensorHead = Pick<NamedTensor, "name" | "datatype">;

export function putTensor(
  tensors: Record<string, Tensor>,
  place: number,
  tensor: NamedTensor,
): void {
  const { datatype, shape, data, lengths } = tensor;
  if (lengths === undefined) {
    tensors[String(place)] = { type: tensorTypes[datatype], shape, data };
    return;
  }
  tensors[String(place)] = { type: "uint8", shape: [data.length], data };
  tensors[lengthsOf(place)] = { type: "int32", shape, data: lengths };
}

/** Null where the payload has no such tensor at the place, or one of another type. */
export function takeTensor(
  { tensors }: Payload,
  place: number,
  { name, datatype }: TensorHead,
): NamedTensor | null {
  const found = tensors[String(place)];
  if (found === undefined || found.type !== tensorTypes[datatype]) return null;
  if (datatype !== "BYTES") return { name, datatype, shape: found.shape, data: found.data };
  const texts = tensors[lengthsOf(place)];
  if (texts === undefined || !(texts.data instanceof Int32Array)) return null;
  let bytes = 0;
  for (const length of texts.data) {
    if (length < 0) return null;
    bytes += length;
  }
  if (bytes !== found.data.length) return null;
  return { name, datatype, shape: texts.shape, data: found.data, lengths: texts.data };
}

function lengthsOf(place: number): string {
  return `${place}.lengths`;
}

/** A result of named tensors. */
export function payloadOf(list: readonly NamedTensor[]): Payload {
  const tensors: Record<string, Tensor> = {};
  for (const [place, tensor] of list.entries()) putTensor(tensors, place, tensor);
  return { values: { tensors: list.map(({ name, datatype }) => [name, datatype]) }, tensors };
}

/** The same again; throws where it is no such result, which is its task's bug. */
export function tensorsOf(payload: Payload): NamedTensor[] {
  const { tensors: heads } = payload.values;
  if (!Array.isArray(heads)) throw new TypeError("a result that is no list of tensors");
  return heads.map((head: JsonValue, place) => {
    const [name, datatype] = Array.isArray(head) ? (head as readonly JsonValue[]) : [];
    if (typeof name !== "string" || !isDatatype(datatype)) {
      throw new TypeError("a result with a tensor that has no name or no type");
    }
    const tensor = takeTensor(payload, place, { name, datatype });
    if (tensor === null) throw new TypeError(`a result without its tensor ${name}`);
    return tensor;
  });
}

export function isDatatype(value: unknown): value is TensorDatatype {
  return typeof value === "string" && Object.hasOwn(tensorTypes, value);
}

/** Takes a tensor apart along its first axis, which there is, from the first row on; the numbers are not copied. */
export class RowReader {
  readonly #tensor: NamedTensor;
  readonly #rowElements: number;
  /** Elements and, of texts, bytes that were taken. */
  #elements = 0;
  #bytes = 0;

  constructor(tensor: NamedTensor) {
    this.#tensor = tensor;
    this.#rowElements = elementsOf(tensor.shape.slice(1));
  }

  take(rows: number): NamedTensor {
    const { shape, data, lengths } = this.#tensor;
    const from = this.#elements;
    this.#elements += rows * this.#rowElements;
    const own = [rows, ...shape.slice(1)];
    if (lengths === undefined) {
      return { ...this.#tensor, shape: own, data: data.subarray(from, this.#elements) };
    }
    const texts = lengths.subarray(from, this.#elements);
    const first = this.#bytes;
    for (let at = 0; at < texts.length; at += 1) this.#bytes += texts[at] ?? 0;
    const bytes = data.subarray(first, this.#bytes);
    return { ...this.#tensor, shape: own, data: bytes, lengths: texts };
  }
}

/** One below the other, along the first axis; null where they have other types or rows of other shapes. At least one. */
export function joinRows(parts: readonly NamedTensor[]): NamedTensor | null {
  const [first, ...others] = parts;
  if (first === undefined || others.length === 0) return first ?? null;
  let rows = 0;
  let elements = 0;
  for (const { datatype, shape, data } of parts) {
    if (datatype !== first.datatype || shape.length !== first.shape.length) return null;
    for (let axis = 1; axis < shape.length; axis += 1) {
      if (shape[axis] !== first.shape[axis]) return null;
    }
    rows += shape[0] ?? 0;
    elements += data.length;
  }
  const data = new tensorArrays[tensorTypes[first.datatype]](elements);
  let at = 0;
  for (const part of parts) {
    setData(data, part.data, at);
    at += part.data.length;
  }
  const shape = [rows, ...first.shape.slice(1)];
  if (first.lengths === undefined) return { ...first, shape, data };
  const lengths = new Int32Array(elementsOf(shape));
  at = 0;
  for (const part of parts) {
    lengths.set(part.lengths ?? [], at);
    at += part.lengths?.length ?? 0;
  }
  return { ...first, shape, data, lengths };
}

/** As bytes, whatever their type: both have the same. */
function setData(target: TensorData, source: TensorData, at: number): void {
  const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
  const from = at * target.BYTES_PER_ELEMENT;
  bytes.set(new Uint8Array(source.buffer, source.byteOffset, source.byteLength), from);
}

/** The texts of a tensor of `BYTES`, in order. */
export function textsOf({ data, lengths = new Int32Array() }: NamedTensor): string[] {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  let from = 0;
  const texts: string[] = [];
  for (let at = 0; at < lengths.length; at += 1) {
    const until = from + (lengths[at] ?? 0);
    texts.push(until === from ? "" : bytes.toString("utf8", from, until));
    from = until;
  }
  return texts;
}

/** A tensor of `BYTES` of so many well-formed texts as its shape says. */
export function textTensor(
  texts: readonly string[],
  { name, shape }: Pick<NamedTensor, "name" | "shape">,
): NamedTensor {
  // Once for all: of short texts there may be a million.
  const data = new TextEncoder().encode(texts.join(""));
  const lengths = new Int32Array(texts.length);
  for (let at = 0; at < texts.length; at += 1) lengths[at] = utf8Length(texts[at] ?? "");
  return { name, datatype: "BYTES", shape, data, lengths };
}

/** One after the other. */
export function joinTexts(
  parts: readonly Pick<NamedTensor, "data" | "lengths">[],
  { name, shape }: Pick<NamedTensor, "name" | "shape">,
): NamedTensor {
  const data = Buffer.concat(parts.map((part) => part.data as Uint8Array));
  const lengths = new Int32Array(parts.reduce((sum, part) => sum + (part.lengths?.length ?? 0), 0));
  let at = 0;
  for (const { lengths: own = new Int32Array() } of parts) {
    lengths.set(own, at);
    at += own.length;
  }
  return { name, datatype: "BYTES", shape, data, lengths };
}

function utf8Length(text: string): number {
  if (text.length > 64) return Buffer.byteLength(text);
  let bytes = text.length;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    // Half of a letter of four bytes is two of them.
    bytes += unit < 0x800 || (unit & 0xf800) === 0xd800 ? 1 : 2;
  }
  return bytes;
}
