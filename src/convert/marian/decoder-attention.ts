/**
 * Attention of a decoder's step, in two ways with the same results but for the order of sums:
 *
 *   fused    ONNX Runtime's own GroupQueryAttention and MultiHeadAttention, which stop where a row ends. Best while keys and
 *            values stay in the processor's caches.
 *   unfused  products of one query each, and a softmax between. They read the past from end to end; a kernel that stops at each row's
 *            end jumps to the next head, and each jump waits for memory where caches do not hold the past.
 *
 * Which one is best depends on how large the past is, so on layers and width: `attentionFor`. Which one a graph has, the engine sees
 * by the names of its inputs; what each takes stands in graphs.ts.
 */

import { cacheHeadSize } from "../../models/cache-head-size.js";
import { isLargeDecoder } from "../../models/decoder-size.js";
import { padHeads } from "../cache-heads.js";
import type { GraphBuilder } from "../onnx/graph-builder.js";

export type DecoderAttention = "fused" | "unfused";

export function attentionFor(model: {
  readonly layers: number;
  readonly width: number;
}): DecoderAttention {
  return isLargeDecoder(model) ? "unfused" : "fused";
}

interface Heads {
  readonly count: number;
  readonly size: number;
}

interface Caches {
  readonly layer: number;
  readonly key: string;
  readonly value: string;
}

/** The scale of scores is in the query. What comes out has heads as caches have them. */
export interface AttentionWriter {
  /** Of `[R, 1, 3·H·size]`, over the past and the new token, whose key and value are written behind the past: `[R, 1, H·D]`. */
  self(at: Caches & { readonly qkv: string }): string;
  /** Of `[R, 1, H·size]`: the beams of a sentence are queries against one copy of its keys and values. Rows in any shape. */
  cross(at: Caches & { readonly query: string }): string;
}

/** Adds the inputs that all layers have in common. `lengths` is an input already. */
export function addDecoderAttention(
  graph: GraphBuilder,
  kind: DecoderAttention,
  at: { readonly heads: Heads; readonly lengths: string },
): AttentionWriter {
  const { heads, lengths } = at;
  return kind === "fused" ? addFused(graph, heads, lengths) : addUnfused(graph, heads);
}

/** With a scale other than 1 the CPU kernel leaves its fast path for single rows. */
function addFused(graph: GraphBuilder, heads: Heads, lengths: string): AttentionWriter {
  const total = graph.input("total_length", "i32", [1]);
  const crossLengths = graph.input("cross_lengths", "i32", ["N"]);
  const crossShape = graph.input("cross_shape", "i64", [3]);
  const { count } = heads;
  return {
    self({ layer, qkv, key, value }) {
      const padded = padHeads(graph, qkv, { ...heads, count: 3 * count });
      const presents = declarePresents(graph, layer, heads);
      const [context = ""] = graph.nodes(
        "GroupQueryAttention",
        [padded, "", "", key, value, lengths, total],
        {
          attributes: { num_heads: count, kv_num_heads: count, scale: { float: 1 } },
          outputs: 3,
          names: [`context.${layer}`, ...presents],
          microsoft: true,
        },
      );
      return context;
    },
    cross({ query, key, value }) {
      const queries = graph.node("Reshape", [padHeads(graph, query, heads), crossShape]);
      return graph.node("MultiHeadAttention", [queries, key, value, "", crossLengths], {
        attributes: { num_heads: count, scale: { float: 1 } },
        microsoft: true,
      });
    },
  };
}

function addUnfused(graph: GraphBuilder, heads: Heads): AttentionWriter {
  const places = graph.input("past_places", "i64", ["R", heads.count, 3]);
  const pastMask = graph.input("past_mask", "f32", ["R", 1, 1, "M"]);
  const crossMask = graph.input("cross_mask", "f32", ["N", 1, 1, 1, "S"]);
  const queryShape = graph.input("query_shape", "i64", [5]);
  const { count } = heads;
  const size = cacheHeadSize(heads.size);
  return {
    self({ layer, qkv, key, value }) {
      const parts = graph.node("Reshape", [
        padHeads(graph, qkv, { ...heads, count: 3 * count }),
        graph.ints("qkv_heads", [-1, 3, count, size]),
      ]);
      const [query = "", newKey = "", newValue = ""] = [0, 1, 2].map((part) =>
        graph.node("Gather", [parts, partIndex(graph, part)], { attributes: { axis: 1 } }),
      );
      const [presentKey = "", presentValue = ""] = declarePresents(graph, layer, heads);
      graph.nodes("ScatterND", [key, places, newKey], { names: [presentKey] });
      graph.nodes("ScatterND", [value, places, newValue], { names: [presentValue] });
      const context = addAttention(graph, {
        query: graph.node("Reshape", [query, graph.ints("row_queries", [-1, count, 1, size])]),
        key: presentKey,
        value: presentValue,
        mask: pastMask,
      });
      return graph.node("Reshape", [context, graph.ints("cache_rows", [-1, 1, count * size])]);
    },
    // A product for each row: of several rows at once another kernel would be used, which packs the keys first.
    cross({ query, key, value }) {
      const beams = graph.ints("beam_axis", [1]);
      return addAttention(graph, {
        query: graph.node("Reshape", [padHeads(graph, query, heads), queryShape]),
        key: graph.node("Unsqueeze", [key, beams]),
        value: graph.node("Unsqueeze", [value, beams]),
        mask: crossMask,
      });
    },
  };
}

/** Of queries `[…, 1, size]`, keys and values `[…, tokens, size]`: `[…, 1, size]`. */
function addAttention(
  graph: GraphBuilder,
  at: {
    readonly query: string;
    readonly key: string;
    readonly value: string;
    readonly mask: string;
  },
): string {
  const scores = graph.node("FusedMatMul", [at.query, at.key], {
    attributes: { transB: 1 },
    microsoft: true,
  });
  const weights = graph.node("Softmax", [graph.node("Add", [scores, at.mask])], {
    attributes: { axis: -1 },
  });
  return graph.node("MatMul", [weights, at.value]);
}

function partIndex(graph: GraphBuilder, part: number): string {
  return graph.constant(`part_${part}`, "i32", { shape: [], data: Int32Array.of(part) });
}

/** Names of key and value as they leave the graph. */
function declarePresents(graph: GraphBuilder, layer: number, { count, size }: Heads): string[] {
  const names = [`present_k.${layer}`, `present_v.${layer}`];
  for (const name of names) {
    graph.declare(name, { type: "f32", shape: ["R", count, "M", cacheHeadSize(size)] });
  }
  return names;
}
