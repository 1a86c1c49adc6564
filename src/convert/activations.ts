/** What stands between two products: which names Hugging Face has for it, and how it is written into a graph. */
import type { GraphBuilder } from "./onnx/graph-builder.js";

export type Activation = "silu" | "relu" | "gelu" | "gelu_tanh" | "tanh" | "sigmoid" | "identity";

/** By Hugging Face's names. */
export const activations: ReadonlyMap<string, Activation> = new Map([
  ["swish", "silu"],
  ["silu", "silu"],
  ["relu", "relu"],
  ["gelu", "gelu"],
  ["gelu_new", "gelu_tanh"],
  ["gelu_pytorch_tanh", "gelu_tanh"],
] as const);

export function addActivation(graph: GraphBuilder, kind: Activation, x: string): string {
  switch (kind) {
    case "silu":
      return graph.node("QuickGelu", [x], { attributes: { alpha: { float: 1 } }, microsoft: true });
    case "relu":
      return graph.node("Relu", [x]);
    case "gelu":
      return graph.node("Gelu", [x], { microsoft: true });
    case "gelu_tanh":
      return graph.node("FastGelu", [x], { microsoft: true });
    case "tanh":
      return graph.node("Tanh", [x]);
    case "sigmoid":
      return graph.node("Sigmoid", [x]);
    case "identity":
      return x;
  }
}
