/**
 * Attention of sentences to themselves, from a flat list of tokens and back to it, head by head: one gather takes each head's
 * part of each token to where attention wants it, another one brings it back. Nothing is split, and nothing transposed.
 *
 *   qkv [T, parts·heads·size]  =  rows [T·parts·heads, size]  ─ gather ─►  [B, heads, S, size] of each part
 */
import type { GraphBuilder } from "./onnx/graph-builder.js";
import type { Places } from "./places.js";

export interface HeadPlaces {
  readonly count: number;
  readonly size: number;
  /** Of each part `[B, heads, S]`: which row of the product's result stands in each place. */
  readonly parts: readonly string[];
}

/** For products whose rows are `parts` times as wide as all heads together: query, key and value, for example. */
export function addHeadPlaces(
  graph: GraphBuilder,
  { placeTokens, sentenceShape }: Places,
  heads: { readonly count: number; readonly size: number; readonly parts: number },
): HeadPlaces {
  const { count, size, parts } = heads;
  const tokens = graph.node("Unsqueeze", [
    graph.node("Reshape", [placeTokens, sentenceShape]),
    graph.ints("head_axis", [1]),
  ]);
  const rows = graph.node("Add", [
    graph.node("Mul", [tokens, int(graph, parts * count)]),
    headRow(graph, [count, 1], count),
  ]);
  const places = Array.from({ length: parts }, (_, part) =>
    part === 0 ? rows : graph.node("Add", [rows, int(graph, part * count)]),
  );
  return { count, size, parts: places };
}

/** `[B, heads, S, size]`. */
export function atHeadPlaces(
  graph: GraphBuilder,
  product: string,
  { part, heads }: { readonly part: number; readonly heads: HeadPlaces },
): string {
  const rows = graph.node("Reshape", [
    product,
    graph.ints(`rows_of_${heads.size}`, [-1, heads.size]),
  ]);
  return graph.node("Gather", [rows, heads.parts[part] ?? ""], { attributes: { axis: 0 } });
}

/** For each of `wanted` (places `[T]`) where its heads stand in `[B, heads, S]`: `[T, heads]`. */
export function addHeadReturn(
  graph: GraphBuilder,
  { sentenceShape }: Places,
  { wanted, count }: { readonly wanted: string; readonly count: number },
): string {
  const width = graph.node(
    "Cast",
    [graph.node("Gather", [sentenceShape, graph.ints("width_index", [1])])],
    { attributes: { to: 6 } },
  );
  const first = graph.node("Mul", [graph.node("Div", [wanted, width]), width]);
  const rows = graph.node("Add", [wanted, graph.node("Mul", [first, int(graph, count - 1)])]);
  return graph.node("Add", [
    graph.node("Unsqueeze", [rows, graph.ints("last_axis", [1])]),
    graph.node("Mul", [headRow(graph, [count], count), width]),
  ]);
}

/** Attention of query, key and value that one product gives; `[wanted, width]`. The scale of scores is in the query. */
export function addHeadAttention(
  graph: GraphBuilder,
  at: {
    readonly qkv: string;
    readonly heads: HeadPlaces;
    /** Added to scores: the mask, or more. */
    readonly bias: string;
    /** Of `addHeadReturn`. */
    readonly back: string;
  },
): string {
  const { qkv, heads, bias, back } = at;
  const [query = "", key = "", value = ""] = [0, 1, 2].map((part) =>
    atHeadPlaces(graph, qkv, { part, heads }),
  );
  const scores = graph.node("FusedMatMul", [query, key], {
    attributes: { transB: 1 },
    microsoft: true,
  });
  const weights = graph.node("Softmax", [graph.node("Add", [scores, bias])], {
    attributes: { axis: -1 },
  });
  const context = graph.node("Reshape", [
    graph.node("MatMul", [weights, value]),
    graph.ints(`rows_of_${heads.size}`, [-1, heads.size]),
  ]);
  const rows = graph.node("Gather", [context, back], { attributes: { axis: 0 } });
  return graph.node("Reshape", [rows, graph.ints("all_heads", [-1, heads.count * heads.size])]);
}

function int(graph: GraphBuilder, value: number): string {
  return graph.constant(`int_${value}`, "i32", { shape: [], data: Int32Array.of(value) });
}

/** 0, 1, … of this shape. */
function headRow(graph: GraphBuilder, shape: readonly number[], count: number): string {
  const data = Int32Array.from({ length: count }, (_, head) => head);
  return graph.constant(`heads_${shape.join("_")}`, "i32", { shape, data });
}
