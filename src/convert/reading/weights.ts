/**
 * READ FIRST. The weights of a Hugging Face folder, whichever way they are stored: one seam for every family.
 *
 *   model.safetensors                   one file                       safetensors.ts
 *   model.safetensors.index.json        which shard has which tensor   shards.ts
 *   pytorch_model.bin                   a zip and a pickle in it       torch-file.ts
 *   pytorch_model.bin.index.json        likewise
 *
 * The first of these that is there is read, as transformers does.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { type HashProgress, hashHandles } from "../../models/file-hash.js";
import { SafetensorsFile } from "./safetensors.js";
import { openShards } from "./shards.js";
import type { TensorFile, TensorInfo } from "./tensor-file.js";
import { TorchFile } from "./torch-file.js";

/** Closes its files when it is disposed of. */
export class Weights implements AsyncDisposable {
  /** What was found in the folder: the file, or the index of the shards. */
  readonly fileName: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Of the file, or of all shards together. */
  readonly byteLength: number;
  readonly #files: readonly TensorFile[];
  readonly #fileOf: ReadonlyMap<string, TensorFile>;

  /** Where a tensor is in several files, the file that comes last has it: `openShards` refuses that before. */
  constructor(fileName: string, files: readonly TensorFile[]) {
    this.fileName = fileName;
    this.#files = files;
    this.byteLength = files.reduce((sum, { file }) => sum + file.byteLength, 0);
    this.#fileOf = new Map(
      files.flatMap((each) => [...each.tensors.keys()].map((name) => [name, each] as const)),
    );
    this.tensors = new Map(files.flatMap(({ tensors }) => [...tensors]));
  }

  /**
   * The values in row-major order; float16, bfloat16 and float64 become float32. Throws `tensor_missing`,
   * `tensor_mismatch` where they are no floats, `weights_invalid` where the file is damaged.
   */
  async read(name: string): Promise<Float32Array> {
    const file = this.#fileOf.get(name);
    if (file === undefined) {
      throw new MillraceError("tensor_missing", `tensor ${name} is not in ${this.fileName}`);
    }
    return await file.read(name);
  }

  /** SHA-256 in hexadecimal of the file, or of the shards one behind the other in the order of their names. */
  async sha256(onProgress?: HashProgress): Promise<string> {
    return await hashHandles(
      this.#files.map(({ file }) => file.handle),
      onProgress,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files) await file[Symbol.asyncDispose]();
  }
}

const formats: readonly {
  readonly fileName: string;
  readonly open: (path: string) => Promise<TensorFile>;
}[] = [
  { fileName: "model.safetensors", open: (path) => SafetensorsFile.open(path) },
  { fileName: "pytorch_model.bin", open: (path) => TorchFile.open(path) },
];

const indexSuffix = ".index.json";

const weightsFileNames: readonly string[] = formats.flatMap(({ fileName }) => [
  fileName,
  `${fileName}${indexSuffix}`,
]);

/**
 * Throws `model_folder_invalid` where the folder has no weights, one of their files cannot be read or the index
 * contradicts them; `weights_invalid` where a file is damaged or hostile.
 */
export async function openWeights(modelDir: string): Promise<Weights> {
  for (const { fileName, open } of formats) {
    if (existsSync(join(modelDir, fileName))) {
      return new Weights(fileName, [await open(join(modelDir, fileName))]);
    }
    const indexName = `${fileName}${indexSuffix}`;
    if (existsSync(join(modelDir, indexName))) {
      return new Weights(indexName, await openShards(join(modelDir, indexName), open));
    }
  }
  const [first, ...others] = weightsFileNames;
  const message = `${modelDir} has no weights: ${first} is missing, and so are ${others.join(", ")}`;
  throw new MillraceError("model_folder_invalid", message);
}
