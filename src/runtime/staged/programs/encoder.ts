/**
 * The program `encoder`: one stage. Texts of one kind of answer and one layer share a run; how each is pooled is a row of
 * weights, so that mean, the first token and the last are one kind:
 *
 *   pool    mean  ¼ ¼ ¼ ¼ · ·     kinds: pooled (mean, cls, sep) │ max │ pooled+max (mean-max) │ tokens (none) │ own
 *           cls   1 0 0 0 0 ·
 *           sep   0 0 0 0 1 ·     what is left out is the padding
 *
 * Tokens that shall have no weight (`masked`) have none in a row; the largest among the others is found here, of `tokens`.
 *
 * The graph: src/models/programs/manifest-encoder.ts.
 */
import { join } from "node:path";
import type { EncoderManifest } from "../../../models/programs/manifest-encoder.js";
import { needsWideSums } from "../../../models/quantization.js";
import {
  type EmbeddingWish,
  type EncoderInput,
  type EncoderOutput,
  encoderKey,
  encoderOutput,
  encoderPayload,
  finiteFloats,
  readEncoderInput,
} from "../../../work/encoding.js";
import type { Payload, Tensor } from "../../../work/payload.js";
import type { EngineRequest } from "../../engine.js";
import { type FlatBatch, flatten } from "../../flat-batch.js";
import { checkOutputTypes, type OutputType } from "../../output-types.js";
import { type Fetches, f32, floatsOf, i32, i64, type Session } from "../../session.js";
import { sharedHashed } from "../../shared-weights.js";
import { openShared } from "../open-shared.js";
import type { Program, Stage, StageInput, StageResult } from "../program.js";

/** The part of the manifest that a run needs. */
type EncoderShape = Pick<
  EncoderManifest,
  "shape" | "embedding" | "labels" | "limits" | "quantization"
>;

/** A text's own numbers do not depend on how wide its batch is, where that is a multiple of this. */
const padStep = 16;
const rowsMax = 256;
/** Attention takes some hundred bytes for each of these and each place beside it. */
const paddedUnitsMax = 8_192;

export async function openEncoder(request: EngineRequest<EncoderManifest>): Promise<Program> {
  const { modelDir, manifest, threads, weightsCache } = request;
  const { files, fileSha256 } = manifest;
  const { encoder, weights } = files;
  const graph = join(modelDir, encoder);
  // Spinning threads would take the cores from the server and from other pipelines.
  const wideSums = needsWideSums(manifest.quantization);
  const options = { threads, spin: false, wideSums, data: [weights] };
  const hashed = { dir: modelDir, graph: encoder, weights, fileSha256 };
  const shared = await sharedHashed(weightsCache, hashed);
  const session = await openShared(request, "encode", { graph, options, shared });
  try {
    checkOutputTypes("encoder", session, outputsOf(manifest));
  } catch (error) {
    session.release();
    throw error;
  }
  return new EncoderProgram(session, manifest);
}

class EncoderProgram implements Program {
  readonly stages: readonly Stage[];
  readonly #session: Session;
  readonly #model: EncoderShape;

  constructor(session: Session, model: EncoderShape) {
    this.#session = session;
    this.#model = model;
    const limits = { rowsMax, paddedUnitsMax };
    this.stages = [
      { name: "encode", kind: "session", limits, run: (inputs) => this.#run(inputs.map(inputOf)) },
    ];
  }

  begin(payload: Payload): StageInput | string {
    const data = readEncoderInput(payload);
    if (data === null) return "the item is not one that an encoder takes";
    const refusal = refusalOf(data, this.#model);
    if (refusal !== null) return refusal;
    const units = data.tokens.length;
    const width = padded(units);
    const batchKey = encoderKey(data);
    const bytes = 2 * data.tokens.byteLength;
    return { stage: 0, cost: { units, width, rows: 1, bytes, batchKey }, data };
  }

  finish(value: unknown): Payload {
    return value as Payload;
  }

  /** Each output once, and two widths: somebody waits for the load. */
  warmUp(): readonly Payload[] {
    const { embedding, shape, limits } = this.#model;
    const item = (length: number, wish: EmbeddingWish | null): Payload =>
      encoderPayload({ tokens: new Int32Array(length), types: null, embedding: wish });
    const longer = Math.min(padStep + 1, limits.inputTokensMax);
    if (embedding === null) return [item(1, null), item(longer, null)];
    const layer = shape.layers;
    const items = [
      item(longer, { pooling: "mean-max", layer }),
      item(1, { pooling: "none", layer: 0 }),
    ];
    return embedding.own ? [...items, item(longer, { pooling: "own", layer })] : items;
  }

  judgeWarmUp(answer: Payload): string | null {
    const name = this.#model.embedding === null ? "logits" : "embedding";
    const shape = answer.tensors[name]?.shape ?? [];
    return finiteFloats(answer, name, shape) === null ? `its ${name} are not numbers` : null;
  }

  async release(): Promise<void> {
    this.#session.release();
  }

  async #run(texts: readonly EncoderInput[]): Promise<readonly StageResult[]> {
    const [first] = texts;
    if (first === undefined) return [];
    const width = padded(texts.reduce((widest, { tokens }) => Math.max(widest, tokens.length), 0));
    const batch = flatten(
      texts.map(({ tokens }) => tokens),
      width,
    );
    const kind = encoderOutput(first);
    const feeds = {
      ids: i32(batch.tokens, [batch.tokens.length]),
      positions: i32(batch.positions, [batch.tokens.length]),
      mask: f32(batch.mask, [texts.length, 1, 1, width]),
      place_tokens: i32(batch.placeTokens, [texts.length * width]),
      token_places: i32(batch.tokenPlaces, [batch.tokens.length]),
      sentence_shape: i64([texts.length, width]),
      ...(this.#model.shape.tokenTypes > 0 ? { types: typesOf(texts, batch) } : {}),
      ...(first.embedding === null ? {} : this.#poolFeeds(texts, first.embedding, width)),
    };
    const fetches = await this.#session.run(feeds, outputNames[kind]);
    return this.#cut(texts, kind, fetches).map((value) => ({ kind: "done", value }));
  }

  #poolFeeds(texts: readonly EncoderInput[], { layer }: EmbeddingWish, width: number) {
    const weights = new Float32Array(texts.length * width);
    for (const [index, { tokens, embedding, masked = noPlaces }] of texts.entries()) {
      const wished = embedding?.pooling ?? "own";
      const pooling = wished === "own" ? this.#model.embedding?.pooling : wished;
      const first = index * width;
      const length = tokens.length;
      if (pooling === "cls") weights[first] = 1;
      else if (pooling === "sep") weights[first + length - 1] = 1;
      // Of nothing but masked tokens, no weight is left: the sum is a vector of zeros.
      else weights.fill(1 / (length - masked.length || 1), first, first + length);
      for (const place of masked) weights[first + place] = 0;
    }
    return { pool: f32(weights, [texts.length, 1, width]), layer: i64([layer]) };
  }

  /** Each text's own part of what came out. */
  #cut(texts: readonly EncoderInput[], kind: EncoderOutput, fetches: Fetches): readonly Payload[] {
    const { shape, embedding, labels } = this.#model;
    const rows = texts.length;
    const tokens = texts.reduce((sum, text) => sum + text.tokens.length, 0);
    const rowsOf = (name: string, width: number): ((index: number) => Float32Array) => {
      const floats = floatsOf(fetches, name, rows * width);
      return (index) => floats.slice(index * width, (index + 1) * width);
    };
    switch (kind) {
      case "logits": {
        const logits = rowsOf("logits", labels?.length ?? 0);
        return texts.map((_, index) => answer("logits", vector(logits(index))));
      }
      case "own": {
        const own = rowsOf("own", embedding?.width ?? 0);
        return texts.map((_, index) => answer("embedding", vector(own(index))));
      }
      case "pooled":
      case "max": {
        const row = rowsOf(kind, shape.width);
        return texts.map((_, index) => answer("embedding", vector(row(index))));
      }
      case "pooled+max": {
        const pooled = rowsOf("pooled", shape.width);
        const max = rowsOf("max", shape.width);
        return texts.map((_, index) => {
          const both = new Float32Array(2 * shape.width);
          both.set(pooled(index));
          both.set(max(index), shape.width);
          return answer("embedding", vector(both));
        });
      }
      case "tokens": {
        const floats = floatsOf(fetches, "tokens", tokens * shape.width);
        let at = 0;
        return texts.map((text) => {
          const from = at;
          at += text.tokens.length * shape.width;
          if (text.masked !== undefined) {
            return answer("embedding", vector(pooledAround(floats.subarray(from, at), text)));
          }
          const data = floats.slice(from, at);
          const list: Tensor = { type: "float32", shape: [text.tokens.length, shape.width], data };
          return answer("embedding", list);
        });
      }
    }
  }
}

const outputNames: Readonly<Record<EncoderOutput, string[]>> = {
  logits: ["logits"],
  own: ["own"],
  pooled: ["pooled"],
  max: ["max"],
  "pooled+max": ["pooled", "max"],
  tokens: ["tokens"],
};

const noPlaces = new Int32Array(0);

/** Of a text's rows, the largest of each dimension where the token has weight; `mean-max`: their mean in front of it. */
function pooledAround(
  rows: Float32Array,
  { tokens, embedding, masked = noPlaces }: EncoderInput,
): Float32Array {
  const width = rows.length / tokens.length;
  const hasMean = embedding?.pooling === "mean-max";
  const pooled = new Float32Array(hasMean ? 2 * width : width);
  const left = tokens.length - masked.length;
  if (left === 0) return pooled;
  const weighed = new Uint8Array(tokens.length).fill(1);
  for (const place of masked) weighed[place] = 0;
  for (let at = 0; at < width; at += 1) {
    let max = Number.NEGATIVE_INFINITY;
    let sum = 0;
    for (let row = 0; row < tokens.length; row += 1) {
      if (weighed[row] === 0) continue;
      const value = rows[row * width + at] ?? 0;
      // What is no number stays none: it fails its text.
      max = value > max || Number.isNaN(value) ? value : max;
      sum += value;
    }
    if (hasMean) pooled[at] = sum / left;
    pooled[(hasMean ? width : 0) + at] = max;
  }
  return pooled;
}

function inputOf({ data }: StageInput): EncoderInput {
  return data as EncoderInput;
}

/** Why the engine does not take the text, or null: the server's door checks the same for its callers. */
function refusalOf(
  { tokens, types, embedding }: EncoderInput,
  { shape, limits, embedding: own }: EncoderShape,
): string | null {
  const { inputTokensMax } = limits;
  if (tokens.length > inputTokensMax) {
    return `${tokens.length} tokens, the model takes ${inputTokensMax}`;
  }
  const wrong = tokens.find((id) => id < 0 || id >= shape.vocabulary);
  if (wrong !== undefined) return `token ${wrong} is none of the model's ${shape.vocabulary}`;
  const type = types?.find((each) => each < 0 || each >= shape.tokenTypes);
  if (type !== undefined) return `type ${type} is none of the model's ${shape.tokenTypes}`;
  if ((embedding === null) !== (own === null)) {
    return own === null ? "the model gives labels" : "the model gives embeddings";
  }
  if (embedding === null) return null;
  const { pooling, layer } = embedding;
  if (layer < 0 || layer > shape.layers) {
    return `layer ${layer} is not within 0 and ${shape.layers}`;
  }
  if (pooling !== "own") return null;
  return own?.own === true && layer === shape.layers ? null : "the model has no output of its own";
}

function typesOf(texts: readonly EncoderInput[], batch: FlatBatch) {
  const all = new Int32Array(batch.tokens.length);
  let at = 0;
  for (const { tokens, types } of texts) {
    if (types !== null) all.set(types, at);
    at += tokens.length;
  }
  return i32(all, [all.length]);
}

function padded(tokens: number): number {
  return Math.ceil(tokens / padStep) * padStep;
}

function vector(data: Float32Array): Tensor {
  return { type: "float32", shape: [data.length], data };
}

function answer(name: "embedding" | "logits", tensor: Tensor): Payload {
  return { values: {}, tensors: { [name]: tensor } };
}

function outputsOf({ embedding }: EncoderShape): Readonly<Record<string, OutputType>> {
  if (embedding === null) return { logits: "float32" };
  const outputs = { pooled: "float32", max: "float32", tokens: "float32" } as const;
  return embedding.own ? { ...outputs, own: "float32" } : outputs;
}
