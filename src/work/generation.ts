/**
 * What the generation engine takes and gives, as payloads: any task that generates tokens writes these on the parent's
 * side and reads them there; the engine does the reverse.
 *
 *   item      values: beams, nBest, lengthPenalty, maxLength         tensors: tokens int32[n]
 *   outcome   values: scores [hypotheses], lengths [hypotheses]      tensors: tokens int32[sum of lengths]
 */
import { int32List, type JsonValue, listOf, type Payload } from "./payload.js";

export interface GenerationSettings {
  readonly beams: number;
  readonly nBest: number;
  readonly lengthPenalty: number;
  /** In tokens, the start token counted. */
  readonly maxLength: number;
}

export interface GenerationInput {
  /** As the model takes them, end token included. */
  readonly tokenIds: readonly number[];
  readonly settings: GenerationSettings;
}

/** As far as any request, any model of its own and any engine goes. */
export const generationLimits = { beamsMax: 8, lengthPenaltyMax: 10 } as const;

/** Ids without start token, with end token. */
export interface Hypothesis {
  readonly tokenIds: readonly number[];
  readonly score: number;
}

/** Tokens that can complete a bad word, each once: the columns of `bad_scores`, as convert writes them and the engine reads them. */
export function badTokens(badWords: readonly (readonly number[])[]): number[] {
  return [...new Set(badWords.flatMap((word) => word.slice(-1)))];
}

export function generationPayload({ tokenIds, settings }: GenerationInput): Payload {
  const { beams, nBest, lengthPenalty, maxLength } = settings;
  const values = { beams, nBest, lengthPenalty, maxLength };
  return { values, tensors: { tokens: int32List(tokenIds) } };
}

/** Null where the payload is not one of a generation: then the item is bad, and nothing else. */
export function readGenerationInput({ values, tensors }: Payload): GenerationInput | null {
  const { beams, nBest, lengthPenalty, maxLength } = values;
  const tokens = tensors["tokens"]?.data;
  if (!isCount(beams) || !isCount(nBest) || !isCount(maxLength) || !isScore(lengthPenalty)) {
    return null;
  }
  if (!(tokens instanceof Int32Array) || tokens.length === 0) return null;
  return { tokenIds: listOf(tokens), settings: { beams, nBest, lengthPenalty, maxLength } };
}

export function hypothesesPayload(hypotheses: readonly Hypothesis[]): Payload {
  const scores = hypotheses.map(({ score }) => score);
  const lengths = hypotheses.map(({ tokenIds }) => tokenIds.length);
  const ids: number[] = [];
  for (const { tokenIds } of hypotheses) for (const id of tokenIds) ids.push(id);
  const tokens = int32List(ids);
  return { values: { scores, lengths }, tensors: { tokens } };
}

/** The best first, at least one. Null where the payload says anything else: not finite, of no length, of no sum. */
export function readHypotheses({ values, tensors }: Payload): readonly Hypothesis[] | null {
  const { scores, lengths } = values;
  const tokens = tensors["tokens"]?.data;
  if (!isListOf(scores, isScore) || !isListOf(lengths, isCount)) return null;
  if (!(tokens instanceof Int32Array) || scores.length === 0) return null;
  if (scores.length !== lengths.length) return null;
  if (lengths.reduce((sum, length) => sum + length, 0) !== tokens.length) return null;
  let from = 0;
  return scores.map((score, index) => {
    const until = from + (lengths[index] ?? 0);
    const tokenIds = listOf(tokens.subarray(from, until));
    from = until;
    return { tokenIds, score };
  });
}

function isCount(value: JsonValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 1;
}

function isScore(value: JsonValue | undefined): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function isListOf<T extends JsonValue>(
  value: JsonValue | undefined,
  check: (entry: JsonValue | undefined) => entry is T,
): value is readonly T[] {
  return Array.isArray(value) && value.every((entry: JsonValue) => check(entry));
}
