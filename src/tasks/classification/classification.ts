/** The task `classify`: texts, or pairs of texts → which of the model's labels fit how well. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { MillraceError, type ScoredLabel, type TextOrPair } from "millrace-client/wire";
import { programManifestOf } from "../../models/engine-table.js";
import type { EncoderManifest } from "../../models/programs/manifest-encoder.js";
import type { ModelFolder } from "../../models/registry.js";
import { EncoderTexts, inputFacts } from "../../prepare/text/encoder-texts.js";
import { heldBytes, readTextsOrPairs } from "../../prepare/text/read-texts.js";
import { finiteFloats, scoresOf } from "../../work/encoding.js";
import { Fields } from "../../work/fields.js";
import type { JsonObject, Payload } from "../../work/payload.js";
import type { PrepareStep } from "../../work/piece.js";
import type {
  JoinParts,
  PrepareLimits,
  ReadLimits,
  Task,
  TaskModel,
  TaskRequest,
} from "../task.js";

export const classification: Task<TextOrPair> = {
  name: "classify",
  fields: ["texts", "topK", "raw", "truncate"],
  read: readClassify,
  open: openTexts,
};

/** As far as any model goes; one that has fewer labels gives all of them. */
const topKMax = 100_000;

function readClassify(
  body: Readonly<Record<string, unknown>>,
  { requestInputsMax }: ReadLimits,
): TaskRequest<TextOrPair> {
  const fields = new Fields(body);
  const topK = fields.integer("topK", [1, topKMax]);
  const raw = fields.flag("raw") ?? false;
  const truncate = fields.flag("truncate") ?? false;
  const inputs = readTextsOrPairs(fields.value("texts"), "texts", requestInputsMax);
  const settings = { raw, truncate, ...(topK === undefined ? {} : { topK }) };
  return { inputs, settings, bytes: heldBytes(inputs) };
}

async function openTexts(
  { dir, manifest: served }: ModelFolder,
  { inputCharactersMax }: PrepareLimits,
): Promise<TaskModel<TextOrPair>> {
  const manifest = programManifestOf(served, "encoder");
  const { files, limits, shape, unknownTokenId, labels, scores, name } = manifest;
  if (labels === null || scores === null) {
    throw new MillraceError("model_folder_invalid", `${name} gives vectors, and no labels`);
  }
  const texts = await EncoderTexts.open({
    path: join(dir, files.tokenizer),
    unknownTokenId,
    inputTokensMax: limits.inputTokensMax,
    tokenTypes: shape.tokenTypes,
    inputCharactersMax,
  });
  return new ClassificationTaskModel({ labels, scores }, texts);
}

/** In a reply. */
const logitBytes = 12;

interface LabelModel {
  readonly labels: readonly string[];
  readonly scores: NonNullable<EncoderManifest["scores"]>;
}

class ClassificationTaskModel implements TaskModel<TextOrPair> {
  readonly #model: LabelModel;
  readonly #texts: EncoderTexts;
  /** Of a label and its score in a reply, at most. */
  readonly #labelBytes: number;

  constructor(model: LabelModel, texts: EncoderTexts) {
    this.#model = model;
    this.#texts = texts;
    this.#labelBytes = model.labels.reduce((most, { length }) => Math.max(most, length), 0) + 48;
  }

  complete(settings: JsonObject): JsonObject {
    return { topK: this.#model.labels.length, ...settings };
  }

  weigh(input: TextOrPair): number {
    return this.#texts.weigh(input);
  }

  steps(
    input: TextOrPair,
    { index, settings }: { readonly index: number; readonly settings: JsonObject },
  ): Iterable<PrepareStep> {
    const { topK, raw, truncate } = settings;
    const { length } = this.#model.labels;
    const labels = Math.min(length, Number(topK)) * this.#labelBytes;
    const logits = raw === true ? length * logitBytes : 0;
    return this.#texts.steps(input, {
      param: `texts[${index}]`,
      truncate: truncate === true,
      embedding: null,
      resultBytes: () => labels + logits,
    });
  }

  checkResult(value: Payload): string | null {
    const { length } = this.#model.labels;
    if (finiteFloats(value, "logits", [length]) !== null) return null;
    return `the model's answer is not a finite number for each of its ${length} labels`;
  }

  join({ answers: [answer], note, settings }: JoinParts): Payload {
    const { labels, scores } = this.#model;
    const logits = answer?.tensors["logits"]?.data;
    assert(logits instanceof Float32Array, "classification: an answer was joined unchecked");
    const best = bestLabels(labels, scoresOf(logits, scores), Number(settings["topK"]));
    const values: JsonObject = { labels: best, ...inputFacts(note) };
    const list = { type: "float32", shape: [logits.length], data: logits } as const;
    return { values, tensors: settings["raw"] === true ? { logits: list } : {} };
  }
}

type LabelScore = Pick<ScoredLabel, keyof ScoredLabel>;

/** The best first; a sort keeps the order of equals. */
function bestLabels(
  labels: readonly string[],
  scores: readonly number[],
  topK: number,
): readonly LabelScore[] {
  return labels
    .map((label, index) => ({ label, score: scores[index] ?? 0 }))
    .toSorted((a, b) => b.score - a.score)
    .slice(0, topK);
}
