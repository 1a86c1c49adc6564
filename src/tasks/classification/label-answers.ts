/** What a model with labels answers, whatever its inputs are: a number for each label → the best labels. */
import assert from "node:assert/strict";
import type { ScoredLabel } from "millrace-client/wire";
import { type EncoderScores, finiteFloats, scoresOf } from "../../work/encoding.js";
import type { JsonObject, Payload } from "../../work/payload.js";
import type { JoinParts } from "../task.js";

export interface LabelModel {
  readonly labels: readonly string[];
  readonly scores: EncoderScores;
}

/** In a reply. */
const logitBytes = 12;

/** See TaskModel; `facts` are what the result says beside its labels. */
export class LabelAnswers {
  readonly #model: LabelModel;
  /** Of a label and its score in a reply, at most. */
  readonly #labelBytes: number;

  constructor(model: LabelModel) {
    this.#model = model;
    this.#labelBytes = model.labels.reduce((most, { length }) => Math.max(most, length), 0) + 48;
  }

  complete(settings: JsonObject): JsonObject {
    return { topK: this.#model.labels.length, ...settings };
  }

  /** Of a result. */
  resultBytes({ topK, raw }: JsonObject): number {
    const { length } = this.#model.labels;
    const labels = Math.min(length, Number(topK)) * this.#labelBytes;
    return labels + (raw === true ? length * logitBytes : 0);
  }

  check(value: Payload): string | null {
    const { length } = this.#model.labels;
    if (finiteFloats(value, "logits", [length]) !== null) return null;
    return `the model's answer is not a finite number for each of its ${length} labels`;
  }

  join(
    { answers: [answer], settings }: Pick<JoinParts, "answers" | "settings">,
    facts: JsonObject,
  ): Payload {
    const { labels, scores } = this.#model;
    const logits = answer?.tensors["logits"]?.data;
    assert(logits instanceof Float32Array, "classification: an answer was joined unchecked");
    const scored = scoresOf(logits, scores);
    const best = bestLabels(labels, scored, Number(settings["topK"]));
    const list = { type: "float32", shape: [logits.length], data: logits } as const;
    return {
      values: { labels: best, ...facts },
      tensors: settings["raw"] === true ? { logits: list } : {},
    };
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
