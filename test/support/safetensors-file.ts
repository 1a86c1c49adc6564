/** Safetensors files of any size: the values of a tensor are made when it is written, and forgotten. */
import { open } from "node:fs/promises";
import { type HandMadeTensor, safetensorsHead } from "./safetensors-bytes.js";

interface MadeTensor {
  readonly shape: readonly number[];
  readonly make: () => Float32Array;
}

export type SourceTensor = HandMadeTensor | MadeTensor;

/** Made tensors are float32. */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, SourceTensor>,
): Promise<void> {
  const entries = [...tensors].map(([name, tensor]) => {
    const { shape } = tensor;
    return "make" in tensor
      ? { name, dtype: "F32", shape, byteLength: 4 * countOf(shape) }
      : { name, dtype: tensor.dtype, shape, byteLength: tensor.bytes.byteLength };
  });
  await using file = await open(path, "w");
  await file.writeFile(safetensorsHead(entries));
  for (const tensor of tensors.values()) {
    const bytes = "make" in tensor ? new Uint8Array(tensor.make().buffer) : tensor.bytes;
    await file.writeFile(bytes);
  }
}

export function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
