/** `/embed`, `/embed_all` and `/similarity`: texts, or token ids, → vectors, or how near they are. */
import { MillraceError } from "millrace-client/wire";
import type { Exchange } from "../../listen/http/http-front.js";
import type { SubmitSummary } from "../../submit/submit.js";
import { float32Text } from "../../work/float-text.js";
import type { Payload, Tensor } from "../../work/payload.js";
import { askEach, valueOf } from "../ask.js";
import type { FrontParts } from "../front.js";
import type { ReadBody } from "../json-body.js";
import {
  countOf,
  cutFields,
  type EmbedAllBody,
  type EmbedBody,
  readInputs,
  refusePrompt,
  type SimilarityBody,
} from "./fields.js";
import { teiReply, tokensOf } from "./replies.js";

export async function embed(
  exchange: Exchange,
  parts: FrontParts,
  { value, bytes }: ReadBody<EmbedBody>,
): Promise<void> {
  refusePrompt(value.prompt_name);
  const { fields, characters } = readInputs(value.inputs);
  const { normalize = true, dimensions } = value;
  const named = typeof dimensions === "number" ? { dimensions } : {};
  const wanted = { ...fields, ...cutFields(value), ...named, normalize };
  await replyVectors(exchange, parts, { fields: wanted, characters, bytes });
}

export async function embedAll(
  exchange: Exchange,
  parts: FrontParts,
  { value, bytes }: ReadBody<EmbedAllBody>,
): Promise<void> {
  refusePrompt(value.prompt_name);
  const { fields, characters } = readInputs(value.inputs);
  const wanted = { ...fields, ...cutFields(value), pooling: "none", normalize: false };
  await replyVectors(exchange, parts, { fields: wanted, characters, bytes });
}

export async function similarity(
  exchange: Exchange,
  parts: FrontParts,
  { value, bytes }: ReadBody<SimilarityBody>,
): Promise<void> {
  const { inputs, parameters } = value;
  const { source_sentence: source, sentences } = inputs;
  refusePrompt(parameters?.prompt_name);
  if (sentences.length === 0) {
    const param = "inputs.sentences";
    throw new MillraceError("input_empty", "`inputs.sentences` cannot be empty", { param });
  }
  const texts = [source, ...sentences];
  const fields = { texts, normalize: false, ...cutFields(parameters ?? {}) };
  const vectors: Float32Array[] = [];
  let tokens = 0;
  const summary = await ask(exchange, parts, {
    fields,
    bytes,
    onResult: (result, index) => {
      tokens += tokensOf(result);
      vectors[index] = floatsOf(vectorOf(result));
    },
  });
  const [first = new Float32Array(), ...others] = vectors;
  const near = others.map((other) => float32Text(Math.fround(cosine(first, other))));
  const characters = texts.reduce((sum, text) => sum + countOf(text), 0);
  exchange.reply(teiReply(`[${near.join(",")}]`, { characters, tokens, summary }));
}

interface Wanted {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly characters: number;
  readonly bytes: number;
}

interface OnResult {
  readonly onResult: (result: Payload, index: number) => void;
}

async function replyVectors(
  exchange: Exchange,
  parts: FrontParts,
  { fields, characters, bytes }: Wanted,
): Promise<void> {
  // As text from the start, while others still run.
  const vectors: string[] = [];
  let tokens = 0;
  const summary = await ask(exchange, parts, {
    fields,
    bytes,
    onResult: (result, index) => {
      tokens += tokensOf(result);
      vectors[index] = textOf(vectorOf(result));
    },
  });
  exchange.reply(teiReply(`[${vectors.join(",")}]`, { characters, tokens, summary }));
}

async function ask(
  exchange: Exchange,
  parts: FrontParts,
  { fields, bytes, onResult }: Omit<Wanted, "characters"> & OnResult,
): Promise<SubmitSummary> {
  return await askEach(parts, exchange, {
    task: "embed",
    model: parts.options.teiModel,
    fields,
    payloadBytes: bytes,
    onOutcome: ({ index, outcome }) => onResult(valueOf(outcome, `inputs[${index}]`), index),
  });
}

function vectorOf({ tensors }: Payload): Tensor {
  const tensor = tensors["embedding"];
  if (tensor === undefined) throw new Error("embed: a result without its vector");
  return tensor;
}

function floatsOf({ data }: Tensor): Float32Array {
  if (data instanceof Float32Array) return data;
  throw new Error("embed: a vector that is not of float32 numbers");
}

/** A list of numbers, or a list of them for each token. */
function textOf(tensor: Tensor): string {
  const data = floatsOf(tensor);
  if (tensor.shape.length === 1) return listOf(data);
  const width = tensor.shape.at(-1) ?? 0;
  const rows = Array.from({ length: tensor.shape[0] ?? 0 }, (_, row) =>
    listOf(data.subarray(row * width, (row + 1) * width)),
  );
  return `[${rows.join(",")}]`;
}

function listOf(data: Float32Array): string {
  return `[${Array.from(data, float32Text).join(",")}]`;
}

/** Of vectors that have a direction; of any other 0. */
function cosine(one: Float32Array, other: Float32Array): number {
  let product = 0;
  let [left, right] = [0, 0];
  for (let at = 0; at < one.length; at += 1) {
    const [x = 0, y = 0] = [one[at], other[at]];
    product += x * y;
    left += x * x;
    right += y * y;
  }
  return left === 0 || right === 0 ? 0 : product / Math.sqrt(left * right);
}
