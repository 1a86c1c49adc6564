/**
 * What an item carries into a model and what its outcome carries out: small values as JSON, and tensors. Only the item's
 * task and its engine read it; whoever stands between them moves it, and counts its bytes.
 */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

export interface JsonObject {
  readonly [name: string]: JsonValue;
}

/** Of a value that was read from JSON. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Element types of a tensor, and the array that holds each. `float16` and `bfloat16` are kept as their bits. */
export interface TensorArrays {
  readonly bool: typeof Uint8Array;
  readonly uint8: typeof Uint8Array;
  readonly int8: typeof Int8Array;
  readonly uint16: typeof Uint16Array;
  readonly int16: typeof Int16Array;
  readonly float16: typeof Uint16Array;
  readonly bfloat16: typeof Uint16Array;
  readonly uint32: typeof Uint32Array;
  readonly int32: typeof Int32Array;
  readonly float32: typeof Float32Array;
  readonly uint64: typeof BigUint64Array;
  readonly int64: typeof BigInt64Array;
  readonly float64: typeof Float64Array;
}

export const tensorArrays: TensorArrays = {
  bool: Uint8Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  float32: Float32Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
  float64: Float64Array,
};

export type TensorType = keyof TensorArrays;
export type TensorData =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | BigUint64Array
  | BigInt64Array
  | Float64Array;

export interface Tensor {
  readonly type: TensorType;
  /** Row-major; the product is the number of elements. */
  readonly shape: readonly number[];
  readonly data: TensorData;
}

export interface Payload {
  readonly values: JsonObject;
  readonly tensors: Readonly<Record<string, Tensor>>;
}

/** A payload without tensors. */
export function valuesOnly(values: JsonObject): Payload {
  return { values, tensors: {} };
}

export function isTensorType(value: unknown): value is TensorType {
  return typeof value === "string" && Object.hasOwn(tensorArrays, value);
}

/** Elements of a tensor of this shape. */
export function elementsOf(shape: readonly number[]): number {
  let product = 1;
  for (const size of shape) product *= size;
  return product;
}

/** A list of integers, shape `[n]`; an array of them is taken as it is. */
export function int32List(values: readonly number[] | Int32Array): Tensor {
  const data = values instanceof Int32Array ? values : new Int32Array(values);
  return { type: "int32", shape: [data.length], data };
}

/** The same numbers as a list. A loop, because to iterate over a typed array costs ten times as much. */
export function listOf(data: Int32Array): number[] {
  const list: number[] = [];
  for (let at = 0; at < data.length; at += 1) list.push(data[at] ?? 0);
  return list;
}
