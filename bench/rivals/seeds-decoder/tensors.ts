/** What ONNX Runtime's Node binding takes and gives, as the seeds have it. */
import { type InferenceSession, Tensor } from "onnxruntime-node";

export type Fetches = InferenceSession.OnnxValueMapType;

export function f32(data: Float32Array, shape: readonly number[]): Tensor {
  return new Tensor("float32", data, shape);
}

export function i32(data: Int32Array, shape: readonly number[]): Tensor {
  return new Tensor("int32", data, shape);
}

export function i64(values: readonly number[]): Tensor {
  const data = BigInt64Array.from(values, (value) => BigInt(value));
  return new Tensor("int64", data, [values.length]);
}

export function floatsOf(fetches: Fetches, name: string): Float32Array {
  const data = fetches[name]?.data;
  if (data instanceof Float32Array) return data;
  throw new Error(`the graph's output ${name} is not float32`);
}

export function intsOf(fetches: Fetches, name: string): Int32Array {
  const data = fetches[name]?.data;
  if (data instanceof Int32Array) return data;
  throw new Error(`the graph's output ${name} is not int32`);
}
