/** Vectors in a result, for fronts that write them or reckon with them. */
import { float32Text } from "../work/float-text.js";
import type { Payload, Tensor } from "../work/payload.js";

/** A list of numbers, or where there is one for each token a list of those; in steps of a token. */
export function* vectorSteps(result: Payload): Generator<undefined, string> {
  const tensor = vectorOf(result);
  const data = floatsOf(tensor);
  if (tensor.shape.length === 1) return listOf(data);
  const width = tensor.shape.at(-1) ?? 0;
  const rows: string[] = [];
  for (let row = 0; row < (tensor.shape[0] ?? 0); row += 1) {
    if (row > 0) yield;
    rows.push(listOf(data.subarray(row * width, (row + 1) * width)));
  }
  return `[${rows.join(",")}]`;
}

/** The same at once, where there is one vector. */
export function vectorText(result: Payload): string {
  const steps = vectorSteps(result);
  for (;;) {
    const next = steps.next();
    if (next.done === true) return next.value;
  }
}

export function vectorFloats(result: Payload): Float32Array {
  return floatsOf(vectorOf(result));
}

/** Of the first and each other one, as JSON; 0 where one of both has no direction. */
export function similaritiesText(vectors: readonly Float32Array[]): string {
  const [first = new Float32Array(), ...others] = vectors;
  return listOf(Float32Array.from(others, (other) => cosine(first, other)));
}

function vectorOf({ tensors }: Payload): Tensor {
  const tensor = tensors["embedding"];
  if (tensor === undefined) throw new Error("a result without its vector");
  return tensor;
}

function floatsOf({ data }: Tensor): Float32Array {
  if (data instanceof Float32Array) return data;
  throw new Error("a vector that is not of float32 numbers");
}

function listOf(data: Float32Array): string {
  return `[${Array.from(data, float32Text).join(",")}]`;
}

function cosine(one: Float32Array, other: Float32Array): number {
  let product = 0;
  let [left, right] = [0, 0];
  for (let at = 0; at < one.length; at += 1) {
    const [x = 0, y = 0] = [one[at], other[at]];
    product += x * y;
    left += x * x;
    right += y * y;
  }
  return left === 0 || right === 0 ? 0 : product / Math.sqrt(left * right);
}
