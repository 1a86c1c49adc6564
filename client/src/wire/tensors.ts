/** Named tensors: what models that take and give numbers as they are say of them. */

/** Element types, in the words of the Open Inference Protocol. `BYTES`: texts, one in each element. */
export const tensorDatatypes = [
  "BOOL",
  "UINT8",
  "UINT16",
  "UINT32",
  "UINT64",
  "INT8",
  "INT16",
  "INT32",
  "INT64",
  "FP16",
  "FP32",
  "FP64",
  "BF16",
  "BYTES",
] as const;

export type TensorDatatype = (typeof tensorDatatypes)[number];

/** What a model says of one of its inputs or outputs. */
export interface ModelTensor {
  readonly name: string;
  readonly datatype: TensorDatatype;
  /** -1: any size. */
  readonly shape: readonly number[];
}

/** 64-bit integers that a double cannot hold may be sent as their digits, in a string; they come as numbers. */
export type TensorElement = number | boolean | string;

/** Flat in row-major order, or nested as the shape says; a scalar stands alone. */
export type TensorContent = TensorElement | readonly TensorContent[];

/** Hard bounds that no option can raise. */
export const tensorLimits = {
  /** Inputs, or outputs, of one model. */
  tensorsMax: 2_048,
  dimensionsMax: 16,
  nameCharactersMax: 256,
} as const;
