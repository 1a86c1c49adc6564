/** Scores of logits by a function that a protocol or its caller names, whatever the model's own folder says. */

export type ScoreFunction = "softmax" | "sigmoid" | "none";

export function scoresBy(by: ScoreFunction, logits: readonly number[]): readonly number[] {
  if (by === "none") return logits;
  if (by === "sigmoid") return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
  const largest = logits.reduce((most, logit) => Math.max(most, logit), -Infinity);
  const parts = logits.map((logit) => Math.exp(logit - largest));
  const sum = parts.reduce((total, part) => total + part, 0);
  return parts.map((part) => part / sum);
}
