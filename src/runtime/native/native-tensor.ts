/** Arrays as the runtime sees them: those that it reads and writes in place, and copies of those that it made itself. */
import { onnxElementTypes } from "../../models/onnx/element-types.js";
import { elementsOf } from "../../work/payload.js";
import { isAxis } from "../../work/tensors.js";
import { environment } from "./native-environment.js";
import { bytesAt, check, type Handle, type Out, ortApi, outOf } from "./ort-api.js";

export type NativeData = Float32Array | Int32Array | BigInt64Array;
export type NativeType = "float32" | "int32" | "int64";

const arrays = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array } as const;

const typeNumbers: Readonly<Record<NativeType, number>> = {
  float32: onnxElementTypes.FP32,
  int32: onnxElementTypes.INT32,
  int64: onnxElementTypes.INT64,
};

/** Array and shape as the runtime sees them. `data` may be changed at any time, and must not be moved or given up. */
export class NativeTensor {
  readonly data: NativeData;
  readonly handle: Handle;

  /** Throws where the array is shorter than the shape says, and where that is no shape. */
  constructor(data: NativeData, shape: readonly number[]) {
    this.data = data;
    const dims = shapeScratch(shape);
    this.handle = outOf((out: Out<Handle>) =>
      ortApi().CreateTensorWithDataAsOrtValue(
        environment().memory,
        data,
        data.byteLength,
        dims,
        shape.length,
        typeNumbers[typeOf(data)],
        out,
      ),
    );
  }

  /** Gives back what the runtime keeps of it; the array is its owner's. */
  release(): void {
    ortApi().ReleaseValue(this.handle);
  }
}

function typeOf(data: NativeData): NativeType {
  if (data instanceof Float32Array) return "float32";
  return data instanceof Int32Array ? "int32" : "int64";
}

const rankMax = 8;
/** Low and high halves of 64-bit numbers: every machine that ONNX Runtime runs on has the low one first. */
const shapeHalves = new Int32Array(new ArrayBuffer(2 * 4 * rankMax));

function shapeScratch(shape: readonly number[]): Int32Array {
  if (shape.length > rankMax) throw new Error(`a tensor of ${shape.length} dimensions`);
  const odd = shape.find((size): boolean => !isAxis(size));
  if (odd !== undefined) throw new Error(`a tensor with a dimension of ${odd}`);
  for (const [place, size] of shape.entries()) shapeHalves[2 * place] = size;
  return shapeHalves;
}

/** What a run made by itself, where the caller gave no memory. */
export interface MadeTensor {
  readonly data: NativeData;
  readonly dims: readonly number[];
}

/** Copies of what a run made. The originals are given back, all of them, also where one cannot be read: then it throws. */
export function takeMade(values: readonly Handle[]): MadeTensor[] {
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

function copyOf(value: Handle): MadeTensor {
  const api = ortApi();
  const { type, dims } = headOf(value);
  if (type === undefined) throw new Error("an output has a type that nobody reads");
  const Elements = arrays[type];
  const length = elementsOf(dims);
  // An empty one is nowhere.
  if (length === 0) return { data: new Elements(0), dims };
  const address = outOf((out: Out<Handle>) => api.GetTensorMutableData(value, out));
  const bytes = bytesAt(address, length * Elements.BYTES_PER_ELEMENT);
  return { data: new Elements(bytes), dims };
}

function headOf(value: Handle): { type: NativeType | undefined; dims: readonly number[] } {
  const api = ortApi();
  const info = outOf((out: Out<Handle>) => api.GetTensorTypeAndShape(value, out));
  try {
    const rank = Number(outOf((out: Out<number>) => api.GetDimensionsCount(info, out)));
    const dims = new BigInt64Array(Math.max(1, rank));
    check(api.GetDimensions(info, dims, rank));
    return { type: elementTypeOf(info), dims: [...dims.subarray(0, rank)].map(Number) };
  } finally {
    api.ReleaseTensorTypeAndShapeInfo(info);
  }
}

/** Of what the runtime tells about a tensor; undefined where it is none of `NativeType`. */
export function elementTypeOf(info: Handle): NativeType | undefined {
  const number = outOf((out: Out<number>) => ortApi().GetTensorElementType(info, out));
  const entry = Object.entries(typeNumbers).find(([, value]) => value === number);
  return entry?.[0] as NativeType | undefined;
}
