/** What a model is for says what its inputs are there, and what the reply looks like. */
import { MillraceError, type ModelInfo } from "millrace-client/wire";
import type { Exchange, Reply } from "../../listen/http/http-front.js";
import { badField, type Fields } from "../../work/fields.js";
import { isJsonObject, type JsonObject, type JsonValue, type Payload } from "../../work/payload.js";
import { type Answer, ask, askEach, valueOf } from "../ask.js";
import type { FrontParts } from "../front.js";
import type { ReadBody } from "../json-body.js";
import { scoresBy } from "../logit-scores.js";
import { similaritiesText, vectorFloats, vectorText } from "../vectors.js";
import {
  comparedOf,
  type HuggingfaceBody,
  parametersOf,
  plainTextsOf,
  textsOrPairsOf,
} from "./body.js";
import { functionOf, rawOf, scoresText, scoresWish } from "./scores.js";

export interface Asked {
  readonly model: ModelInfo;
  /** Named in the path, as Hugging Face calls it; null: the model's own. */
  readonly pipeline: string | null;
}

/** Calls submit before it waits for anything. */
export async function answerJson(
  exchange: Exchange,
  parts: FrontParts,
  asked: Asked & ReadBody<HuggingfaceBody>,
): Promise<void> {
  const { model, pipeline, value } = asked;
  if (value.parameters?.["candidate_labels"] !== undefined) {
    throw badField("parameters.candidate_labels", "zero-shot classification is not served");
  }
  const pipelines = pipelinesOf(model);
  if (pipeline !== null && !pipelines.includes(pipeline)) {
    const what = `${model.name} is for ${pipelines.join(", ")}, and not for ${pipeline}`;
    throw new MillraceError("model_not_found", what, { param: "model" });
  }
  const compared = comparedOf(value.inputs);
  switch (model.task) {
    case "embed":
      if (pipeline === "sentence-similarity" && compared === null) {
        throw badField("inputs", "must have `source_sentence` and `sentences`");
      }
      if (compared !== null) return await compare(exchange, parts, { ...asked, compared });
      return await extract(exchange, parts, asked);
    case "classify":
      if (takesPictures(model)) return await classifyBase64(exchange, parts, asked);
      return await classifyTexts(exchange, parts, asked);
    case "rerank":
      return await rankPairs(exchange, parts, asked);
    case "translate":
      return await translate(exchange, parts, asked);
    case "ocr":
      return await readBase64(exchange, parts, asked);
    default:
      throw new MillraceError("model_not_found", `${model.name} is for nothing of this protocol`);
  }
}

/** As it came: a picture. */
export async function answerBytes(
  exchange: Exchange,
  parts: FrontParts,
  { model, bytes }: Asked & { readonly bytes: Uint8Array },
): Promise<void> {
  const question = { model: model.name, payloadBytes: bytes.byteLength };
  if (model.task === "ocr") {
    const answer = await ask(parts, exchange, {
      ...question,
      task: "ocr",
      fields: { images: [bytes] },
    });
    exchange.reply(jsonReply(readText(resultsOf(answer)[0])));
    return;
  }
  const answer = await ask(parts, exchange, {
    ...question,
    task: "classify",
    fields: { images: [bytes], topK: picturesTopK },
  });
  exchange.reply(jsonReply(scoresText(resultsOf(answer)[0])));
}

/** Of those that classify, only such a model has no limit of tokens. */
export function takesPictures({ task, limits }: ModelInfo): boolean {
  return task === "ocr" || (task === "classify" && limits.inputTokensMax === undefined);
}

/** As many labels as there are where nobody says otherwise. */
const picturesTopK = 5;

function pipelinesOf(model: ModelInfo): readonly string[] {
  switch (model.task) {
    case "embed":
      return ["feature-extraction", "sentence-similarity"];
    case "classify":
      return takesPictures(model) ? ["image-classification"] : ["text-classification"];
    case "rerank":
      return ["text-classification", "text-ranking"];
    case "translate":
      return ["translation"];
    case "ocr":
      return ["image-to-text"];
    default:
      return [];
  }
}

type Request = Asked & ReadBody<HuggingfaceBody>;

const cutNames = ["truncate", "truncation_direction", "prompt_name"];

/** A text that is too long is cut there, and nobody hears of it. */
function cutFields(named: Fields): JsonObject {
  if (named.value("prompt_name") !== undefined) {
    throw badField("prompt_name", "the model has no prompts");
  }
  const ends = ["left", "Left", "right", "Right"] as const;
  const from = named.choice("truncation_direction", ends);
  const truncateFrom = from === "left" || from === "Left" ? "start" : "end";
  return { truncate: named.flag("truncate") ?? true, truncateFrom };
}

async function extract(exchange: Exchange, parts: FrontParts, asked: Request): Promise<void> {
  const names = [...cutNames, "normalize", "dimensions", "encoding_format"];
  const named = parametersOf(asked.value, names);
  if ((named.choice("encoding_format", ["float", "base64"] as const) ?? "float") !== "float") {
    throw badField("encoding_format", "vectors are lists of numbers here");
  }
  const { texts, isList } = plainTextsOf(asked.value.inputs);
  const normalize = named.flag("normalize");
  const dimensions = named.integer("dimensions", [1, 1_000_000]);
  const fields = {
    texts,
    ...cutFields(named),
    ...(normalize === undefined ? {} : { normalize }),
    ...(dimensions === undefined ? {} : { dimensions }),
  };
  // As text from the start, while others still run.
  const vectors: string[] = [];
  await askEach(parts, exchange, {
    ...questionOf(asked, "embed", fields),
    onOutcome: ({ index, outcome }) => {
      vectors[index] = vectorText(valueOf(outcome, `inputs[${index}]`));
    },
  });
  exchange.reply(jsonReply(isList ? `[${vectors.join(",")}]` : (vectors[0] ?? "[]")));
}

async function compare(
  exchange: Exchange,
  parts: FrontParts,
  { compared, ...asked }: Request & { readonly compared: readonly unknown[] },
): Promise<void> {
  const fields = { texts: compared, ...cutFields(parametersOf(asked.value, cutNames)) };
  const answer = await ask(parts, exchange, questionOf(asked, "embed", fields));
  exchange.reply(jsonReply(similaritiesText(resultsOf(answer).map(vectorFloats))));
}

const classifyNames = ["top_k", "function_to_apply", "truncate", "truncation"];

async function classifyTexts(exchange: Exchange, parts: FrontParts, asked: Request): Promise<void> {
  const named = parametersOf(asked.value, classifyNames);
  const { texts } = textsOrPairsOf(asked.value.inputs);
  const topK = topKOf(named);
  const wish = scoresWish(named, asked.model, topK);
  const fields = { texts, ...topK, ...rawOf(wish), truncate: truncates(named) };
  const answer = await ask(parts, exchange, questionOf(asked, "classify", fields));
  // A list for each text, of one text too.
  const lists = resultsOf(answer).map((result) => scoresText(result, wish));
  exchange.reply(jsonReply(`[${lists.join(",")}]`));
}

async function classifyBase64(
  exchange: Exchange,
  parts: FrontParts,
  asked: Request,
): Promise<void> {
  const images = [base64Of(asked)];
  const named = parametersOf(asked.value, classifyNames);
  const topK = { topK: picturesTopK, ...topKOf(named) };
  const wish = scoresWish(named, asked.model, topK);
  const fields = { images, ...topK, ...rawOf(wish) };
  const answer = await ask(parts, exchange, questionOf(asked, "classify", fields));
  exchange.reply(jsonReply(scoresText(resultsOf(answer)[0], wish)));
}

/** The lines of a page in one text. */
async function readBase64(exchange: Exchange, parts: FrontParts, asked: Request): Promise<void> {
  const images = [base64Of(asked)];
  parametersOf(asked.value, []);
  const answer = await ask(parts, exchange, questionOf(asked, "ocr", { images }));
  exchange.reply(jsonReply(readText(resultsOf(answer)[0])));
}

function base64Of({ value: { inputs } }: Request): string {
  if (typeof inputs === "string") return inputs;
  throw badField("inputs", "must be a picture in base64");
}

function lineText({ text }: JsonObject): string {
  return typeof text === "string" ? text : "";
}

/** An object and no list: the client wants it so. */
function readText(result: Payload | undefined): string {
  const lines = result?.values["lines"];
  const texts = (Array.isArray(lines) ? lines : []).filter(isJsonObject).map(lineText);
  return JSON.stringify({ generated_text: texts.join("\n") });
}

/** A model that ranks is there one with a single label, and pairs are what it takes. */
async function rankPairs(exchange: Exchange, parts: FrontParts, asked: Request): Promise<void> {
  const named = parametersOf(asked.value, classifyNames);
  topKOf(named);
  const by = functionOf(named);
  const { texts } = textsOrPairsOf(asked.value.inputs);
  const fields = { texts, truncate: truncates(named), ...(by === null ? {} : { raw: true }) };
  const answer = await ask(parts, exchange, questionOf(asked, "rerank", fields));
  const label = asked.model.labels?.[0] ?? "LABEL_0";
  const scoreOf = ({ values }: Payload): JsonValue =>
    by === null ? (values["score"] ?? 0) : (scoresBy(by, [Number(values["logit"])])[0] ?? 0);
  const scores = resultsOf(answer).map((result) => [{ label, score: scoreOf(result) }]);
  exchange.reply(jsonReply(JSON.stringify(scores)));
}

const translateNames = [
  "src_lang",
  "tgt_lang",
  "truncation",
  "truncate",
  "clean_up_tokenization_spaces",
  "generate_parameters",
  "num_beams",
  "max_length",
  "max_new_tokens",
  "length_penalty",
];

async function translate(exchange: Exchange, parts: FrontParts, asked: Request): Promise<void> {
  const named = parametersOf(asked.value, translateNames);
  const given = named.value("generate_parameters") ?? {};
  const generate = parametersOf({ parameters: given as JsonObject }, translateNames.slice(-4));
  const { sourceLanguage, targetLanguage } = asked.model;
  checkLanguage(named, "src_lang", sourceLanguage);
  checkLanguage(named, "tgt_lang", targetLanguage);
  const first = (name: string): unknown => generate.value(name) ?? named.value(name);
  const settings = {
    beams: first("num_beams"),
    maxLength: first("max_new_tokens") ?? first("max_length"),
    lengthPenalty: first("length_penalty"),
  };
  const { texts } = plainTextsOf(asked.value.inputs);
  const fields = {
    texts,
    truncate: truncates(named),
    ...Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)),
  };
  const answer = await ask(parts, exchange, questionOf(asked, "translate", fields));
  const results = resultsOf(answer).map(({ values }) => ({ translation_text: values["text"] }));
  exchange.reply(jsonReply(JSON.stringify(results)));
}

/** A model of one pair of languages: another one would be wrong, and nobody would notice. */
function checkLanguage(named: Fields, field: string, own: string | undefined): void {
  const asked = named.text(field, 32);
  if (asked === undefined || own === undefined) return;
  const [language] = asked.toLowerCase().split(/[-_]/);
  if (language === own.toLowerCase().split(/[-_]/)[0]) return;
  throw badField(field, `is ${asked}, and the model's is ${own}`);
}

function topKOf(named: Fields): { readonly topK?: number } {
  const topK = named.integer("top_k", [1, 100_000]);
  return topK === undefined ? {} : { topK };
}

const truncations = ["do_not_truncate", "longest_first", "only_first", "only_second"] as const;

function truncates(named: Fields): boolean {
  const truncation = named.value("truncation");
  if (typeof truncation === "boolean") return truncation;
  const how = named.choice("truncation", truncations);
  if (how !== undefined) return how !== "do_not_truncate";
  return named.flag("truncate") ?? false;
}

function questionOf({ model, bytes }: Request, task: string, fields: JsonFields) {
  return { task, model: model.name, fields, payloadBytes: bytes };
}

type JsonFields = Readonly<Record<string, unknown>>;

function resultsOf({ outcomes }: Answer): readonly Payload[] {
  return outcomes.map((outcome, index) => valueOf(outcome, `inputs[${index}]`));
}

function jsonReply(body: string): Reply {
  return { status: 200, contentType: "application/json", body };
}
