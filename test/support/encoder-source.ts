/**
 * Makes encoder folders as Hugging Face would have them, with seeded random weights: small ones by default; those of the
 * benchmarks are as large as real ones, so weights are made while they are written.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readEncoderConfig } from "#src/convert/encoder/config.js";
import { readModules } from "#src/convert/encoder/modules.js";
import { readPurpose } from "#src/convert/encoder/purpose.js";
import { encoderTensors } from "#src/convert/encoder/tensors.js";
import { Random } from "../sim/random.js";
import { countOf, type SourceTensor, writeSafetensors } from "./safetensors-file.js";

export interface EncoderSourceOptions {
  /** Over the small default configuration of `modelType`. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly modelType?: keyof typeof smallConfigs;
  /** Other files, by their path in the folder; what is no text becomes JSON. */
  readonly files?: Readonly<Record<string, unknown>>;
  /** In front of each tensor's name. */
  readonly prefix?: string;
  /** May change a tensor, or take it out. */
  readonly change?: (tensors: Map<string, SourceTensor>) => void;
  /** How far values are spread around their mean, from the least to the largest. */
  readonly spreadOf?: (name: string, shape: readonly number[]) => number;
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

export async function writeEncoderSource(
  dir: string,
  options: EncoderSourceOptions = {},
): Promise<string> {
  const value = { ...smallConfigs[options.modelType ?? "bert"], ...options.config };
  const files = {
    "config.json": value,
    "vocab.txt": vocabulary,
    "tokenizer_config.json": { model_max_length: 64 },
    ...options.files,
  };
  for (const [path, content] of Object.entries(files)) await writeInto(dir, path, content);
  await writeSafetensors(join(dir, "model.safetensors"), await weightsOf(dir, value, options));
  return dir;
}

const always = (spread: number) => () => spread;

async function weightsOf(
  dir: string,
  value: object,
  { prefix = "", change, spreadOf = always(0.6) }: EncoderSourceOptions,
): Promise<ReadonlyMap<string, SourceTensor>> {
  const tensors = new Map<string, SourceTensor>();
  for (const [index, { name, shape }] of (await tensorsOf(dir, value)).entries()) {
    const mean = /norm\.weight$/i.test(name) ? 1 : 0;
    const spread = spreadOf(name, shape);
    const make = (): Float32Array => {
      const random = new Random(index);
      return new Float32Array(countOf(shape)).map(() => mean + spread * (random.next() - 0.5));
    };
    tensors.set(`${prefix}${name}`, { shape, make });
  }
  change?.(tensors);
  return tensors;
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
