/**
 * BERT folders with made weights, as Hugging Face has them: the shapes of models that people use, and numbers that mean
 * nothing. The same seed makes the same bytes.
 */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface EncoderShape {
  readonly name: string;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly feedForward: number;
}

export const miniLm: EncoderShape = {
  name: "MiniLM-L6",
  width: 384,
  layers: 6,
  heads: 12,
  feedForward: 1536,
};

export const bertBase: EncoderShape = {
  name: "BERT-base",
  width: 768,
  layers: 12,
  heads: 12,
  feedForward: 3072,
};

const vocabularySize = 30_522;
const positions = 512;
const special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] as const;

/** A folder that `millrace convert` reads: config.json, model.safetensors, vocab.txt. */
export async function writeMadeEncoder(dir: string, shape: EncoderShape): Promise<void> {
  await mkdir(dir, { recursive: true });
  const config = {
    model_type: "bert",
    architectures: ["BertModel"],
    vocab_size: vocabularySize,
    hidden_size: shape.width,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    intermediate_size: shape.feedForward,
    hidden_act: "gelu",
    max_position_embeddings: positions,
    type_vocab_size: 2,
    layer_norm_eps: 1e-12,
    pad_token_id: 0,
  };
  await writeFile(join(dir, "config.json"), JSON.stringify(config));
  await writeFile(join(dir, "vocab.txt"), vocabulary());
  await writeFile(join(dir, "tokenizer_config.json"), JSON.stringify({ model_max_length: 512 }));
  await writeWeights(join(dir, "model.safetensors"), tensorsOf(shape));
}

/** A word that is one token of the made vocabulary. */
export function madeWord(index: number): string {
  return `w${index.toString(36)}`;
}

/** Words that there are. */
export const madeWords: number = vocabularySize - special.length;

/** One token a line: `millrace convert` makes the tokenizer of it. */
function vocabulary(): string {
  const words = Array.from({ length: madeWords }, (_, index) => madeWord(index));
  return [...special, ...words].join("\n");
}

interface MadeTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Of a uniform distribution around 0; ones where it is null. */
  readonly deviation: number | null;
}

function tensorsOf({ width, layers, feedForward }: EncoderShape): MadeTensor[] {
  const weight = (name: string, shape: readonly number[]): MadeTensor => ({
    name,
    shape,
    // As wide as keeps the size of what flows through.
    deviation: 1 / Math.sqrt(shape.at(-1) ?? 1),
  });
  const linear = (name: string, [out, within]: readonly [number, number]): MadeTensor[] => [
    weight(`${name}.weight`, [out, within]),
    { name: `${name}.bias`, shape: [out], deviation: 0.02 },
  ];
  const norm = (name: string): MadeTensor[] => [
    { name: `${name}.weight`, shape: [width], deviation: null },
    { name: `${name}.bias`, shape: [width], deviation: 0.02 },
  ];
  const table = (name: string, rows: number): MadeTensor => ({
    name: `embeddings.${name}.weight`,
    shape: [rows, width],
    deviation: 0.05,
  });
  const tensors = [
    table("word_embeddings", vocabularySize),
    table("position_embeddings", positions),
    table("token_type_embeddings", 2),
    ...norm("embeddings.LayerNorm"),
  ];
  for (let layer = 0; layer < layers; layer += 1) {
    const base = `encoder.layer.${layer}`;
    for (const part of ["query", "key", "value"])
      tensors.push(...linear(`${base}.attention.self.${part}`, [width, width]));
    tensors.push(...linear(`${base}.attention.output.dense`, [width, width]));
    tensors.push(...norm(`${base}.attention.output.LayerNorm`));
    tensors.push(...linear(`${base}.intermediate.dense`, [feedForward, width]));
    tensors.push(...linear(`${base}.output.dense`, [width, feedForward]));
    tensors.push(...norm(`${base}.output.LayerNorm`));
  }
  return tensors;
}

async function writeWeights(path: string, tensors: readonly MadeTensor[]): Promise<void> {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { name, shape } of tensors) {
    const bytes = 4 * shape.reduce((product, size) => product * size, 1);
    header[name] = { dtype: "F32", shape, data_offsets: [end, end + bytes] };
    end += bytes;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.byteLength));
  const file = createWriteStream(path);
  file.write(length);
  file.write(json);
  const random = new UniformRandom(7);
  for (const { shape, deviation } of tensors) {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    const spread = (deviation ?? 0) * Math.sqrt(12);
    for (let at = 0; at < values.length; at += 1)
      values[at] = deviation === null ? 1 : (random.next() - 0.5) * spread;
    if (!file.write(new Uint8Array(values.buffer))) await once(file, "drain");
  }
  file.end();
  await once(file, "close");
}

/** Mulberry32: numbers in [0, 1), the same for the same seed. */
export class UniformRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
