/** The shapes of encoders that people use, as BERT folders with made weights: the numbers mean nothing, and are the same each time. */
import { writeEncoderSource } from "../../test/support/encoder-source.js";

export interface EncoderShape {
  readonly name: string;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly feedForward: number;
  /** With the special tokens. */
  readonly vocabulary: number;
}

const vocabulary = 30_522;

export const shapes: Readonly<Record<string, EncoderShape>> = {
  minilm: { name: "MiniLM-L6", width: 384, layers: 6, heads: 12, feedForward: 1536, vocabulary },
  "bert-base": {
    name: "BERT-base",
    width: 768,
    layers: 12,
    heads: 12,
    feedForward: 3072,
    vocabulary,
  },
  // Nobody's, for the tests.
  tiny: { name: "tiny", width: 32, layers: 2, heads: 2, feedForward: 64, vocabulary: 500 },
};

const special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] as const;

/** A folder that `millrace convert` reads. */
export async function writeShape(dir: string, shape: EncoderShape): Promise<void> {
  const words = Array.from({ length: madeWords(shape) }, (_, index) => madeWord(index));
  await writeEncoderSource(dir, {
    config: {
      vocab_size: shape.vocabulary,
      hidden_size: shape.width,
      num_hidden_layers: shape.layers,
      num_attention_heads: shape.heads,
      intermediate_size: shape.feedForward,
      max_position_embeddings: 512,
    },
    // One token a line: convert makes the tokenizer of it.
    files: {
      "vocab.txt": [...special, ...words].join("\n"),
      "tokenizer_config.json": { model_max_length: 512 },
    },
    spreadOf,
  });
}

/** As wide as keeps the size of what flows through. */
function spreadOf(name: string, shape: readonly number[]): number {
  if (/norm\.weight$/i.test(name)) return 0;
  const isProduct = shape.length === 2 && !name.startsWith("embeddings.");
  const deviation = isProduct ? 1 / Math.sqrt(shape.at(-1) ?? 1) : shape.length === 2 ? 0.05 : 0.02;
  return deviation * Math.sqrt(12);
}

/** A word that is one token of the made vocabulary. */
export function madeWord(index: number): string {
  return `w${index.toString(36)}`;
}

/** Words that there are. */
export function madeWords(shape: EncoderShape): number {
  return shape.vocabulary - special.length;
}
