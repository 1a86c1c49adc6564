/** Typed arrays ⇄ tensors as the Open Inference Protocol has them in bytes: little-endian, row-major. */
import { MillraceError, type TensorDatatype } from "./wire/index.js";

/** The numbers of a tensor; `string[]` for BYTES, and 16-bit floats as the bits that they are. */
export type TensorValues =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | readonly string[];

type NumberArray = Exclude<TensorValues, readonly string[]>;

const arrays = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
  BF16: Uint16Array,
} as const satisfies Record<Exclude<TensorDatatype, "BYTES">, unknown>;

/** The plain type of each array: BOOL, FP16 and BF16 must be named. */
const datatypes = [
  [Float32Array, "FP32"],
  [Float64Array, "FP64"],
  [Int8Array, "INT8"],
  [Int16Array, "INT16"],
  [Int32Array, "INT32"],
  [BigInt64Array, "INT64"],
  [Uint8Array, "UINT8"],
  [Uint16Array, "UINT16"],
  [Uint32Array, "UINT32"],
  [BigUint64Array, "UINT64"],
] as const;

/** Undefined where it is no tensor's data. */
export function datatypeOf(data: TensorValues): TensorDatatype | undefined {
  if (Array.isArray(data)) return "BYTES";
  return datatypes.find(([Elements]) => data instanceof Elements)?.[1];
}

/** Whether an array of this kind may hold elements of that type. */
export function holds(data: TensorValues, datatype: TensorDatatype): boolean {
  if (datatype === "BYTES") return Array.isArray(data) && data.every((e) => typeof e === "string");
  return data instanceof arrays[datatype];
}

/** A text is four bytes of its length, and its UTF-8. Numbers are not copied. */
export function toRaw(data: TensorValues): Uint8Array {
  if (!isTexts(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const encoder = new TextEncoder();
  const texts = data.map((text) => encoder.encode(text));
  const raw = new Uint8Array(texts.reduce((sum, { length }) => sum + 4 + length, 0));
  const view = new DataView(raw.buffer);
  let at = 0;
  for (const text of texts) {
    view.setUint32(at, text.length, true);
    raw.set(text, at + 4);
    at += 4 + text.length;
  }
  return raw;
}

/** Throws `response_invalid` where the bytes are not as many elements of the type. */
export function fromRaw(
  raw: Uint8Array,
  { datatype, elements }: { readonly datatype: TensorDatatype; readonly elements: number },
): TensorValues {
  if (datatype === "BYTES") return textsOf(raw, elements);
  const Elements = arrays[datatype];
  if (raw.length !== elements * Elements.BYTES_PER_ELEMENT) {
    const message = `${raw.length} bytes are not ${elements} elements of ${datatype}.`;
    throw new MillraceError("response_invalid", message);
  }
  // A copy: its place in the reply need not be one where such an array may begin.
  return new Elements(raw.slice().buffer) as NumberArray;
}

function textsOf(raw: Uint8Array, elements: number): string[] {
  const decoder = new TextDecoder();
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const texts: string[] = [];
  let at = 0;
  while (texts.length < elements && at + 4 <= raw.length) {
    const end = at + 4 + view.getUint32(at, true);
    if (end > raw.length) break;
    texts.push(decoder.decode(raw.subarray(at + 4, end)));
    at = end;
  }
  if (texts.length === elements && at === raw.length) return texts;
  const message = `${raw.length} bytes are not ${elements} texts.`;
  throw new MillraceError("response_invalid", message);
}

function isTexts(data: TensorValues): data is readonly string[] {
  return Array.isArray(data);
}
