/** Makes small encoder folders as Hugging Face would have them, with seeded random weights. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readEncoderConfig } from "#src/convert/encoder/config.js";
import { readModules } from "#src/convert/encoder/modules.js";
import { readPurpose } from "#src/convert/encoder/purpose.js";
import { encoderTensors } from "#src/convert/encoder/tensors.js";
import { Random } from "../sim/random.js";
import { float32Tensor, type HandMadeTensor, safetensorsOf } from "./safetensors-bytes.js";

export interface EncoderFolderOptions {
  /** Over the small default configuration of `modelType`. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly modelType?: keyof typeof smallConfigs;
  /** Other files, by their path in the folder; what is no text becomes JSON. */
  readonly files?: Readonly<Record<string, unknown>>;
  /** In front of each tensor's name. */
  readonly prefix?: string;
  /** May change a tensor, or take it out. */
  readonly change?: (tensors: Map<string, HandMadeTensor>) => void;
}

export const words: readonly string[] = [
  "[PAD]",
  "[UNK]",
  "[CLS]",
  "[SEP]",
  "[MASK]",
  ..."abcdefghijklmnopqrstuvwxyz.,'!?".split(""),
  ..."abcdefghijklmnopqrstuvwxyz".split("").map((letter) => `##${letter}`),
];

const bert = {
  model_type: "bert",
  architectures: ["BertModel"],
  vocab_size: words.length,
  hidden_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 48,
  max_position_embeddings: 40,
};

const smallConfigs = {
  bert,
  modernbert: {
    ...bert,
    model_type: "modernbert",
    architectures: ["ModernBertModel"],
    local_attention: 8,
    global_attn_every_n_layers: 2,
  },
};

/** A vocabulary of letters, in the way of old folders: no tokenizer.json. */
const vocabulary = words.join("\n");

export async function writeEncoderFolder(
  dir: string,
  options: EncoderFolderOptions = {},
): Promise<string> {
  const value = { ...smallConfigs[options.modelType ?? "bert"], ...options.config };
  const files = {
    "config.json": value,
    "vocab.txt": vocabulary,
    "tokenizer_config.json": { model_max_length: 64 },
    ...options.files,
  };
  for (const [path, content] of Object.entries(files)) await writeInto(dir, path, content);
  await writeInto(dir, "model.safetensors", await weightsOf(dir, value, options));
  return dir;
}

async function weightsOf(
  dir: string,
  value: object,
  { prefix = "", change }: EncoderFolderOptions,
): Promise<Buffer> {
  const tensors = new Map<string, HandMadeTensor>();
  const random = new Random(3);
  for (const { name, shape } of await tensorsOf(dir, value)) {
    const count = shape.reduce((product, size) => product * size, 1);
    const mean = /norm\.weight$/i.test(name) ? 1 : 0;
    const values = Array.from({ length: count }, () => mean + 0.6 * (random.next() - 0.5));
    tensors.set(`${prefix}${name}`, float32Tensor(shape, values));
  }
  change?.(tensors);
  return safetensorsOf(Object.fromEntries(tensors));
}

/** modules.json. */
export function moduleList(...types: readonly (readonly [type: string, path: string])[]) {
  return types.map(([type, path], idx) => ({
    idx,
    name: String(idx),
    path,
    type: `sentence_transformers.models.${type}`,
  }));
}

/** None where the folder is one that convert refuses: then none are looked at. */
async function tensorsOf(dir: string, value: object) {
  try {
    const config = readEncoderConfig(value);
    return encoderTensors(config, await readPurpose(value, config, await readModules(dir)));
  } catch {
    return [];
  }
}

async function writeInto(dir: string, path: string, content: unknown): Promise<void> {
  await mkdir(join(dir, path, ".."), { recursive: true });
  const isBytes = typeof content === "string" || content instanceof Uint8Array;
  await writeFile(join(dir, path), isBytes ? content : JSON.stringify(content));
}
