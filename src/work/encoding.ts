/**
 * What the program `encoder` takes and gives, as payloads: the tasks on texts write these and read them there.
 *
 *   item      values: pooling, layer (embeddings only)     tensors: tokens int32[n]; types int32[n], of a pair;
 *                                                                   masked int32[k]: places that have no weight in pooling
 *   outcome   embeddings                                   tensors: embedding float32 [width], or [n, width] for `none`
 *             labels                                       tensors: logits float32 [labels]
 */
import { int32List, type JsonObject, type JsonValue, type Payload } from "./payload.js";
import type { Piece } from "./piece.js";

/** What becomes of the vectors of a text's tokens; `none`: nothing, all of them are wanted. */
export const encoderPoolings = ["mean", "max", "mean-max", "cls", "sep", "none"] as const;

export type EncoderPooling = (typeof encoderPoolings)[number];

/** Which vectors are wanted of a text. */
export interface EmbeddingWish {
  /** `own`: the folder's, with whatever it has behind the pooling. */
  readonly pooling: EncoderPooling | "own";
  /** Of hidden states: 0 are the embeddings, the number of layers is the last. */
  readonly layer: number;
}

export interface EncoderInput {
  /** As the model takes them, special tokens included. */
  readonly tokens: Int32Array;
  /** Which text of a pair each token belongs to; null: all to the first. */
  readonly types: Int32Array | null;
  /** Null: logits. */
  readonly embedding: EmbeddingWish | null;
  /** Places, in rising order, whose tokens have no weight in pooling; left out: every token has. */
  readonly masked?: Int32Array;
}

export function encoderPayload({ tokens, types, embedding, masked }: EncoderInput): Payload {
  const values: JsonObject =
    embedding === null ? {} : { pooling: embedding.pooling, layer: embedding.layer };
  return {
    values,
    tensors: {
      tokens: int32List(tokens),
      ...(types === null ? {} : { types: int32List(types) }),
      ...(masked === undefined ? {} : { masked: int32List(masked) }),
    },
  };
}

/** What a piece holds in memory beside its tokens. */
const pieceBytes = 240;

/** What comes out is held until the request's reply goes: who asks for much has much in the queue, from the beginning. */
export function encoderPiece(input: EncoderInput, resultBytes: number): Piece {
  const { tokens, types, masked } = input;
  const units = tokens.length;
  const lists = [tokens, types, masked].map((list) => list?.byteLength ?? 0);
  const bytes = pieceBytes + lists.reduce((sum, each) => sum + each, 0) + resultBytes;
  const cost = { units, width: units, rows: 1, bytes, batchKey: encoderKey(input) };
  return { payload: encoderPayload(input), cost, note: null };
}

/** What comes out of the graph for it; how tokens are weighed in a sum is a matter of inputs, so that three are one. */
export type EncoderOutput = "logits" | "own" | "pooled" | "max" | "pooled+max" | "tokens";

const outputs: Readonly<Record<EmbeddingWish["pooling"], EncoderOutput>> = {
  own: "own",
  mean: "pooled",
  cls: "pooled",
  sep: "pooled",
  max: "max",
  "mean-max": "pooled+max",
  none: "tokens",
};

type Wished = Pick<EncoderInput, "embedding" | "masked">;

/** The graph's own `max` sees every token: where some have no weight, the largest is found among all of them afterwards. */
export function encoderOutput({ embedding, masked }: Wished): EncoderOutput {
  if (embedding === null) return "logits";
  const output = outputs[embedding.pooling];
  return masked !== undefined && output !== "pooled" ? "tokens" : output;
}

/** Texts of one key can share a run. */
export function encoderKey(input: Wished): string {
  return input.embedding === null ? "" : `${encoderOutput(input)}:${input.embedding.layer}`;
}

/** Null where the payload is not one of an encoder: then the item is bad, and nothing else. */
export function readEncoderInput({ values, tensors }: Payload): EncoderInput | null {
  const tokens = tensors["tokens"]?.data;
  const types = tensors["types"]?.data ?? null;
  if (!(tokens instanceof Int32Array) || tokens.length === 0) return null;
  if (types !== null && !(types instanceof Int32Array && types.length === tokens.length)) {
    return null;
  }
  const { pooling, layer } = values;
  if (pooling === undefined && layer === undefined) return { tokens, types, embedding: null };
  if (!isWished(pooling) || typeof layer !== "number" || !Number.isInteger(layer)) return null;
  const embedding = { pooling, layer };
  const masked = tensors["masked"]?.data;
  if (masked === undefined) return { tokens, types, embedding };
  if (!(masked instanceof Int32Array) || !arePlaces(masked, tokens.length)) return null;
  return maskable.includes(pooling) ? { tokens, types, embedding, masked } : null;
}

/** Where tokens are weighed, so that some can have no weight. */
const maskable: readonly EmbeddingWish["pooling"][] = ["mean", "max", "mean-max"];

/** Each once: they rise. */
function arePlaces(list: Int32Array, length: number): boolean {
  return list.every((place, at) => place > (list[at - 1] ?? -1) && place < length);
}

/** The tensor, where it is one of finite float32 numbers and of this shape; null where it is anything else. */
export function finiteFloats(
  { tensors }: Payload,
  name: "embedding" | "logits",
  shape: readonly number[],
): Float32Array | null {
  const tensor = tensors[name];
  if (tensor === undefined || !(tensor.data instanceof Float32Array)) return null;
  const { data } = tensor;
  if (tensor.shape.length !== shape.length) return null;
  if (tensor.shape.some((size, at) => size !== shape[at])) return null;
  for (let at = 0; at < data.length; at += 1) if (!Number.isFinite(data[at])) return null;
  return data;
}

/** What makes a score of a logit; `identity`: the score is the logit. */
export type EncoderScores = "softmax" | "sigmoid" | "identity";

/** In double precision. */
export function scoresOf(logits: Float32Array, by: EncoderScores): readonly number[] {
  if (by === "identity") return [...logits];
  if (by === "sigmoid") return Array.from(logits, (logit) => 1 / (1 + Math.exp(-logit)));
  const largest = logits.reduce((most, logit) => Math.max(most, logit), -Infinity);
  const parts = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = parts.reduce((total, part) => total + part, 0);
  return parts.map((part) => part / sum);
}

function isWished(value: JsonValue | undefined): value is EmbeddingWish["pooling"] {
  return value === "own" || encoderPoolings.some((pooling) => pooling === value);
}
