/**
 * Greedy and beam search against a plain reading of transformers' generation: dense log-probabilities over a small
 * vocabulary, every processor applied to the whole row, every list sorted whole.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BeamSearch } from "#src/runtime/generation/search/beam.js";
import { GreedySearch } from "#src/runtime/generation/search/greedy.js";
import {
  badTokens,
  candidatesNeeded,
  type SearchRules,
  type SearchStart,
} from "#src/runtime/generation/search/search.js";
import type { GenerationSettings, Hypothesis } from "#src/work/generation.js";
import { Random } from "../sim/random.js";

const endTokenId = 0;
const startTokenId = 1;
/** Twice the most beams and a few bad words: the first step alone fills every list. */
const vocabulary = 22;
const impossible = Number.NEGATIVE_INFINITY;
const unlikely = -1e9;

interface Result {
  readonly hypotheses: readonly Hypothesis[];
  /** How often tokens were chosen: a search that should have ended earlier costs runs. */
  readonly steps: number;
}

interface Case {
  readonly start: SearchStart;
  readonly seed: number;
  /** What is added to the end token's logit. */
  readonly endBonus: number;
}

/** Log-probabilities of the next token; always the same after the same tokens. */
function rowAfter({ seed, endBonus }: Case, tokens: readonly number[]): number[] {
  const random = new Random(tokens.reduce((hash, token) => Math.imul(hash, 31) + token, seed));
  // The first numbers of seeds that are close are alike.
  for (let skip = 0; skip < 5; skip += 1) random.next();
  const logits = Array.from({ length: vocabulary }, () => 6 * random.next());
  logits[endTokenId] = (logits[endTokenId] ?? 0) + endBonus;
  return logSoftmax(logits).map(Math.fround);
}

function logSoftmax(logits: readonly number[]): number[] {
  const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
  return logits.map((logit) => logit - Math.log(sum));
}

// ── transformers, read plainly ──────────────────────────────────────────────────────────────────────────────────

/** NoBadWordsLogitsProcessor, then ForcedEOSTokenLogitsProcessor, then LogitNormalization where it is wanted. */
function processed(each: Case, tokens: readonly number[], normalize: boolean): number[] {
  const { rules, settings } = each.start;
  let row = rowAfter(each, tokens);
  for (const word of rules.badWords) {
    const prefix = word.slice(0, -1);
    const longEnough = word.length === 1 || word.length <= tokens.length;
    const matches = tokens.slice(tokens.length - prefix.length).join() === prefix.join();
    if (longEnough && matches) row[word.at(-1) ?? 0] = impossible;
  }
  if (rules.forcedEndTokenId !== null && tokens.length === settings.maxLength - 1) {
    row = row.map((_, token) => (token === rules.forcedEndTokenId ? 0 : impossible));
  }
  return normalize ? logSoftmax(row) : row;
}

function greedyByTheBook(each: Case): Result {
  const tokens = [startTokenId];
  let score = 0;
  while (tokens.length < each.start.settings.maxLength && tokens.at(-1) !== endTokenId) {
    const row = processed(each, tokens, true);
    const best = row.indexOf(Math.max(...row));
    score += row[best] ?? 0;
    tokens.push(best);
  }
  return { hypotheses: [{ tokenIds: tokens.slice(1), score }], steps: tokens.length - 1 };
}

interface Beam {
  readonly tokens: readonly number[];
  readonly score: number;
}

const byScore = (left: { score: number }, right: { score: number }) => right.score - left.score;

/** `GenerationMixin._beam_search`, with its masks as numbers that are added. */
function beamsByTheBook(each: Case): Result {
  const { settings, rules } = each.start;
  const { beams, maxLength, lengthPenalty } = settings;
  let running: Beam[] = Array.from({ length: beams }, (_, beam) => ({
    tokens: [startTokenId],
    score: beam === 0 ? 0 : unlikely,
  }));
  let kept = Array.from({ length: beams }, () => ({
    tokens: [] as readonly number[],
    score: unlikely,
    finished: false,
  }));
  let improvable = true;
  for (let length = 1; ; length += 1) {
    const top = running
      .flatMap(({ tokens, score }) =>
        processed(each, tokens, rules.renormalizeLogits).map((more, token) => ({
          tokens: [...tokens, token],
          score: score + more,
        })),
      )
      .toSorted(byScore)
      .slice(0, 2 * beams);
    const hits = top.map(
      ({ tokens }) => tokens.length >= maxLength || tokens.at(-1) === endTokenId,
    );
    running = top
      .map((beam, index) => ({ ...beam, score: beam.score + (hits[index] ? unlikely : 0) }))
      .toSorted(byScore)
      .slice(0, beams);
    const full = kept.every(({ finished }) => finished) && rules.earlyStopping === true;
    const ended = top.map(({ tokens, score }, index) => {
      const finished = hits[index] === true && index < beams;
      const masks = (full ? unlikely : 0) + (improvable ? 0 : unlikely) + (finished ? 0 : unlikely);
      return { tokens, finished, score: score / length ** lengthPenalty + masks };
    });
    kept = [...kept, ...ended].toSorted(byScore).slice(0, beams);
    const farthest = rules.earlyStopping === "never" && lengthPenalty > 0 ? maxLength - 1 : length;
    const possible = (running[0]?.score ?? impossible) / farthest ** lengthPenalty;
    const worst = Math.min(...kept.map(({ score }) => score));
    improvable &&= kept.some(({ finished }) => possible > (finished ? worst : unlikely));
    const allFinished = kept.every(({ finished }) => finished);
    if (improvable && !(allFinished && rules.earlyStopping === true) && !hits.every(Boolean)) {
      continue;
    }
    const hypotheses = kept.map(({ tokens, score }) => ({ tokenIds: tokens.slice(1), score }));
    return { hypotheses, steps: length };
  }
}

// ── Ours, fed as the engine feeds it ────────────────────────────────────────────────────────────────────────────

function ours(each: Case): Result {
  const { settings, rules } = each.start;
  const search = settings.beams === 1 ? new GreedySearch(each.start) : new BeamSearch(each.start);
  const random = new Random(each.seed);
  const count = Math.min(vocabulary, candidatesNeeded(search.width, rules));
  const refusable = badTokens(rules.badWords);
  let pasts: number[][] = Array.from({ length: search.width }, () => [startTokenId]);
  for (let step = 1; ; step += 1) {
    assert.ok(step < settings.maxLength, "the search goes on behind maxLength");
    if (search.forced) {
      search.force();
      return { hypotheses: search.results(), steps: step };
    }
    // Another sentence stands before this one, and rows are in no order.
    const rows = Int32Array.from(random.shuffled([...pasts.keys()]));
    const rowOffset = 1;
    const ids = new Int32Array((rowOffset + search.width) * count).fill(endTokenId);
    const scores = new Float32Array(ids.length);
    const badScores = new Float32Array((rowOffset + search.width) * refusable.length);
    for (const [hypothesis, past] of pasts.entries()) {
      const row = rowOffset + (rows[hypothesis] ?? 0);
      const table = rowAfter(each, past);
      const best = [...table.keys()].sort((a, b) => (table[b] ?? 0) - (table[a] ?? 0));
      ids.set(best.slice(0, count), row * count);
      scores.set(
        best.slice(0, count).map((token) => table[token] ?? 0),
        row * count,
      );
      badScores.set(
        refusable.map((token) => table[token] ?? 0),
        row * refusable.length,
      );
    }
    const badCount = refusable.length;
    if (search.advance({ ids, scores, badScores, badCount, rowOffset, count }, rows)) {
      return { hypotheses: search.results(), steps: step };
    }
    const { parents, tokens } = search;
    pasts = pasts.map((_, beam) => [...(pasts[parents[beam] ?? 0] ?? []), tokens[beam] ?? 0]);
  }
}

const badWord = fc.oneof(
  fc.integer({ min: 1, max: vocabulary - 1 }).map((token) => [token]),
  fc.tuple(fc.nat(vocabulary - 1), fc.nat(vocabulary - 1)).map((word) => [...word]),
  // Words that begin with the start token, which transformers does not find at the very beginning.
  fc.array(fc.nat(4), { minLength: 1, maxLength: 2 }).map((word) => [startTokenId, ...word]),
);

const settings: fc.Arbitrary<GenerationSettings> = fc
  .record({
    beams: fc.integer({ min: 1, max: 8 }),
    lengthPenalty: fc.constantFrom(-1, 0, 0.6, 1, 2),
    maxLength: fc.integer({ min: 2, max: 12 }),
  })
  .map((chosen) => ({ ...chosen, nBest: chosen.beams }));

const rules: fc.Arbitrary<SearchRules> = fc.record({
  endTokenId: fc.constant(endTokenId),
  forcedEndTokenId: fc.constantFrom(null, endTokenId),
  badWords: fc.array(badWord, { maxLength: 4 }),
  earlyStopping: fc.constantFrom(true, false, "never" as const),
  renormalizeLogits: fc.boolean(),
});

const cases: fc.Arbitrary<Case> = fc.record({
  start: fc.record({ settings, rules, startTokenId: fc.constant(startTokenId) }),
  seed: fc.integer(),
  endBonus: fc.constantFrom(0, 3, 5),
});

test("greedy and beams give what transformers' rules give, with the same scores", () => {
  fc.assert(
    fc.property(cases, (each) => {
      const book = each.start.settings.beams === 1 ? greedyByTheBook(each) : beamsByTheBook(each);
      const own = ours(each);
      assert.equal(own.steps, book.steps);
      // What never was possible fills transformers' list up; nobody asks for it.
      const real = ({ hypotheses }: Result) =>
        hypotheses.filter(({ score }) => score > unlikely / 100);
      const [expected, found] = [real(book), real(own)];
      assert.deepEqual(
        found.map(({ tokenIds }) => tokenIds.join(" ")),
        expected.map(({ tokenIds }) => tokenIds.join(" ")),
      );
      for (const [index, { score }] of expected.entries()) {
        const gap = Math.abs(score - (found[index]?.score ?? Number.NaN));
        assert.ok(
          gap <= 1e-5 * (1 + Math.abs(score)),
          `score ${found[index]?.score}, not ${score}`,
        );
      }
    }),
    { numRuns: 1500 },
  );
});
