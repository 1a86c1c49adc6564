/** Rows for trials of speed of a graph that is somebody else's: what they say means nothing, if only the graph takes them. */
import {
  elementsOf,
  type Payload,
  type Tensor,
  type TensorData,
  tensorArrays,
} from "../../work/payload.js";
import {
  bytesOf,
  type NamedTensor,
  putTensor,
  tensorTypes,
  textTensor,
} from "../../work/tensors.js";
import type { DeclaredTensor, TensorsManifest } from "./manifest-tensors.js";

/** Of a size that has no number and none declared: a short text, a small picture. */
const openSize = 32;
/** Larger items would be a trial of their way to the pipeline. */
const itemBytesMax = 16 * 1024 * 1024;

/** One row each. Null where a shape is not known at all, or is too large. */
export function tensorsSampler(manifest: TensorsManifest): ((index: number) => Payload) | null {
  const { inputs, outputs } = manifest;
  const shapes = inputs.map((input) => shapeOf(input, manifest));
  if (shapes.some((shape) => shape === null)) return null;
  const list = (index: number): NamedTensor[] =>
    inputs.map((input, place) => filled(input, shapes[place] ?? [], index));
  const elements = shapes.reduce((sum, shape) => sum + elementsOf(shape ?? []), 0);
  if (!(elements <= itemBytesMax)) return null;
  if (list(0).reduce((sum, tensor) => sum + bytesOf(tensor), 0) > itemBytesMax) return null;
  return (index) => {
    const tensors: Record<string, Tensor> = {};
    for (const [place, tensor] of list(index).entries()) putTensor(tensors, place, tensor);
    return { values: { outputs: outputs.map((_, place) => place) }, tensors };
  };
}

function shapeOf(
  { shape }: DeclaredTensor,
  { batch, sizes }: Pick<TensorsManifest, "batch" | "sizes">,
): number[] | null {
  if (shape === null) return null;
  return shape.map((axis, at) => {
    if (batch === "free" && at === 0) return 1;
    if (typeof axis === "number") return axis;
    return (Object.hasOwn(sizes, axis) ? sizes[axis] : undefined) ?? openSize;
  });
}

/** Fractions from 0 to 1, integers of 0 and 1: every vocabulary has those. */
function filled(
  { name, datatype }: DeclaredTensor,
  shape: readonly number[],
  index: number,
): NamedTensor {
  const length = elementsOf(shape);
  const byteOf = (at: number): number => Math.imul(at + 1 + 7_919 * index, 2_654_435_761) >>> 24;
  if (datatype === "BYTES") {
    const texts = Array.from({ length }, (_, at) => (byteOf(at) < 128 ? "a" : "b"));
    return textTensor(texts, { name, shape });
  }
  const data: TensorData = new tensorArrays[tensorTypes[datatype]](length);
  for (let at = 0; at < length; at += 1) {
    const byte = byteOf(at);
    if (data instanceof BigInt64Array || data instanceof BigUint64Array)
      data[at] = BigInt(byte & 1);
    else if (datatype === "FP32" || datatype === "FP64") data[at] = byte / 256;
    // The bits of one half and a little more.
    else data[at] = datatype === "FP16" ? 0x3800 + byte : byte & 1;
  }
  return { name, datatype, shape, data };
}
