/**
 * Sentences of a text back into one text.
 *
 *   prefix · sentence 0 · joiner 0 · sentence 1 · joiner 1 · …
 */
import assert from "node:assert/strict";
import type { TranslateResult } from "millrace-client/wire";
import { type Hypothesis, readHypotheses } from "../../work/generation.js";
import { isJsonObject, type JsonObject } from "../../work/payload.js";
import type { JoinParts } from "../task.js";
import { completedSettings } from "./input.js";

/** Ids to text, the model's special tokens left out. */
export type Decode = (tokenIds: readonly number[]) => string;

export function joinTranslation(parts: JoinParts, decode: Decode): JsonObject {
  const { pieces } = parts;
  const { nBest } = completedSettings(parts.settings);
  const { truncated } = readNote(parts.note);
  const sentences = parts.answers.map((answer) => {
    const hypotheses = readHypotheses(answer);
    assert(hypotheses !== null, "translation: an answer was joined before it was checked");
    return hypotheses;
  });
  // No arguments: of those there may be a hundred thousand or so, and a text may have more sentences.
  const ranks = sentences.reduce((most, { length }) => Math.max(most, length), 0);
  const best = joinRank(parts, sentences, { rank: 0, decode });
  // Decoding takes some twenty microseconds, and a text may have thousands of sentences: none is done twice.
  const others = Array.from({ length: Math.max(0, Math.min(nBest, ranks) - 1) }, (_, index) =>
    joinRank(parts, sentences, { rank: index + 1, decode }),
  );
  return {
    ...best,
    inputTokens: sum(pieces.map(({ cost }) => cost.units)),
    outputTokens: sum(sentences.map((hypotheses) => hypotheses[0]?.tokenIds.length ?? 0)),
    sentences: pieces.length,
    ...(nBest > 1 ? { alternatives: ranks === 0 ? [] : [best, ...others] } : {}),
    ...(truncated ? { truncated: true } : {}),
  } satisfies TranslateResult;
}

/** The n-th of each sentence, joined; a sentence with fewer lends its last. */
function joinRank(
  { pieces, note }: JoinParts,
  sentences: readonly (readonly Hypothesis[])[],
  { rank, decode }: { readonly rank: number; readonly decode: Decode },
): { text: string; score: number } {
  if (sentences.length === 0) return { text: "", score: 0 };
  const chosen = sentences.map((hypotheses) => hypotheses[Math.min(rank, hypotheses.length - 1)]);
  let joined = "";
  for (const [at, one] of chosen.entries()) {
    const text = decode(one?.tokenIds ?? []);
    const joiner = pieces[at]?.note;
    // Behind a first sentence that came out empty, white space would part nothing from the next.
    if (text === "" && joined === "") continue;
    joined += text + (typeof joiner === "string" ? joiner : "");
  }
  const score = sum(chosen.map((one) => one?.score ?? 0)) / chosen.length;
  return { text: readNote(note).prefix + joined, score };
}

function readNote(note: JoinParts["note"]): {
  readonly prefix: string;
  readonly truncated: boolean;
} {
  assert(
    isJsonObject(note) && typeof note["prefix"] === "string",
    "translation: the note is not one of its steps'",
  );
  return { prefix: note["prefix"], truncated: note["truncated"] === true };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
