/** Makes safetensors files by hand, right ones and wrong ones. */

export interface HandMadeTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A whole file from a header in any state and the data after it. */
export function safetensorsBytes(header: string, data: Uint8Array): Buffer {
  const json = Buffer.from(header, "utf8");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.byteLength));
  return Buffer.concat([length, json, data]);
}

interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly byteLength: number;
}

/** The beginning of a valid file, which the tensors' bytes follow in this order. */
export function safetensorsHead(entries: readonly TensorEntry[]): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  for (const { name, dtype, shape, byteLength } of entries) {
    header[name] = { dtype, shape, data_offsets: [end, end + byteLength] };
    end += byteLength;
  }
  return safetensorsBytes(JSON.stringify(header), new Uint8Array());
}

/** A valid file. */
export function safetensorsOf(tensors: Readonly<Record<string, HandMadeTensor>>): Buffer {
  const entries = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    return { name, dtype, shape, byteLength: bytes.byteLength };
  });
  const data = Object.values(tensors).map(({ bytes }) => bytes);
  return Buffer.concat([safetensorsHead(entries), ...data]);
}

export function float32Tensor(shape: readonly number[], values: ArrayLike<number>): HandMadeTensor {
  return { dtype: "F32", shape, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}
