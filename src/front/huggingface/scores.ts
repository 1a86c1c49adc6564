/** Labels with their scores, by the model's own function or by the one that a caller names. */
import type { ModelInfo } from "millrace-client/wire";
import { badField, type Fields } from "../../work/fields.js";
import type { JsonObject, Payload } from "../../work/payload.js";
import { type ScoreFunction, scoresBy } from "../logit-scores.js";

/** Null: the model's own. */
export function functionOf(named: Fields): ScoreFunction | null {
  return named.choice("function_to_apply", ["sigmoid", "softmax", "none"] as const) ?? null;
}

/** Another function than the model's own: what is made of its logits here. */
interface ScoresWish {
  readonly by: ScoreFunction;
  readonly labels: readonly string[];
  readonly topK: number;
}

/** Null: as the task has them. */
export function scoresWish(
  named: Fields,
  { labels }: Pick<ModelInfo, "labels">,
  { topK = Infinity }: { readonly topK?: number },
): ScoresWish | null {
  const by = functionOf(named);
  if (by === null) return null;
  if (labels !== undefined) return { by, labels, topK };
  throw badField("function_to_apply", "the model has more labels than it can be done for");
}

export function rawOf(wish: ScoresWish | null): JsonObject {
  return wish === null ? {} : { raw: true };
}

export function scoresText(result: Payload | undefined, wish: ScoresWish | null = null): string {
  if (wish === null) return JSON.stringify(result?.values["labels"] ?? []);
  const { by, labels, topK } = wish;
  const logits = result?.tensors["logits"]?.data;
  if (!(logits instanceof Float32Array))
    throw new Error("logits were asked for, and there are none");
  const scores = scoresBy(by, [...logits]);
  const best = labels
    .map((label, index) => ({ label, score: scores[index] ?? 0 }))
    .toSorted((left, right) => right.score - left.score);
  return JSON.stringify(best.slice(0, topK));
}
