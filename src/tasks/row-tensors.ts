/** For tasks that can be told in tensors: rows of texts or files that come, rows of texts and numbers that go. */
import type { ModelTensor } from "millrace-client/wire";
import { didYouMean } from "../near-miss.js";
import { elementsOf, type Payload } from "../work/payload.js";
import { wrong } from "../work/tensor-json.js";
import { type NamedTensor, shapeText, textsOf, textTensor } from "../work/tensors.js";

export const textRows: ModelTensor = { name: "text", datatype: "BYTES", shape: [-1] };

/** By name. @throws MillraceError `tensor_invalid` where one is there twice, or is none of these. */
export function namedRows<Name extends string>(
  inputs: readonly NamedTensor[],
  names: readonly Name[],
): Partial<Readonly<Record<Name, NamedTensor>>> {
  const found: Partial<Record<Name, NamedTensor>> = {};
  for (const tensor of inputs) {
    const of = { name: tensor.name, param: paramOf(tensor.name) };
    const known = names.find((name) => name === tensor.name);
    if (known === undefined) {
      const near = didYouMean(tensor.name.slice(0, 256), names);
      throw wrong(of, `the model has no such input${near}; it has: ${names.join(", ")}`);
    }
    if (found[known] !== undefined) throw wrong(of, "it is there twice");
    found[known] = tensor;
  }
  return found;
}

/** The texts of a tensor of rows. @throws MillraceError `tensor_invalid` */
export function textsOfRows(tensor: NamedTensor | undefined, name: string): readonly string[] {
  return textsOf(checkRows(tensor, name));
}

/** The files of a tensor of rows, each a part of its data. @throws MillraceError `tensor_invalid` */
export function filesOfRows(tensor: NamedTensor | undefined, name: string): readonly Uint8Array[] {
  const { data, lengths = new Int32Array() } = checkRows(tensor, name);
  let from = 0;
  return Array.from(lengths, (length) => {
    from += length;
    return new Uint8Array(data.buffer, data.byteOffset + from - length, length);
  });
}

function checkRows(tensor: NamedTensor | undefined, name: string): NamedTensor {
  const of = { name, param: paramOf(name) };
  if (tensor === undefined) throw wrong(of, "it is missing");
  const { datatype, shape } = tensor;
  if (datatype !== "BYTES") throw wrong(of, `it is ${datatype}, the model takes BYTES`);
  // Clients that batch have an axis more, of one.
  if (shape.length === 0 || shape.slice(1).some((size) => size !== 1)) {
    throw wrong(of, `its shape is ${shapeText(shape)}, the model takes [-1]`);
  }
  if (elementsOf(shape) === 0) throw wrong(of, "it has no rows");
  return tensor;
}

function paramOf(name: string): string {
  return `inputs.${name.slice(0, 64)}`;
}

/** One number of each result. */
export function numberRows(results: readonly Payload[], name: string): NamedTensor {
  const data = Float32Array.from(results, ({ values }) => Number(values[name]));
  return { name, datatype: "FP32", shape: [results.length], data };
}

/** One text of each result. */
export function textRowsOf(texts: readonly string[], name: string): NamedTensor {
  return textTensor(texts, { name, shape: [texts.length] });
}
