/** Small translation repositories as they are published: SentencePiece models, vocab.json, and no tokenizer.json. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SafetensorsFile } from "#src/convert/reading/safetensors.js";
import { type MarianFolderOptions, writeMarianFolder } from "./marian-folder.js";
import { sentencePieceModels } from "./sentencepiece-models.js";
import { legacyTorchBytes, statePickle, tensorPickle, torchBytes } from "./torch-bytes.js";

export interface MarianRepositoryOptions extends MarianFolderOptions {
  /** Over a vocabulary that has what the models need. */
  readonly vocabulary?: unknown;
  readonly targetVocabulary?: unknown;
  readonly tokenizerConfig?: Readonly<Record<string, unknown>>;
  readonly source?: Buffer;
  readonly target?: Buffer;
}

export const repositoryVocabulary: Readonly<Record<string, number>> = {
  "</s>": 0,
  "<unk>": 1,
  "▁a": 2,
  "▁": 3,
  a: 4,
  b: 5,
  ".": 6,
  世界: 7,
  xy: 8,
  ">>cmn<<": 9,
  "<s>": 10,
  "<pad>": 11,
};

const config = {
  vocab_size: 12,
  pad_token_id: 11,
  decoder_start_token_id: 11,
  bad_words_ids: [[11]],
};

export async function writeMarianRepository(
  dir: string,
  options: MarianRepositoryOptions = {},
): Promise<string> {
  await writeMarianFolder(dir, { ...options, config: { ...config, ...options.config } });
  await rm(join(dir, "tokenizer.json"));
  await rm(join(dir, "target_tokenizer.json"), { force: true });
  const plain = sentencePieceModels["plain"] ?? "";
  await writeFile(join(dir, "source.spm"), options.source ?? plain);
  await writeFile(join(dir, "target.spm"), options.target ?? plain);
  await writeJson(dir, "vocab.json", options.vocabulary ?? repositoryVocabulary);
  if (options.targetVocabulary !== undefined) {
    await writeJson(dir, "target_vocab.json", options.targetVocabulary);
  }
  await writeJson(dir, "tokenizer_config.json", options.tokenizerConfig ?? {});
  return dir;
}

async function writeJson(dir: string, name: string, value: unknown): Promise<void> {
  await writeFile(join(dir, name), JSON.stringify(value));
}

/** The same weights as torch.save writes them; each name of `aliases` is one more view of the same storage. */
export async function useTorchWeights(
  dir: string,
  aliases: Readonly<Record<string, string>> = {},
  format: "zip" | "legacy" = "zip",
): Promise<void> {
  const path = join(dir, "model.safetensors");
  const bytes = await readFile(path);
  const tensors: Record<string, Buffer> = {};
  const storages: Record<string, Uint8Array> = {};
  await using file = await SafetensorsFile.open(path);
  for (const { name, shape, dtype, byteOffset, byteLength } of file.tensors.values()) {
    const key = String(Object.keys(storages).length);
    storages[key] = bytes.subarray(byteOffset, byteOffset + byteLength);
    const type = { F32: "FloatStorage", F16: "HalfStorage", BF16: "BFloat16Storage" }[dtype] ?? "";
    const elements = shape.reduce((product, size) => product * size, 1);
    const strides = shape.map((_, axis) =>
      shape.slice(axis + 1).reduce((product, size) => product * size, 1),
    );
    const tensor = tensorPickle({ type, key, elements, shape, strides });
    tensors[name] = tensor;
    for (const [alias, of] of Object.entries(aliases)) {
      if (of === name) tensors[alias] = tensor;
    }
  }
  const data = statePickle(tensors);
  const whole = format === "zip" ? torchBytes(data, storages) : legacyTorchBytes(data, storages);
  await writeFile(join(dir, "pytorch_model.bin"), whole);
  await rm(path);
}
