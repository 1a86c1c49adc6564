/** `/embed`, `/embed_all` and `/similarity`: texts, or token ids, → vectors, or how near they are. */
import { MillraceError } from "millrace-client/wire";
import type { SubmitSummary } from "../../submit/submit.js";
import type { Asker } from "../../work/asker.js";
import type { Payload } from "../../work/payload.js";
import { askEach, valueOf } from "../ask.js";
import type { FrontParts } from "../front.js";
import type { ReadBody } from "../json-body.js";
import { TextTurns } from "../text-turns.js";
import { similaritiesText, vectorFloats, vectorSteps } from "../vectors.js";
import {
  countOf,
  cutFields,
  type EmbedAllBody,
  type EmbedBody,
  readInputs,
  refusePrompt,
  type SimilarityBody,
} from "./fields.js";
import { type TeiAnswer, tokensOf } from "./replies.js";

export async function embed(
  asker: Asker,
  parts: FrontParts,
  { value, bytes }: ReadBody<EmbedBody>,
): Promise<TeiAnswer> {
  refusePrompt(value.prompt_name);
  const { fields, characters } = readInputs(value.inputs);
  const { normalize = true, dimensions } = value;
  const named = typeof dimensions === "number" ? { dimensions } : {};
  const wanted = { ...fields, ...cutFields(value), ...named, normalize };
  return await vectorsOf(asker, parts, { fields: wanted, characters, bytes });
}

export async function embedAll(
  asker: Asker,
  parts: FrontParts,
  { value, bytes }: ReadBody<EmbedAllBody>,
): Promise<TeiAnswer> {
  refusePrompt(value.prompt_name);
  const { fields, characters } = readInputs(value.inputs);
  const wanted = { ...fields, ...cutFields(value), pooling: "none", normalize: false };
  return await vectorsOf(asker, parts, { fields: wanted, characters, bytes });
}

export async function similarity(
  asker: Asker,
  parts: FrontParts,
  { value, bytes }: ReadBody<SimilarityBody>,
): Promise<TeiAnswer> {
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
  const summary = await ask(asker, parts, {
    fields,
    bytes,
    onResult: (result, index) => {
      tokens += tokensOf(result);
      vectors[index] = vectorFloats(result);
    },
  });
  const characters = texts.reduce((sum, text) => sum + countOf(text), 0);
  return { body: similaritiesText(vectors), computed: { characters, tokens, summary } };
}

interface Wanted {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly characters: number;
  readonly bytes: number;
}

interface OnResult {
  readonly onResult: (result: Payload, index: number) => void;
}

async function vectorsOf(
  asker: Asker,
  parts: FrontParts,
  { fields, characters, bytes }: Wanted,
): Promise<TeiAnswer> {
  // As text from the start, while others still run.
  const vectors: string[] = [];
  let tokens = 0;
  using turns = new TextTurns();
  const summary = await ask(asker, parts, {
    fields,
    bytes,
    onResult: (result, index) => {
      tokens += tokensOf(result);
      turns.add(vectorSteps(result), (text) => {
        vectors[index] = text;
      });
    },
  });
  await turns.end();
  return { body: `[${vectors.join(",")}]`, computed: { characters, tokens, summary } };
}

async function ask(
  asker: Asker,
  parts: FrontParts,
  { fields, bytes, onResult }: Omit<Wanted, "characters"> & OnResult,
): Promise<SubmitSummary> {
  return await askEach(parts, asker, {
    task: "embed",
    model: parts.options.teiModel,
    fields,
    payloadBytes: bytes,
    onOutcome: ({ index, outcome }) => onResult(valueOf(outcome, `inputs[${index}]`), index),
  });
}
