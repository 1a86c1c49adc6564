/** The task `rerank`: a query and texts, or pairs of both → how well each text answers. */
import assert from "node:assert/strict";
import { MillraceError, type RerankResult, type TextOrPair } from "millrace-client/wire";
import { programManifestOf } from "../../models/engine-table.js";
import type { EncoderManifest } from "../../models/programs/manifest-encoder.js";
import type { ModelFolder } from "../../models/registry.js";
import { EncoderTexts, inputFacts, truncateEnds } from "../../prepare/text/encoder-texts.js";
import { heldBytes, readText, readTextsOrPairs } from "../../prepare/text/read-texts.js";
import type { TokenTexts } from "../../prepare/text/token-texts.js";
import { type EncoderScores, finiteFloats, scoresOf } from "../../work/encoding.js";
import { badField, Fields } from "../../work/fields.js";
import { type JsonObject, type Payload, valuesOnly } from "../../work/payload.js";
import type { PrepareStep } from "../../work/piece.js";
import type {
  JoinParts,
  PrepareLimits,
  ReadLimits,
  Task,
  TaskModel,
  TaskRequest,
} from "../task.js";
import { rerankSchema } from "./schema.js";
import { rerankingTensors } from "./tensor-view.js";

export const reranking: Task<TextOrPair> = {
  name: "rerank",
  inputFields: ["texts"],
  fields: ["query", "texts", "raw", "truncate", "truncateFrom"],
  schema: rerankSchema,
  tensorView: rerankingTensors,
  read: readRerank,
  async open({ dir, manifest: served }: ModelFolder, limits: PrepareLimits) {
    const manifest = programManifestOf(served, "encoder");
    const scores = scoresBy(manifest);
    const texts = await EncoderTexts.ofModel(dir, manifest, limits);
    return new RerankingTaskModel(scores, texts);
  },
};

/** The query is said once, in the settings: it would else be copied as often as there are texts. */
function readRerank(
  body: Readonly<Record<string, unknown>>,
  { requestInputsMax }: ReadLimits,
): TaskRequest<TextOrPair> {
  const fields = new Fields(body);
  const raw = fields.flag("raw") ?? false;
  const truncate = fields.flag("truncate") ?? false;
  const truncateFrom = fields.choice("truncateFrom", truncateEnds) ?? "end";
  const named = fields.value("query");
  const query = named === undefined ? undefined : readText(named, "query");
  const inputs = readTextsOrPairs(fields.value("texts"), "texts", requestInputsMax);
  const wrong = inputs.findIndex((input) => (typeof input === "string") === (query === undefined));
  if (wrong !== -1) {
    const what =
      query === undefined
        ? "is a text, and there is no `query`"
        : "is a pair, and there is a `query`";
    throw badField(`texts[${wrong}]`, what);
  }
  const bytes = heldBytes(query === undefined ? inputs : [query, ...inputs]);
  const settings: JsonObject = { raw, truncate, truncateFrom };
  return { inputs, settings: query === undefined ? settings : { ...settings, query }, bytes };
}

/** One number for a pair: of several nobody could say which is meant, and a softmax of one is always 1. */
function scoresBy({ name, labels, scores }: EncoderManifest): Exclude<EncoderScores, "softmax"> {
  if (labels?.length === 1 && scores !== null && scores !== "softmax") return scores;
  const what = labels === null ? "vectors" : `${labels.length} labels by ${scores ?? "no"} scores`;
  const message = `${name} gives ${what}, where one label and a sigmoid are needed`;
  throw new MillraceError("model_folder_invalid", message);
}

/** In a reply. */
const resultBytes = 100;

class RerankingTaskModel implements TaskModel<TextOrPair> {
  readonly #scores: EncoderScores;
  readonly #texts: EncoderTexts;

  constructor(scores: EncoderScores, texts: EncoderTexts) {
    this.#scores = scores;
    this.#texts = texts;
  }

  get tokens(): TokenTexts {
    return this.#texts.tokens;
  }

  complete(settings: JsonObject): JsonObject {
    return settings;
  }

  weigh(input: TextOrPair): number {
    return this.#texts.weigh(input);
  }

  steps(
    input: TextOrPair,
    { index, settings }: { readonly index: number; readonly settings: JsonObject },
  ): Iterable<PrepareStep> {
    const { query = "", truncate, truncateFrom } = settings;
    assert(typeof query === "string", "reranking: the settings are not those that were read");
    const pair = typeof input === "string" ? ([query, input] as const) : input;
    return this.#texts.steps(pair, {
      param: `texts[${index}]`,
      truncate: truncate === true,
      truncateFrom: truncateFrom === "start" ? "start" : "end",
      embedding: null,
      resultBytes: () => resultBytes,
    });
  }

  checkResult(value: Payload): string | null {
    if (finiteFloats(value, "logits", [1]) !== null) return null;
    return "the model's answer is not one finite number";
  }

  join({ answers: [answer], note, settings }: JoinParts): Payload {
    const logits = answer?.tensors["logits"]?.data;
    assert(logits instanceof Float32Array, "reranking: an answer was joined unchecked");
    const [score = 0] = scoresOf(logits, this.#scores);
    const result = {
      score,
      ...(settings["raw"] === true ? { logit: logits[0] ?? 0 } : {}),
      ...inputFacts(note),
    } satisfies RerankResult;
    return valuesOnly(result);
  }
}
