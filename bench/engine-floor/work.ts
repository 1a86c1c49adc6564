/** What a run has to compute and to move, counted from its graph and the sizes of the run. */
import type { ReadGraph } from "./product-graph.js";

export interface Work {
  readonly part: string;
  /** Multiplications with an addition each. */
  readonly multiplyAdds: number;
  /** Read or written at least once, whatever caches there are: weights, keys and values, scores. */
  readonly bytes: number;
}

const floatBytes = 4;

export interface StepSize {
  readonly sentences: number;
  readonly beams: number;
  /** Tokens before the new one. */
  readonly past: number;
  /** Tokens of each sentence, as wide as its cache. */
  readonly input: number;
}

export function stepWork(graph: ReadGraph, size: StepSize): readonly Work[] {
  const { sentences, beams, past, input } = size;
  const rows = sentences * beams;
  const self = cachesOf(graph, "past_");
  const cross = cachesOf(graph, "cross_");
  const logits = rows * vocabularyOf(graph);
  return [
    productsWork(graph, rows),
    {
      part: "attention to the past",
      multiplyAdds: rows * (past + 1) * self,
      bytes: rows * (past + 1) * self * floatBytes,
    },
    {
      part: "attention to the input, keys once a sentence",
      multiplyAdds: rows * input * cross,
      bytes: sentences * input * cross * floatBytes,
    },
    // Scores are written by the product, read and written by LogSoftmax, and read by TopK.
    { part: "logits, four times", multiplyAdds: 0, bytes: 4 * logits * floatBytes },
  ];
}

export interface ChunkSize {
  readonly sentences: number;
  /** Of each. */
  readonly tokens: number;
  readonly layers: number;
  readonly width: number;
}

/** Of an encoder. */
export function chunkWork(graph: ReadGraph, size: ChunkSize): readonly Work[] {
  const { sentences, tokens, layers, width } = size;
  const scores = layers * sentences * tokens * tokens;
  return [
    productsWork(graph, sentences * tokens),
    {
      part: "attention",
      multiplyAdds: 2 * scores * width,
      bytes: 3 * layers * sentences * tokens * width * floatBytes,
    },
  ];
}

export function productsWork({ products }: ReadGraph, rows: number): Work {
  return {
    part: `products (${products.length})`,
    multiplyAdds: products.reduce(
      (sum, { inputWidth, outputWidth }) => sum + rows * inputWidth * outputWidth,
      0,
    ),
    bytes: products.reduce((sum, { weightBytes }) => sum + weightBytes, 0),
  };
}

/** Numbers that the caches of all layers keep of one token; each is multiplied once for a query. */
function cachesOf({ model }: ReadGraph, prefix: string): number {
  return model.graph.input
    .filter(({ name }) => name.startsWith(`${prefix}k`) || name.startsWith(`${prefix}v`))
    .reduce((sum, { type }) => {
      const { dim } = type.tensorType.shape;
      const [heads, size] = [dim[1], dim[3]].map((each) =>
        each !== undefined && "dimValue" in each ? each.dimValue : 0,
      );
      return sum + (heads ?? 0) * (size ?? 0);
    }, 0);
}

function vocabularyOf({ products }: ReadGraph): number {
  return products.at(-1)?.outputWidth ?? 0;
}
