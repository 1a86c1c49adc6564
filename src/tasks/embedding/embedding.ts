/** The task `embed`: texts, pairs of texts, tokens or their ids → vectors. */
import assert from "node:assert/strict";
import { MillraceError } from "millrace-client/wire";
import { programManifestOf } from "../../models/engine-table.js";
import type { ModelFolder } from "../../models/registry.js";
import {
  type EncoderTextInput,
  EncoderTexts,
  inputFacts,
} from "../../prepare/text/encoder-texts.js";
import type { TokenTexts } from "../../prepare/text/token-texts.js";
import { finiteFloats } from "../../work/encoding.js";
import type { JsonObject, Payload } from "../../work/payload.js";
import type { PrepareStep } from "../../work/piece.js";
import type { JoinParts, PrepareLimits, Task, TaskModel } from "../task.js";
import { embedFields, embedInputFields, readEmbed } from "./fields.js";
import { embedSchema } from "./schema.js";
import { completedEmbed, completeEmbed, type EmbeddingModel, widthOf } from "./settings.js";
import { embeddingTensors } from "./tensor-view.js";

export const embedding: Task<EncoderTextInput> = {
  name: "embed",
  inputFields: embedInputFields,
  fields: embedFields,
  tensorView: embeddingTensors,
  rows: "embedding",
  schema: embedSchema,
  read: readEmbed,
  async open({ dir, manifest: served }: ModelFolder, limits: PrepareLimits) {
    const manifest = programManifestOf(served, "encoder");
    const { shape, embedding, name } = manifest;
    if (embedding === null) {
      const message = `${name} gives labels, and no vectors`;
      throw new MillraceError("model_folder_invalid", message);
    }
    const texts = await EncoderTexts.ofModel(dir, manifest, limits);
    return new EmbeddingTaskModel({ embedding, shape }, texts);
  },
};

/** In a reply: a float32 in digits, or as two thirds of eight characters. */
const bytesOfNumber = { float: 12, base64: 6 } as const;

class EmbeddingTaskModel implements TaskModel<EncoderTextInput> {
  readonly #model: EmbeddingModel;
  readonly #texts: EncoderTexts;

  constructor(model: EmbeddingModel, texts: EncoderTexts) {
    this.#model = model;
    this.#texts = texts;
  }

  get tokens(): TokenTexts {
    return this.#texts.tokens;
  }

  complete(settings: JsonObject): JsonObject {
    return completeEmbed(settings, this.#model);
  }

  weigh(input: EncoderTextInput): number {
    return this.#texts.weigh(input);
  }

  steps(
    input: EncoderTextInput,
    { index, settings }: { readonly index: number; readonly settings: JsonObject },
  ): Iterable<PrepareStep> {
    const completed = completedEmbed(settings);
    const { pooling, layer, dimensions, encoding, maxTokens, kind } = completed;
    const { truncate, truncateFrom, returnTokens, maskSpecial } = completed;
    const vectorBytes = dimensions * bytesOfNumber[encoding];
    return this.#texts.steps(input, {
      param: `${kind}[${index}]`,
      truncate,
      truncateFrom,
      returnTokens,
      maskSpecial,
      ...(maxTokens === null ? {} : { maxTokens }),
      embedding: { pooling, layer },
      resultBytes: (tokens) => vectorBytes * (pooling === "none" ? tokens : 1),
    });
  }

  checkResult(value: Payload, settings: JsonObject): string | null {
    const { pooling } = completedEmbed(settings);
    const width = widthOf(pooling, this.#model);
    const rows = value.tensors["embedding"]?.shape[0] ?? 0;
    const shape = pooling === "none" ? [rows, width] : [width];
    if (finiteFloats(value, "embedding", shape) !== null) return null;
    return `the model's answer is not ${width} finite numbers${pooling === "none" ? " a token" : ""}`;
  }

  join({ answers, note, settings, pieces }: JoinParts): Payload {
    const completed = completedEmbed(settings);
    const ids = pieces[0]?.payload.tensors["tokens"]?.data;
    const tokens =
      completed.returnTokens && ids instanceof Int32Array
        ? { tokens: this.#texts.tokenTexts(ids) }
        : {};
    const facts = { ...inputFacts(note), ...tokens };
    const tensor = answers[0]?.tensors["embedding"];
    assert(tensor?.data instanceof Float32Array, "embedding: an answer was joined unchecked");
    const width = tensor.shape.at(-1) ?? 0;
    const data = vectorsOf(tensor.data, width, completed);
    if (completed.encoding === "base64") {
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      return { values: { ...facts, embedding: bytes.toString("base64") }, tensors: {} };
    }
    const { dimensions } = completed;
    const shape = tensor.shape.length === 1 ? [dimensions] : [data.length / dimensions, dimensions];
    const result = { type: "float32", shape, data } as const;
    return { values: { ...facts }, tensors: { embedding: result } };
  }
}

/** Rows of the first dimensions, each divided by its length where that is wanted. */
function vectorsOf(
  source: Float32Array,
  width: number,
  { dimensions, normalize }: { readonly dimensions: number; readonly normalize: boolean },
): Float32Array {
  if (!normalize && dimensions === width) return source;
  const rows = source.length / width;
  const kept = new Float32Array(rows * dimensions);
  for (let row = 0; row < rows; row += 1) {
    const vector = source.subarray(row * width, row * width + dimensions);
    let squares = 0;
    for (let at = 0; at < dimensions; at += 1) squares += (vector[at] ?? 0) ** 2;
    // A vector of nothing but zeros has no direction: it stays as it is.
    const scale = normalize && squares > 0 ? 1 / Math.sqrt(squares) : 1;
    for (let at = 0; at < dimensions; at += 1) {
      kept[row * dimensions + at] = (vector[at] ?? 0) * scale;
    }
  }
  return kept;
}
