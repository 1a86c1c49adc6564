/** `/predict` and `/rerank`: how well labels fit texts, and how well texts answer a query. */
import { MillraceError } from "millrace-client/wire";
import type { Asker } from "../../work/asker.js";
import type { Caller } from "../../work/caller.js";
import { badField, kindOf } from "../../work/fields.js";
import { float32Text } from "../../work/float-text.js";
import type { Payload } from "../../work/payload.js";
import { type Answer, ask, valueOf } from "../ask.js";
import { modelsOf } from "../callers-models.js";
import type { FrontParts } from "../front.js";
import type { ReadBody } from "../json-body.js";
import { scoresBy } from "../logit-scores.js";
import { countOf, cutFields, type PredictBody, type RerankBody } from "./fields.js";
import { type Computed, numberOf, type TeiAnswer, tokensOf } from "./replies.js";

export async function predict(
  asker: Asker,
  parts: FrontParts,
  { value, bytes }: ReadBody<PredictBody>,
): Promise<TeiAnswer> {
  const { texts, isSingle } = readTexts(value.inputs);
  const { raw_scores: raw = false } = value;
  const task = taskOf(parts, asker.caller);
  const answer = await ask(parts, asker, {
    task,
    model: parts.options.teiModel,
    fields: {
      texts: task === "rerank" ? texts.map(pairOf) : texts,
      raw: true,
      ...cutFields(value),
    },
    payloadBytes: bytes,
  });
  const labels = labelsOf(parts, answer);
  const results = answer.outcomes.map((outcome, index) => valueOf(outcome, `inputs[${index}]`));
  const predictions = results.map((result) => {
    const scores = scoresOf(logitsOf(result), raw);
    const list = sorted(scores).map(({ score, index }) => {
      return `{"score":${score},"label":${JSON.stringify(labels[index] ?? "")}}`;
    });
    return `[${list.join(",")}]`;
  });
  const body = isSingle ? (predictions[0] ?? "[]") : `[${predictions.join(",")}]`;
  return { body, computed: computedOf(answer, results, texts.flat()) };
}

export async function rerank(
  asker: Asker,
  parts: FrontParts,
  { value, bytes }: ReadBody<RerankBody>,
): Promise<TeiAnswer> {
  const { query, texts, raw_scores: raw = false, return_text: withText = false } = value;
  if (texts.length === 0) {
    throw new MillraceError("bad_request", "`texts` cannot be empty", { param: "texts" });
  }
  const answer = await ask(parts, asker, {
    task: "rerank",
    model: parts.options.teiModel,
    fields: { query, texts, raw: true, ...cutFields(value) },
    payloadBytes: bytes,
  });
  const results = answer.outcomes.map((outcome, index) => valueOf(outcome, `texts[${index}]`));
  const scores = results.map((result) => scoresOf(logitsOf(result), raw)[0] ?? 0);
  const ranks = sorted(scores).map(({ score, index }) => {
    const text = withText ? `,"text":${JSON.stringify(texts[index])}` : "";
    return `{"index":${index}${text},"score":${score}}`;
  });
  const read = texts.flatMap((text) => [query, text]);
  return { body: `[${ranks.join(",")}]`, computed: computedOf(answer, results, read) };
}

/** A model that ranks is one with a single label, and a pair is what it takes. */
function taskOf({ views, options }: FrontParts, caller: Caller): "classify" | "rerank" {
  const { teiModel: named } = options;
  const models = modelsOf(views, caller).filter(({ name }) => named === null || name === named);
  const isRanking = models.some(({ task }) => task === "rerank");
  return isRanking && !models.some(({ task }) => task === "classify") ? "rerank" : "classify";
}

interface ReadTexts {
  readonly texts: readonly (string | readonly unknown[])[];
  /** One text, or one pair: the reply is no list of lists. */
  readonly isSingle: boolean;
}

/** `["a", "b"]` by itself is a pair; inside a list too. */
function readTexts(inputs: unknown): ReadTexts {
  if (typeof inputs === "string") return { texts: [inputs], isSingle: true };
  if (!Array.isArray(inputs) || inputs.length === 0) {
    const what = Array.isArray(inputs) ? "an empty list" : kindOf(inputs);
    throw badField("inputs", `must be a text, a pair of texts or a list of those, not ${what}`);
  }
  const list: readonly unknown[] = inputs;
  if (typeof list[0] === "string") return { texts: [sequenceOf(list, null)], isSingle: true };
  const texts = list.map(sequenceOf);
  return { texts, isSingle: false };
}

/** `index`: null where it is all that was sent. It is named where it is wrong only: there may be a million. */
function sequenceOf(value: unknown, index: number | null): string | readonly unknown[] {
  const param = (): string => (index === null ? "inputs" : `inputs[${index}]`);
  if (!Array.isArray(value))
    throw badField(param(), `must be a list of texts, not ${kindOf(value)}`);
  const list: readonly unknown[] = value;
  if (list.length !== 1 && list.length !== 2) {
    throw badField(param(), `is a list of ${list.length}; a text is a list of one, a pair of two`);
  }
  const [first] = list;
  return list.length === 1 && typeof first === "string" ? first : list;
}

function pairOf(text: string | readonly unknown[], index: number): readonly unknown[] {
  if (typeof text !== "string") return text;
  throw badField(`inputs[${index}]`, "is one text, and the model takes pairs");
}

/** In the model's order. */
function labelsOf({ views }: FrontParts, { summary }: Answer): readonly string[] {
  const { labels } = views.models().find(({ name }) => name === summary.model) ?? {};
  if (labels !== undefined) return labels;
  const message = `${summary.model} has more labels than this protocol can be told of`;
  throw new MillraceError("model_not_found", message);
}

function logitsOf({ values, tensors }: Payload): readonly number[] {
  const logits = tensors["logits"]?.data;
  if (logits instanceof Float32Array) return [...logits];
  return [numberOf(values["logit"])];
}

/** As it is there: a sigmoid of one, a softmax of several. */
function scoresOf(logits: readonly number[], raw: boolean): readonly number[] {
  if (raw) return logits;
  return scoresBy(logits.length === 1 ? "sigmoid" : "softmax", logits);
}

/** Its order of equal ones too: sorted upwards, and turned round. */
function sorted(scores: readonly number[]): { readonly score: string; readonly index: number }[] {
  return scores
    .map((score, index) => ({ score: Math.fround(score), index }))
    .toSorted((left, right) => left.score - right.score)
    .toReversed()
    .map(({ score, index }) => ({ score: float32Text(score), index }));
}

function computedOf(
  { summary }: Answer,
  results: readonly Payload[],
  texts: readonly unknown[],
): Computed {
  return {
    characters: texts.reduce<number>((sum, text) => sum + countOf(String(text)), 0),
    tokens: results.reduce((sum, result) => sum + tokensOf(result), 0),
    summary,
  };
}
