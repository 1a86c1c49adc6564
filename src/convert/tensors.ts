/** The tensors that a model must have, and whether the weights have them. */
import { MillraceError } from "millrace-client/wire";
import type { ReadTensor } from "./products.js";
import type { TensorInfo } from "./reading/tensor-file.js";
import type { Weights } from "./reading/weights.js";

export interface ExpectedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Other names of the same values: of tied tensors a file keeps one, and not always the same one. */
  readonly aliases: readonly string[];
  /** Made where the file lacks it. */
  readonly optional: boolean;
}

export function expectTensor(
  name: string,
  shape: readonly number[],
  rest: Partial<Pick<ExpectedTensor, "aliases" | "optional">> = {},
): ExpectedTensor {
  return { name, shape, aliases: [], optional: false, ...rest };
}

/** The tensor under its name or an alias; null where the file has neither. */
export function findTensor(
  { tensors }: Pick<Weights, "tensors">,
  expected: ExpectedTensor,
): TensorInfo | null {
  for (const name of [expected.name, ...expected.aliases]) {
    const found = tensors.get(name);
    if (found !== undefined) return found;
  }
  return null;
}

/** Throws `tensor_missing` or `tensor_mismatch`; tensors that the model does not need are left alone. */
export function requireTensors(
  weights: Pick<Weights, "tensors">,
  tensors: readonly ExpectedTensor[],
): void {
  for (const expected of tensors) {
    const entry = findTensor(weights, expected);
    if (entry === null) {
      if (expected.optional) continue;
      const message = `tensor ${expected.name} of shape ${shapeText(expected.shape)} is not in the file`;
      throw new MillraceError("tensor_missing", message);
    }
    const same =
      entry.shape.length === expected.shape.length &&
      entry.shape.every((length, axis) => length === expected.shape[axis]);
    if (same) continue;
    const shapes = `expected ${shapeText(expected.shape)}, found ${shapeText(entry.shape)}`;
    throw new MillraceError("tensor_mismatch", `tensor ${entry.name} has another shape: ${shapes}`);
  }
}

/** Reads tensors by their expected names, aliases followed; `make` makes those that a file may leave out. */
export function expectedReader(
  weights: Pick<Weights, "tensors" | "read">,
  tensors: readonly ExpectedTensor[],
  make: (missing: ExpectedTensor) => Float32Array,
): ReadTensor {
  const expected = new Map(tensors.map((each) => [each.name, each]));
  return async (name) => {
    const wanted = expected.get(name);
    if (wanted === undefined) throw new Error(`${name} is no tensor of this model`);
    const found = findTensor(weights, wanted);
    return found === null ? make(wanted) : finite(found.name, await weights.read(found.name));
  };
}

/** One value that is no number makes every result nonsense, or a score that no caller can read. */
function finite(name: string, values: Float32Array): Float32Array {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at === -1) return values;
  const message = `tensor ${name} has the value ${values[at]} at place ${at}; weights are finite float32 numbers`;
  throw new MillraceError("weights_invalid", message);
}

function shapeText(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}
