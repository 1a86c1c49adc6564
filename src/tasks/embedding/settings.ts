/** The settings of a request, completed with what the model's folder says and held against what it has. */
import assert from "node:assert/strict";
import type { EncoderManifest } from "../../models/programs/manifest-encoder.js";
import { type TruncateFrom, truncateEnds } from "../../prepare/text/encoder-texts.js";
import { type EmbeddingWish, encoderPoolings } from "../../work/encoding.js";
import { badField } from "../../work/fields.js";
import type { JsonObject } from "../../work/payload.js";
import type { EmbedInputField } from "./fields.js";

/** The part of the manifest that settings depend on. */
export interface EmbeddingModel {
  readonly embedding: NonNullable<EncoderManifest["embedding"]>;
  readonly shape: EncoderManifest["shape"];
}

/** With nothing left out. */
export interface EmbedSettings extends EmbeddingWish {
  readonly normalize: boolean;
  /** All, where nobody named fewer. */
  readonly dimensions: number;
  readonly encoding: "float" | "base64";
  readonly truncate: boolean;
  readonly truncateFrom: TruncateFrom;
  /** Null: as many as the model takes. */
  readonly maxTokens: number | null;
  readonly returnTokens: boolean;
  readonly maskSpecial: boolean;
  /** As the field of the inputs is called. */
  readonly kind: EmbedInputField;
}

/** @throws MillraceError `bad_request` where the model has no such layer, or fewer dimensions. */
export function completeEmbed(settings: JsonObject, model: EmbeddingModel): JsonObject {
  const { embedding, shape } = model;
  const wish = { pooling: poolingOf(settings, embedding), layer: layerOf(settings, shape) };
  const isOwn = embedding.own && wish.pooling === embedding.pooling && wish.layer === shape.layers;
  const pooling = isOwn ? "own" : wish.pooling;
  if (settings["maskSpecial"] === true) checkMasked(pooling, wish.pooling);
  const width = widthOf(pooling, model);
  const dimensions = settings["dimensions"] ?? width;
  if (typeof dimensions === "number" && dimensions > width) {
    throw badField("dimensions", `is ${dimensions}; the model's vectors have ${width}`);
  }
  const defaults = {
    normalize: embedding.normalize,
    encoding: "float",
    truncate: false,
    truncateFrom: "end",
    maxTokens: null,
    returnTokens: false,
    maskSpecial: false,
    kind: "texts",
  };
  return { ...defaults, ...settings, pooling, layer: wish.layer, dimensions };
}

/** Read once: all inputs of a request have the same ones, and there may be ten thousand of them. */
const read = new WeakMap<JsonObject, EmbedSettings>();

/** The settings that `completeEmbed` gave, as they are needed again. */
export function completedEmbed(settings: JsonObject): EmbedSettings {
  const known = read.get(settings) ?? readCompleted(settings);
  read.set(settings, known);
  return known;
}

function readCompleted(settings: JsonObject): EmbedSettings {
  const { pooling, layer, normalize, dimensions, encoding, truncate, kind } = settings;
  const { truncateFrom, maxTokens, returnTokens, maskSpecial } = settings;
  const from = truncateEnds.find((end) => end === truncateFrom);
  assert(
    (pooling === "own" || encoderPoolings.some((each) => each === pooling)) &&
      typeof layer === "number" &&
      typeof normalize === "boolean" &&
      typeof dimensions === "number" &&
      (encoding === "float" || encoding === "base64") &&
      typeof truncate === "boolean" &&
      from !== undefined &&
      (maxTokens === null || typeof maxTokens === "number") &&
      typeof returnTokens === "boolean" &&
      typeof maskSpecial === "boolean" &&
      (kind === "texts" || kind === "tokenIds" || kind === "tokens"),
    "embedding: its settings were not completed",
  );
  const wished = { pooling: pooling as EmbeddingWish["pooling"], layer };
  const cut = { truncate, truncateFrom: from, maxTokens };
  return { ...wished, ...cut, normalize, dimensions, encoding, returnTokens, maskSpecial, kind };
}

/** Where one token is taken, or all of them are given, there is nothing to weigh; nor where layers follow that were made for all. */
function checkMasked(pooling: EmbeddingWish["pooling"], named: EmbeddingWish["pooling"]): void {
  const what =
    pooling === "own"
      ? "the model has layers of its own behind its pooling; name another `pooling` or `layer`"
      : `is for the poolings mean, max and mean-max, not ${named}`;
  if (pooling === "mean" || pooling === "max" || pooling === "mean-max") return;
  throw badField("maskSpecial", what);
}

/** Of a vector before any dimension is left out. */
export function widthOf(
  pooling: EmbeddingWish["pooling"],
  { embedding, shape }: EmbeddingModel,
): number {
  if (pooling === "own") return embedding.width;
  return pooling === "mean-max" ? 2 * shape.width : shape.width;
}

function poolingOf({ pooling }: JsonObject, embedding: EmbeddingModel["embedding"]) {
  return encoderPoolings.find((each) => each === pooling) ?? embedding.pooling;
}

/** As Python indexes hidden states from the end: the embeddings are the first of them. */
function layerOf(settings: JsonObject, { layers }: EmbeddingModel["shape"]): number {
  const layer = Number(settings["layer"] ?? -1);
  const index = layers + 1 + layer;
  if (index >= 0) return index;
  const range = `-1 (the last layer) to ${-layers - 1} (the embeddings)`;
  throw badField("layer", `is ${layer}; the model has ${range}`);
}
