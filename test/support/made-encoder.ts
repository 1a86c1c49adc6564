/**
 * A model folder of the program `encoder`, made by hand: its graph follows the contract (manifest-encoder.ts), its numbers
 * can be reckoned in one's head, and its words do what tests want.
 *
 *   hidden(t) = (words[id] + positions[t] / 8 + types[type] / 2) × (1 + layer)        logits: the first of the largest
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { GraphBuilder } from "#src/convert/onnx/graph-builder.js";
import type { EncoderManifest } from "#src/models/programs/manifest-encoder.js";
import { sha256Of } from "./model-folder.js";

/** `nan` has no number; the others' rows are their own. */
export const encoderWords = [
  "[PAD]",
  "[UNK]",
  "[CLS]",
  "[SEP]",
  "hello",
  "world",
  "good",
  "bad",
  "nan",
  "a",
  "b",
  "##s",
] as const;
export const encoderWidth = 4;
const layers = 2;
const positions = 4_096;

export interface MadeEncoderOptions {
  readonly embedding?: EncoderManifest["embedding"];
  readonly labels?: readonly string[];
  readonly scores?: EncoderManifest["scores"];
  readonly task?: string;
  readonly inputTokensMax?: number;
  /** Products of the hidden state with a square matrix that change nothing and take time. */
  readonly work?: number;
}

/** A number for each word and dimension. */
export function wordAt(id: number, at: number): number {
  if (encoderWords[id] === "nan") return Number.NaN;
  return ((id * 7 + at * 3) % 11) / 4 - 1;
}

export async function writeMadeEncoder(
  dir: string,
  options: MadeEncoderOptions = {},
): Promise<string> {
  await mkdir(dir, { recursive: true });
  const { labels = null, inputTokensMax = 32 } = options;
  const own = { pooling: "mean", normalize: false, width: encoderWidth, own: false } as const;
  const embedding = labels === null ? (options.embedding ?? own) : null;
  const contents = {
    "encoder.onnx": graphOf(embedding, labels?.length ?? 0, options.work ?? 0),
    "weights.bin": new Uint8Array(1),
    "tokenizer.json": Buffer.from(JSON.stringify(tokenizer())),
  };
  for (const [name, bytes] of Object.entries(contents)) await writeFile(join(dir, name), bytes);
  const manifest: EncoderManifest = {
    manifestVersion: 2,
    name: dir.split("/").at(-1) ?? "encoder",
    engine: "staged",
    program: "encoder",
    task: options.task ?? (labels === null ? "embed" : "classify"),
    family: "made",
    precision: "f32",
    layerPrecision: {},
    quantization: null,
    files: { encoder: "encoder.onnx", weights: "weights.bin", tokenizer: "tokenizer.json" },
    fileSha256: Object.fromEntries(
      Object.entries(contents).map(([name, bytes]) => [name, sha256Of(bytes)]),
    ),
    shape: {
      vocabulary: encoderWords.length,
      width: encoderWidth,
      layers,
      heads: 2,
      positions,
      tokenTypes: 2,
    },
    unknownTokenId: 1,
    embedding,
    labels,
    scores: labels === null ? null : (options.scores ?? "softmax"),
    limits: { inputTokensMax },
    source: { modelType: "made", weightsSha256: sha256Of("made"), weightsBytes: 1 },
    madeWith: { millrace: "0.0.0", onnxOpset: 17 },
  };
  await writeFile(join(dir, "millrace.json"), JSON.stringify(manifest));
  return dir;
}

function graphOf(
  embedding: EncoderManifest["embedding"],
  labels: number,
  work: number,
): Uint8Array {
  const graph = new GraphBuilder("encoder");
  const ids = graph.input("ids", "i32", ["T"]);
  const places = graph.input("positions", "i32", ["T"]);
  const types = graph.input("types", "i32", ["T"]);
  const mask = graph.input("mask", "f32", ["B", 1, 1, "S"]);
  const placeTokens = graph.input("place_tokens", "i32", ["BS"]);
  graph.input("token_places", "i32", ["T"]);
  const sentenceShape = graph.input("sentence_shape", "i64", [2]);
  let hidden = graph.node("Add", [
    graph.node("Add", [
      graph.node("Gather", [
        table(graph, { name: "words", rows: encoderWords.length }, wordAt),
        ids,
      ]),
      graph.node("Gather", [
        table(graph, { name: "at", rows: positions }, (position) => position / 8),
        places,
      ]),
    ]),
    graph.node("Gather", [table(graph, { name: "kinds", rows: 2 }, (type) => type / 2), types]),
  ]);
  if (embedding !== null) {
    const layer = graph.node("Cast", [graph.input("layer", "i64", [1])], { attributes: { to: 1 } });
    hidden = graph.node("Mul", [hidden, graph.node("Add", [layer, graph.scalar("one", 1)])]);
  }
  hidden = addWork(graph, hidden, work);
  const shapeOf = (name: string, width: number): string =>
    graph.node("Concat", [sentenceShape, graph.ints(name, [width])], { attributes: { axis: 0 } });
  const aside = graph.node("Reshape", [
    graph.node("Gather", [hidden, placeTokens]),
    shapeOf("wide", encoderWidth),
  ]);
  const masks = graph.node("Reshape", [mask, shapeOf("column", 1)]);
  const max = graph.node("ReduceMax", [graph.node("Add", [aside, masks])], {
    attributes: { axes: [1], keepdims: 0 },
  });
  if (embedding === null) {
    // The largest of some numbers and none is the largest number here; a mean is none.
    const mean = graph.node("ReduceMean", [aside], { attributes: { axes: [1], keepdims: 0 } });
    const nothing = graph.node("Mul", [mean, graph.scalar("nothing", 0)]);
    const logits = graph.node(
      "Gather",
      [graph.node("Add", [max, nothing]), graph.ints("first", range(labels))],
      {
        attributes: { axis: 1 },
      },
    );
    graph.output("logits", logits, { type: "f32", shape: ["B", labels] });
    return graph.encode();
  }
  const pool = graph.input("pool", "f32", ["B", 1, "S"]);
  const row = graph.node("MatMul", [pool, aside]);
  const pooled = graph.node("Squeeze", [row, graph.ints("row_axis", [1])]);
  graph.output("pooled", pooled, { type: "f32", shape: ["B", encoderWidth] });
  graph.output("max", max, { type: "f32", shape: ["B", encoderWidth] });
  graph.output("tokens", hidden, { type: "f32", shape: ["T", encoderWidth] });
  if (embedding.own) {
    const own = graph.node("Gather", [pooled, graph.ints("kept", range(embedding.width))], {
      attributes: { axis: 1 },
    });
    graph.output("own", graph.node("Neg", [own]), { type: "f32", shape: ["B", embedding.width] });
  }
  return graph.encode();
}

function table(
  graph: GraphBuilder,
  { name, rows }: { readonly name: string; readonly rows: number },
  value: (row: number, at: number) => number,
): string {
  const data = Float32Array.from({ length: rows * encoderWidth }, (_, index) =>
    value(Math.floor(index / encoderWidth), index % encoderWidth),
  );
  return graph.constant(name, "f32", { shape: [rows, encoderWidth], data });
}

/** Adds nothing, the long way: what each token's row has to do with nothing. */
function addWork(graph: GraphBuilder, hidden: string, work: number): string {
  if (work === 0) return hidden;
  const size = 512;
  const zeros = new Float32Array(encoderWidth * size);
  const wide = graph.constant("wider", "f32", { shape: [encoderWidth, size], data: zeros });
  const square = graph.constant("square", "f32", {
    shape: [size, size],
    data: new Float32Array(size * size),
  });
  const narrow = graph.constant("narrower", "f32", { shape: [size, encoderWidth], data: zeros });
  let state = graph.node("MatMul", [hidden, wide]);
  for (let time = 0; time < work; time += 1) state = graph.node("MatMul", [state, square]);
  return graph.node("Add", [hidden, graph.node("MatMul", [state, narrow])]);
}

function range(length: number): readonly number[] {
  return Array.from({ length }, (_, index) => index);
}

function tokenizer(): object {
  const special = (id: string, type: number): object => ({ SpecialToken: { id, type_id: type } });
  const text = (id: "A" | "B", type: number): object => ({ Sequence: { id, type_id: type } });
  const added = encoderWords.slice(0, 4).map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single: [special("[CLS]", 0), text("A", 0), special("[SEP]", 0)],
      pair: [
        special("[CLS]", 0),
        text("A", 0),
        special("[SEP]", 0),
        text("B", 1),
        special("[SEP]", 1),
      ],
      special_tokens: {
        "[CLS]": { id: "[CLS]", ids: [2], tokens: ["[CLS]"] },
        "[SEP]": { id: "[SEP]", ids: [3], tokens: ["[SEP]"] },
      },
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(encoderWords.map((word, id) => [word, id])),
    },
  };
}
