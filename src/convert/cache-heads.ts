/**
 * Heads as caches have them: ONNX Runtime's attention takes multiples of 8, so that smaller ones are followed by zeros, which
 * add nothing to a score and come out as zeros. A model whose heads fit gets no node for this.
 */
import { cacheHeadSize } from "../models/cache-head-size.js";
import type { GraphBuilder } from "./onnx/graph-builder.js";

interface Heads {
  readonly size: number;
  /** In a row of the value: those of query, key and value, for example. */
  readonly count: number;
}

/** From `[rows, 1, count·size]` to rows of heads as caches have them. */
export function padHeads(graph: GraphBuilder, value: string, { size, count }: Heads): string {
  const whole = cacheHeadSize(size);
  if (whole === size) return value;
  const heads = graph.node("Reshape", [value, graph.ints(`rows_of_${size}`, [-1, size])]);
  const padded = padLast(graph, heads, { size, rank: 2 });
  return graph.node("Reshape", [padded, graph.ints(`padded_${count}`, [-1, 1, count * whole])]);
}

/** The way back, of any shape that has `count` heads last, to `[rows, 1, count·size]`. */
export function cutHeads(graph: GraphBuilder, value: string, { size, count }: Heads): string {
  const whole = cacheHeadSize(size);
  if (whole === size) return value;
  const heads = graph.node("Reshape", [value, graph.ints(`rows_of_${whole}`, [-1, whole])]);
  const cut = graph.node("Slice", [
    heads,
    graph.ints("cut_from", [0]),
    graph.ints("cut_to", [size]),
    graph.ints("cut_axis", [1]),
  ]);
  return graph.node("Reshape", [cut, graph.ints(`cut_${count}_heads`, [-1, 1, count * size])]);
}

/** From `[…, size]`, of so many dimensions, to heads as caches have them. */
export function padLast(
  graph: GraphBuilder,
  value: string,
  { size, rank }: { readonly size: number; readonly rank: number },
): string {
  const zeros = cacheHeadSize(size) - size;
  if (zeros === 0) return value;
  const pads = Array.from({ length: 2 * rank }, (_, place) => (place === 2 * rank - 1 ? zeros : 0));
  return graph.node("Pad", [value, graph.ints(`zeros_${rank}`, pads)]);
}
