/** The way of a graph from a flat list of tokens to sentences side by side, where attention is, and back. */
import type { GraphBuilder } from "./onnx/graph-builder.js";

export interface Places {
  /** `[B,1,1,S]`, added to scores: 0 keeps, a large negative number drops. */
  readonly mask: string;
  /** `[B·S]`: the token that stands in each place; in a padded place one that the mask drops. */
  readonly placeTokens: string;
  /** `[T]`: where each token stands. */
  readonly tokenPlaces: string;
  /** `[2]`: B, S. */
  readonly sentenceShape: string;
}

/** The inputs of the graph by these names. */
export function addPlaceInputs(graph: GraphBuilder): Places {
  return {
    mask: graph.input("mask", "f32", ["B", 1, 1, "S"]),
    placeTokens: graph.input("place_tokens", "i32", ["P"]),
    tokenPlaces: graph.input("token_places", "i32", ["T"]),
    sentenceShape: graph.input("sentence_shape", "i64", [2]),
  };
}

/** `[B, S, heads, size]`. */
export function headsShape(
  graph: GraphBuilder,
  { sentenceShape }: Places,
  heads: { readonly count: number; readonly size: number },
): string {
  const rest = graph.ints(`heads_${heads.count}`, [heads.count, heads.size]);
  return graph.node("Concat", [sentenceShape, rest], { attributes: { axis: 0 } });
}

export function atPlaces(graph: GraphBuilder, tokens: string, { placeTokens }: Places): string {
  return graph.node("Gather", [tokens, placeTokens], { attributes: { axis: 0 } });
}

export function toHeads(
  graph: GraphBuilder,
  x: string,
  to: { readonly shape: string; readonly perm: readonly number[] },
): string {
  const split = graph.node("Reshape", [x, to.shape]);
  return graph.node("Transpose", [split], { attributes: { perm: to.perm } });
}

export interface AttentionInput {
  /** `[B·S, width]` each; the scale of scores is in the query. */
  readonly query: string;
  readonly key: string;
  readonly value: string;
  /** `[B, S, heads, size]`. */
  readonly shape: string;
  readonly width: number;
  /** Added to scores: the mask, or more. */
  readonly bias: string;
  /** The places whose rows are wanted. */
  readonly wanted: string;
}

/** Attention of sentences to themselves; returns `[wanted, width]`. */
export function addAttention(graph: GraphBuilder, at: AttentionInput): string {
  const { shape } = at;
  const heads = (x: string, perm: readonly number[]) => toHeads(graph, x, { shape, perm });
  const scores = graph.node("MatMul", [heads(at.query, [0, 2, 1, 3]), heads(at.key, [0, 2, 3, 1])]);
  const weights = graph.node("Softmax", [graph.node("Add", [scores, at.bias])], {
    attributes: { axis: -1 },
  });
  const context = graph.node("MatMul", [weights, heads(at.value, [0, 2, 1, 3])]);
  const joined = graph.node("Reshape", [
    graph.node("Transpose", [context], { attributes: { perm: [0, 2, 1, 3] } }),
    graph.ints("flat", [-1, at.width]),
  ]);
  return graph.node("Gather", [joined, at.wanted], { attributes: { axis: 0 } });
}
