/** What every format of weights gives: a list of tensors, and their values. */
import type { RandomAccessFile } from "./random-access-file.js";

/** A tensor as its file lists it. */
export interface TensorInfo {
  readonly name: string;
  /** In the words of safetensors, also where the file is PyTorch's: `F32`, `BF16`, `I64`, … */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Its elements times their size, however many bytes they take in the file. */
  readonly byteLength: number;
}

/** One file with tensors; it is closed when this is disposed of. */
export interface TensorFile extends AsyncDisposable {
  readonly file: RandomAccessFile;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The values in row-major order. Throws `tensor_missing`, `tensor_mismatch` or `weights_invalid`. */
  read(name: string): Promise<Float32Array>;
}
