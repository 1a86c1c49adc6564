/** What a graph takes and gives, as its session tells it. */
import type { TensorDatatype } from "millrace-client/wire";
import { tensorTypes } from "../../work/tensors.js";
import { takeText } from "./native-environment.js";
import { dimensionsOf, elementTypeOf } from "./native-tensor.js";
import { check, type Handle, type Out, ortApi, outOf, textAt } from "./ort-api.js";

export interface SessionValue {
  readonly name: string;
  /** Null: it is no tensor, or one of a type that nobody reads. */
  readonly datatype: TensorDatatype | null;
  /** A text is a size that is free, by its name; an empty one has none. */
  readonly shape: readonly (number | string)[];
}

/** In the graph's order. */
export function sessionValues(session: Handle, kind: "Input" | "Output"): SessionValue[] {
  const api = ortApi();
  const count = outOf((out: Out<number>) => api[`SessionGet${kind}Count`](session, out));
  return Array.from({ length: Number(count) }, (_, index) => {
    const name = takeText((allocator, out) =>
      api[`SessionGet${kind}Name`](session, index, allocator, out),
    );
    const info = outOf((out: Out<Handle>) => api[`SessionGet${kind}TypeInfo`](session, index, out));
    try {
      const tensor: Out<Handle> = [null];
      check(api.CastTypeInfoToTensorInfo(info, tensor));
      const [head] = tensor;
      if (head === null) return { name, datatype: null, shape: [] };
      return { name, datatype: elementTypeOf(head), shape: declaredShape(head) };
    } finally {
      api.ReleaseTypeInfo(info);
    }
  });
}

function declaredShape(info: Handle): (number | string)[] {
  const sizes = dimensionsOf(info);
  const names = new BigUint64Array(Math.max(1, sizes.length));
  check(ortApi().GetSymbolicDimensions(info, names, sizes.length));
  return sizes.map((size, at) => (size >= 0 ? size : textAt(names[at] ?? 0n)));
}

/** `float32`, for messages. */
export function typeName({ datatype }: Pick<SessionValue, "datatype">): string {
  if (datatype === null) return "no tensor";
  return datatype === "BYTES" ? "string" : tensorTypes[datatype];
}
