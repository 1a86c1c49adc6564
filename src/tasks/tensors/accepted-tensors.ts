/** Holds a request's tensors to what the model takes; every mistake is told with the tensor's name. */
import { MillraceError } from "millrace-client/wire";
import type { DeclaredTensor } from "../../models/programs/manifest-tensors.js";
import { didYouMean } from "../../near-miss.js";
import { readTensorJson, type TensorJson, wrong } from "../../work/tensor-json.js";
import { type NamedTensor, shapeText } from "../../work/tensors.js";
import { type GivenTensor, paramOf, type TensorsInput } from "./fields.js";

/** In the order of the model's inputs; null: a pause. @throws MillraceError `tensor_invalid`, `bad_encoding` */
export function* acceptedTensors(
  input: TensorsInput,
  entries: readonly DeclaredTensor[],
): Generator<NamedTensor | null> {
  const given = byName(input, entries);
  for (const entry of entries) {
    const found = given.get(entry.name);
    if (found === undefined) {
      const message = `tensor ${JSON.stringify(entry.name)} is missing`;
      throw new MillraceError("tensor_invalid", message, { param: paramOf(entry.name) });
    }
    yield yield* checked(found, entry);
  }
}

function byName(input: TensorsInput, entries: readonly DeclaredTensor[]): Map<string, GivenTensor> {
  const names = new Set(entries.map(({ name }) => name));
  const given = new Map<string, GivenTensor>();
  for (const each of input) {
    const of = { name: each.name, param: paramOf(each.name) };
    if (given.has(each.name)) throw wrong(of, "it is there twice");
    if (!names.has(each.name)) {
      const some = [...names].slice(0, 8).join(", ");
      const near = didYouMean(each.name.slice(0, 256), [...names].slice(0, 64));
      throw wrong(of, `the model has no such input${near}; it has: ${some}`);
    }
    given.set(each.name, each);
  }
  return given;
}

function* checked(given: GivenTensor, entry: DeclaredTensor): Generator<null, NamedTensor> {
  const of = { name: given.name, param: paramOf(given.name) };
  const datatype = "tensor" in given ? given.tensor.datatype : given.json.datatype;
  if (datatype !== undefined && datatype !== entry.datatype) {
    throw wrong(of, `it is ${datatype}, the model takes ${entry.datatype}`);
  }
  const tensor =
    "tensor" in given
      ? given.tensor
      : yield* read({ ...of, ...given.json, shape: given.json.shape, datatype: entry.datatype });
  if (!fits(tensor.shape, entry)) {
    const wanted = entry.shape?.map((axis) => (typeof axis === "number" ? axis : -1)) ?? [];
    throw wrong(
      of,
      `its shape is ${shapeText(tensor.shape)}, the model takes ${shapeText(wanted)}`,
    );
  }
  // ONNX Runtime's binding would cut the text there.
  if (tensor.datatype === "BYTES" && tensor.data.some((byte: number | bigint) => byte === 0)) {
    throw wrong(of, "it holds a null character, which texts of a model cannot");
  }
  return tensor;
}

function* read(json: TensorJson): Generator<null, NamedTensor> {
  const steps = readTensorJson(json);
  for (;;) {
    const next = steps.next();
    if (next.done === true) return next.value;
    yield null;
  }
}

/** Whether a tensor of this shape is one of the model's input or output. */
export function fits(shape: readonly number[], entry: DeclaredTensor): boolean {
  if (entry.shape === null) return true;
  if (shape.length !== entry.shape.length) return false;
  return entry.shape.every((axis, at) => typeof axis === "string" || axis === shape[at]);
}
