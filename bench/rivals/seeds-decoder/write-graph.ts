/**
 * The decoder of those who keep no cache: the whole prefix goes in at every step. As good as that way can be made: the encoder's keys and
 * values come from outside, computed once; one product for query, key and value; logits of the last position only.
 *
 *   tokens [R,T], positions [T], causal_mask [1,1,T,T], cross_mask [R,1,1,S], cross_k.l, cross_v.l [R,H,S,D], top_k [1]
 *   →  top_ids [R,K], top_scores [R,K] (log-probabilities)
 *
 * A row is a hypothesis; the beams of a sentence are rows, each with its own copy of the sentence's keys and values.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { addActivation } from "#src/convert/activations.js";
import { addLookup, addOutputProduct } from "#src/convert/embeddings.js";
import { type MarianConfig, readMarianConfig } from "#src/convert/marian/config.js";
import { embeddingTables, tensorReader } from "#src/convert/marian/tensors.js";
import { GraphBuilder } from "#src/convert/onnx/graph-builder.js";
import { toHeads } from "#src/convert/places.js";
import { addProduct, type LinearSource, type ProductWriter } from "#src/convert/products.js";
import { openWeights } from "#src/convert/reading/weights.js";
import { WeightsFile } from "#src/convert/weights-file.js";

const graphName = "seeds-decoder.onnx";
const weightsName = "seeds-decoder.bin";
const prefix = "model.decoder";
const epsilon = 1e-5;

/** In float32, with the weights of a Marian folder; returns the graph's path. */
export async function writeSeedsDecoder(dir: string, sourceDir: string): Promise<string> {
  const config = await readMarianConfig(sourceDir);
  await using source = await openWeights(sourceDir);
  await using weights = await WeightsFile.create(join(dir, weightsName), weightsName);
  const graph = new GraphBuilder("decoder");
  const read = tensorReader(source, config);
  const writer: ProductWriter = { graph, weights, read, modeOf: () => ({ kind: "f32" }) };
  await new SeedsDecoder(writer, config).write();
  await weights.finish();
  const path = join(dir, graphName);
  await writeFile(path, graph.encode());
  return path;
}

class SeedsDecoder {
  readonly #writer: ProductWriter;
  readonly #graph: GraphBuilder;
  readonly #config: MarianConfig;

  constructor(writer: ProductWriter, config: MarianConfig) {
    this.#writer = writer;
    this.#graph = writer.graph;
    this.#config = config;
  }

  async write(): Promise<void> {
    const graph = this.#graph;
    const { decoder, width } = this.#config;
    const size = width / decoder.heads;
    let hidden = await this.#embedding();
    const causalMask = graph.input("causal_mask", "f32", [1, 1, "T", "T"]);
    const crossMask = graph.input("cross_mask", "f32", ["R", 1, 1, "S"]);
    for (let layer = 0; layer < decoder.layers; layer += 1) {
      const at = `${prefix}.layers.${layer}`;
      hidden = await this.#selfAttention(at, hidden, causalMask);
      const key = graph.input(`cross_k.${layer}`, "f32", ["R", decoder.heads, "S", size]);
      const value = graph.input(`cross_v.${layer}`, "f32", ["R", decoder.heads, "S", size]);
      hidden = await this.#crossAttention(at, { hidden, key, value, mask: crossMask });
      hidden = await this.#feedForward(at, hidden);
    }
    await this.#outputs(hidden);
  }

  async #embedding(): Promise<string> {
    const graph = this.#graph;
    const { decoderVocabularySize, width, positions, scaleEmbedding } = this.#config;
    const tokens = graph.input("tokens", "i32", ["R", "T"]);
    const places = graph.input("positions", "i32", ["T"]);
    const table = embeddingTables(this.#config).decoder;
    const shape = [decoderVocabularySize, width] as const;
    let words = await addLookup(this.#writer, table, { ids: tokens, shape, halves: false });
    if (scaleEmbedding) {
      words = graph.node("Mul", [words, graph.scalar("embedding_scale", Math.sqrt(width))]);
    }
    const name = `${prefix}.embed_positions.weight`;
    const place = graph.node("Gather", [await this.#stored(name, [positions, width]), places]);
    return graph.node("Add", [words, place]);
  }

  async #selfAttention(at: string, hidden: string, mask: string): Promise<string> {
    const { width, decoder } = this.#config;
    const factor = 1 / Math.sqrt(width / decoder.heads);
    const qkv = await this.#product(hidden, width, [
      { name: `${at}.self_attn.q_proj`, factor },
      { name: `${at}.self_attn.k_proj` },
      { name: `${at}.self_attn.v_proj` },
    ]);
    const parts = this.#graph.nodes("Split", [qkv], { attributes: { axis: -1 }, outputs: 3 });
    const [query = "", key = "", value = ""] = parts.map((part) => this.#heads(part));
    const mixed = this.#attention({ query, key, value, mask });
    return await this.#joined(at, "self_attn", { hidden, mixed });
  }

  async #crossAttention(
    at: string,
    {
      hidden,
      ...rest
    }: {
      readonly hidden: string;
      readonly key: string;
      readonly value: string;
      readonly mask: string;
    },
  ): Promise<string> {
    const { width, decoder } = this.#config;
    const factor = 1 / Math.sqrt(width / decoder.heads);
    const product = await this.#product(hidden, width, [
      { name: `${at}.encoder_attn.q_proj`, factor },
    ]);
    const mixed = this.#attention({ query: this.#heads(product), ...rest });
    return await this.#joined(at, "encoder_attn", { hidden, mixed });
  }

  /** `[R,T,width]` → `[R,H,T,D]`. */
  #heads(x: string): string {
    const { heads } = this.#config.decoder;
    const shape = this.#graph.ints("heads", [0, 0, heads, this.#config.width / heads]);
    return toHeads(this.#graph, x, { shape, perm: [0, 2, 1, 3] });
  }

  #attention(from: {
    readonly query: string;
    readonly key: string;
    readonly value: string;
    readonly mask: string;
  }): string {
    const graph = this.#graph;
    const scores = graph.node("FusedMatMul", [from.query, from.key], {
      attributes: { transB: 1 },
      microsoft: true,
    });
    const weights = graph.node("Softmax", [graph.node("Add", [scores, from.mask])], {
      attributes: { axis: -1 },
    });
    const mixed = graph.node("Transpose", [graph.node("MatMul", [weights, from.value])], {
      attributes: { perm: [0, 2, 1, 3] },
    });
    return graph.node("Reshape", [mixed, graph.ints("together", [0, 0, this.#config.width])]);
  }

  async #joined(
    at: string,
    attention: "self_attn" | "encoder_attn",
    { hidden, mixed }: { readonly hidden: string; readonly mixed: string },
  ): Promise<string> {
    const output = { name: `${at}.${attention}.out_proj` };
    const added = await this.#product(mixed, this.#config.width, [output]);
    return await this.#norm(`${at}.${attention}_layer_norm`, hidden, added);
  }

  async #feedForward(at: string, hidden: string): Promise<string> {
    const { width, decoder, activation } = this.#config;
    const inner = await this.#product(hidden, width, [{ name: `${at}.fc1` }]);
    const active = addActivation(this.#graph, activation, inner);
    const outer = await this.#product(active, decoder.feedForward, [{ name: `${at}.fc2` }]);
    return await this.#norm(`${at}.final_layer_norm`, hidden, outer);
  }

  async #outputs(hidden: string): Promise<void> {
    const graph = this.#graph;
    const topK = graph.input("top_k", "i64", [1]);
    const data = BigInt64Array.of(-1n);
    const end = graph.constant("last_place", "i64", { shape: [], data });
    const last = graph.node("Gather", [hidden, end], { attributes: { axis: 1 } });
    const { decoderVocabularySize, width } = this.#config;
    const logits = await addOutputProduct(this.#writer, last, {
      name: "output",
      table: embeddingTables(this.#config).output,
      bias: "final_logits_bias",
      shape: [decoderVocabularySize, width],
    });
    const scored = graph.node("LogSoftmax", [logits], { attributes: { axis: -1 } });
    const [scores = "", ids = ""] = graph.nodes("TopK", [scored, topK], {
      attributes: { axis: -1 },
      outputs: 2,
    });
    const ids32 = graph.node("Cast", [ids], { attributes: { to: 6 } });
    graph.output("top_ids", ids32, { type: "i32", shape: ["R", "K"] });
    graph.output("top_scores", scores, { type: "f32", shape: ["R", "K"] });
  }

  async #product(x: string, inputWidth: number, sources: readonly LinearSource[]): Promise<string> {
    const name = sources.map((source) => source.name).join("+");
    return await addProduct(this.#writer, { name, sources, inputWidth }, x);
  }

  async #norm(name: string, residual: string, added: string): Promise<string> {
    const shape = [this.#config.width];
    const scale = await this.#stored(`${name}.weight`, shape);
    const bias = await this.#stored(`${name}.bias`, shape);
    const sum = this.#graph.node("Add", [added, residual]);
    const attributes = { axis: -1, epsilon: { float: epsilon } };
    return this.#graph.node("LayerNormalization", [sum, scale, bias], { attributes });
  }

  async #stored(name: string, shape: readonly number[]): Promise<string> {
    const { weights, read } = this.#writer;
    const data = await read(name);
    return this.#graph.weight(await weights.write({ name, type: "f32", shape }, data));
  }
}
