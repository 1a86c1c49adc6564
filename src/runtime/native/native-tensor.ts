/** Arrays as the runtime sees them: those that it reads and writes in place, and copies of those that it made itself. */
import { type TensorDatatype, tensorLimits } from "millrace-client/wire";
import { onnxElementTypes } from "../../models/onnx/element-types.js";
import { elementsOf, type TensorData, tensorArrays } from "../../work/payload.js";
import { isAxis, type TensorValue, tensorTypes } from "../../work/tensors.js";
import { environment } from "./native-environment.js";
import { copyTexts, NativeTexts } from "./native-texts.js";
import { bytesAt, check, type Handle, type Out, ortApi, outOf } from "./ort-api.js";

/** What a tensor is made over again and again: see binding.ts. */
export type NativeData = Float32Array | Int32Array | BigInt64Array;

export function arrayDatatype(data: NativeData): TensorDatatype {
  if (data instanceof Float32Array) return "FP32";
  return data instanceof Int32Array ? "INT32" : "INT64";
}

/** Array and shape as the runtime sees them. `data` may be changed at any time, and must not be moved or given up. */
export class NativeTensor {
  readonly data: TensorData;
  readonly handle: Handle;

  /** Of any type but texts. Throws where the array is shorter than the shape says, and where that is no shape. */
  constructor({ data, shape, datatype }: TensorValue) {
    this.data = data;
    const dims = shapeScratch(shape);
    this.handle = outOf((out: Out<Handle>) =>
      ortApi().CreateTensorWithDataAsOrtValue(
        environment().memory,
        data,
        data.byteLength,
        dims,
        shape.length,
        onnxElementTypes[datatype],
        out,
      ),
    );
  }

  /** Gives back what the runtime keeps of it; the array is its owner's. */
  release(): void {
    ortApi().ReleaseValue(this.handle);
  }
}

/** For one run: what is no array is copied. To be released. Throws as `NativeTensor` does. */
export function fedTensor(value: TensorValue): NativeTensor | NativeTexts {
  if (value.datatype !== "BYTES") return new NativeTensor(value);
  return new NativeTexts(value, shapeScratch(value.shape));
}

const rankMax = tensorLimits.dimensionsMax;
/** Low and high halves of 64-bit numbers: every machine that ONNX Runtime runs on has the low one first. */
const shapeHalves = new Int32Array(new ArrayBuffer(2 * 4 * rankMax));

function shapeScratch(shape: readonly number[]): Int32Array {
  if (shape.length > rankMax) throw new Error(`a tensor of ${shape.length} dimensions`);
  const odd = shape.find((size): boolean => !isAxis(size));
  if (odd !== undefined) throw new Error(`a tensor with a dimension of ${odd}`);
  for (const [place, size] of shape.entries()) shapeHalves[2 * place] = size;
  return shapeHalves;
}

/** Copies of what a run made. The originals are given back, all of them, also where one cannot be read: then it throws. */
export function takeMade(values: readonly Handle[]): TensorValue[] {
  const left = new Set(values);
  const give = (value: Handle): void => {
    left.delete(value);
    ortApi().ReleaseValue(value);
  };
  try {
    return values.map((value) => {
      const copy = copyOf(value);
      give(value);
      return copy;
    });
  } finally {
    for (const value of left) give(value);
  }
}

function copyOf(value: Handle): TensorValue {
  const api = ortApi();
  const { datatype, shape } = headOf(value);
  if (datatype === null) throw new Error("an output has a type that nobody reads");
  const length = elementsOf(shape);
  if (datatype === "BYTES") return { datatype, shape, ...copyTexts(value, length) };
  const Elements = tensorArrays[tensorTypes[datatype]];
  // An empty one is nowhere.
  if (length === 0) return { datatype, shape, data: new Elements(0) };
  const address = outOf((out: Out<Handle>) => api.GetTensorMutableData(value, out));
  const bytes = bytesAt(address, length * Elements.BYTES_PER_ELEMENT);
  return { datatype, shape, data: new Elements(bytes) };
}

function headOf(value: Handle): Pick<TensorValue, "shape"> & { datatype: TensorDatatype | null } {
  const info = outOf((out: Out<Handle>) => ortApi().GetTensorTypeAndShape(value, out));
  try {
    return { datatype: elementTypeOf(info), shape: dimensionsOf(info) };
  } finally {
    ortApi().ReleaseTensorTypeAndShapeInfo(info);
  }
}

/** Of what the runtime tells about a tensor; -1 where a size is free. */
export function dimensionsOf(info: Handle): number[] {
  const api = ortApi();
  const rank = Number(outOf((out: Out<number>) => api.GetDimensionsCount(info, out)));
  const dims = new BigInt64Array(Math.max(1, rank));
  check(api.GetDimensions(info, dims, rank));
  return [...dims.subarray(0, rank)].map(Number);
}

const datatypes = Object.keys(onnxElementTypes) as TensorDatatype[];

/** Of what the runtime tells about a tensor; null where nobody reads such ones. */
export function elementTypeOf(info: Handle): TensorDatatype | null {
  const number = outOf((out: Out<number>) => ortApi().GetTensorElementType(info, out));
  return datatypes.find((datatype) => onnxElementTypes[datatype] === number) ?? null;
}
