/** Makes small Marian folders as Hugging Face would have them, with seeded random weights. */
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toFloat16 } from "#src/convert/embeddings.js";
import { readMarianConfig } from "#src/convert/marian/config.js";
import { expectedTensors } from "#src/convert/marian/tensors.js";
import { Random } from "../sim/random.js";
import { bundledModelDir } from "./engine.js";
import { type HandMadeTensor, safetensorsOf } from "./safetensors-bytes.js";

export interface MarianFolderOptions {
  /** Over the small default configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly dtype?: "F32" | "F16" | "BF16";
  /** Names of tensors that the file shall lack. */
  readonly leaveOut?: readonly string[];
  /** May change a tensor's values in place. */
  readonly change?: (name: string, values: Float32Array) => void;
  readonly seed?: number;
}

/** Two layers, 16 wide; the vocabulary is that of the bundled model's tokenizer, which it borrows. */
const smallConfig = {
  model_type: "marian",
  vocab_size: 6000,
  d_model: 16,
  encoder_layers: 2,
  decoder_layers: 2,
  encoder_attention_heads: 2,
  decoder_attention_heads: 4,
  encoder_ffn_dim: 24,
  decoder_ffn_dim: 20,
  activation_function: "swish",
  max_position_embeddings: 48,
  scale_embedding: true,
  eos_token_id: 0,
  unk_token_id: 1,
  pad_token_id: 2,
  decoder_start_token_id: 2,
  forced_eos_token_id: 0,
  bad_words_ids: [[2]],
  max_length: 12,
  num_beams: 2,
};

export async function writeMarianFolder(
  dir: string,
  options: MarianFolderOptions = {},
): Promise<string> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, "config.json"), JSON.stringify({ ...smallConfig, ...options.config }));
  await copyFile(join(bundledModelDir, "tokenizer.json"), join(dir, "tokenizer.json"));
  const config = await readMarianConfig(dir);
  if (config.vocabularySize !== config.decoderVocabularySize) {
    await writeTargetTokenizer(dir, config.decoderVocabularySize);
  }
  const random = new Random(options.seed ?? 1);
  const tensors: Record<string, HandMadeTensor> = {};
  for (const { name, shape } of expectedTensors(config)) {
    const count = shape.reduce((product, size) => product * size, 1);
    const norm = name.endsWith("layer_norm.weight");
    const values = Float32Array.from({ length: count }, () =>
      norm ? 1 + 0.1 * noise(random) : 0.3 * noise(random),
    );
    options.change?.(name, values);
    if (options.leaveOut?.includes(name) !== true) {
      tensors[name] = { dtype: options.dtype ?? "F32", shape, bytes: bytesOf(values, options) };
    }
  }
  await writeFile(join(dir, "model.safetensors"), safetensorsOf(tensors));
  return dir;
}

/** The first pieces of the bundled tokenizer, as a vocabulary of its own for outputs. */
export async function writeTargetTokenizer(dir: string, pieces: number): Promise<void> {
  const bundled = JSON.parse(await readFile(join(bundledModelDir, "tokenizer.json"), "utf8")) as {
    readonly model: { readonly vocab: readonly unknown[] };
  };
  const model = { ...bundled.model, vocab: bundled.model.vocab.slice(0, pieces) };
  await writeFile(join(dir, "target_tokenizer.json"), JSON.stringify({ ...bundled, model }));
}

/** About normal. */
function noise(random: Random): number {
  return 1.4 * (random.next() + random.next() + random.next() + random.next() - 2);
}

function bytesOf(values: Float32Array, { dtype = "F32" }: MarianFolderOptions): Uint8Array {
  switch (dtype) {
    case "F16":
      return new Uint8Array(toFloat16(values).buffer);
    case "BF16": {
      const words = new Uint32Array(values.buffer);
      return new Uint8Array(Uint16Array.from(words, (word) => word >>> 16).buffer);
    }
    case "F32":
      return new Uint8Array(values.buffer);
  }
}
