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
  candidatesNeeded,
  type Search,
  type SearchRules,
  type SearchStart,
} from "#src/runtime/generation/search/search.js";
import { badTokens, type GenerationSettings, type Hypothesis } from "#src/work/generation.js";
import { Random } from "../sim/random.js";

const endTokenId = 0;
const startTokenId = 1;
/** Twice the most beams and a few bad words: the first step alone fills every list. */
const vocabulary = 22;
const impossible = Number.NEGATIVE_INFINITY;
/** transformers' stand-in for "no score yet"; it is lower than real scores where lengthPenalty is about 1. */
const unlikely = -1e9;
/** One that is lower than any real score, whatever the penalty makes of both. */
const lowest = -1e200;

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
function beamsByTheBook(each: Case, unlikely: number): Result {
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
          score: unlikely < score ? Math.fround(score + more) : score + more,
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

interface Ranges {
  readonly lengthPenalty: fc.Arbitrary<number>;
  readonly maxLength: fc.Arbitrary<number>;
}

const settingsOf = (ranges: Ranges): fc.Arbitrary<GenerationSettings> =>
  fc
    .record({ beams: fc.integer({ min: 1, max: 8 }), ...ranges })
    .map((chosen) => ({ ...chosen, nBest: chosen.beams }));

/** Where transformers' own numbers hold. */
const usual: Ranges = {
  lengthPenalty: fc.constantFrom(-1, 0, 0.6, 1, 2),
  maxLength: fc.integer({ min: 2, max: 12 }),
};
/** All that a caller may ask for. */
const accepted: Ranges = {
  lengthPenalty: fc.oneof(
    fc.constantFrom(-10, -9.5, -3, -1e-9, 0, 1e-9, 3, 9.5, 10),
    fc.double({ min: -10, max: 10, noNaN: true }),
  ),
  maxLength: fc.oneof(fc.constantFrom(2, 3), fc.integer({ min: 2, max: 40 })),
};

const rules: fc.Arbitrary<SearchRules> = fc.record({
  endTokenId: fc.constant(endTokenId),
  forcedEndTokenId: fc.constantFrom(null, endTokenId),
  badWords: fc.array(badWord, { maxLength: 4 }),
  earlyStopping: fc.constantFrom(true, false, "never" as const),
  renormalizeLogits: fc.boolean(),
});

const casesOf = (ranges: Ranges): fc.Arbitrary<Case> =>
  fc.record({
    start: fc.record({
      settings: settingsOf(ranges),
      rules,
      startTokenId: fc.constant(startTokenId),
    }),
    seed: fc.integer(),
    endBonus: fc.constantFrom(0, 3, 5),
  });

function checkByTheBook(each: Case, none: number): void {
  const greedy = each.start.settings.beams === 1;
  const book = greedy ? greedyByTheBook(each) : beamsByTheBook(each, none);
  const own = ours(each);
  assert.equal(own.steps, book.steps);
  assert.ok(own.hypotheses.length > 0, "a search ended with nothing");
  // What never was possible fills transformers' list up, one copy of the beginning after the other.
  const expected = book.hypotheses.filter(({ score }) => score > none / 100);
  assert.deepEqual(
    own.hypotheses.map(({ tokenIds }) => tokenIds.join(" ")),
    expected.map(({ tokenIds }) => tokenIds.join(" ")),
  );
  for (const [index, { score }] of own.hypotheses.entries()) {
    const wanted = expected[index]?.score ?? Number.NaN;
    assert.ok(Number.isFinite(score));
    assert.ok(Math.abs(score - wanted) <= 1e-5 * (1 + Math.abs(wanted)), `${score}, not ${wanted}`);
  }
}

test("greedy and beams give what transformers' rules give, with the same scores", () => {
  fc.assert(
    fc.property(casesOf(usual), (each) => checkByTheBook(each, unlikely)),
    { numRuns: 1500 },
  );
});

test("defect 1: over all accepted settings too, where transformers' stand-in is low enough", () => {
  fc.assert(
    fc.property(casesOf(accepted), (each) => checkByTheBook(each, lowest)),
    { numRuns: 1000 },
  );
});

// ── Whatever the model says ─────────────────────────────────────────────────────────────────────────────────────

interface Wild {
  readonly start: SearchStart;
  readonly seed: number;
  readonly vocabulary: number;
  /** The lowest log-probability of the model, and how many candidates of a row are possible at all. */
  readonly lowest: number;
  readonly possible: number;
}

const anyMaxLength = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom(2, 3, 512) },
  { weight: 3, arbitrary: fc.integer({ min: 2, max: 64 }) },
);
const wildCases: fc.Arbitrary<Wild> = fc
  .record({
    start: fc.record({
      settings: settingsOf({ ...accepted, maxLength: anyMaxLength }).chain((chosen) =>
        fc.integer({ min: 1, max: chosen.beams }).map((nBest) => ({ ...chosen, nBest })),
      ),
      rules,
      startTokenId: fc.constant(startTokenId),
    }),
    seed: fc.integer(),
    vocabulary: fc.integer({ min: 8, max: 40 }),
    lowest: fc.constantFrom(-1, -20, -1e6, -3e38),
    possible: fc.integer({ min: 1, max: 40 }),
  })
  .filter(({ start, possible }) => possible > start.rules.badWords.length);

/** One row as the graph gives it: best first, the impossible last. */
function wildRow(random: Random, { vocabulary, lowest, possible }: Wild): [number[], number[]] {
  const ids = random.shuffled(Array.from({ length: vocabulary }, (_, id) => id));
  const scores = ids.map((_, rank) => (rank < possible ? lowest * random.next() : impossible));
  return [ids, scores.sort((left, right) => right - left)];
}

function runWild(wild: Wild): { readonly search: Search; readonly steps: number } {
  const { rules, settings } = wild.start;
  const search = settings.beams === 1 ? new GreedySearch(wild.start) : new BeamSearch(wild.start);
  const random = new Random(wild.seed);
  const count = Math.min(wild.vocabulary, candidatesNeeded(search.width, rules));
  const refusable = badTokens(rules.badWords);
  const rows = Int32Array.from({ length: search.width }, (_, row) => row);
  for (let steps = 1; ; steps += 1) {
    assert.ok(steps < settings.maxLength, "the search goes on behind maxLength");
    if (search.forced) {
      search.force();
      return { search, steps };
    }
    const each = [...rows].map(() => wildRow(random, wild));
    const badOf = ([ids, scores]: [number[], number[]]) =>
      refusable.map((token) => scores[ids.indexOf(token)] ?? impossible);
    const ended = search.advance(
      {
        ids: Int32Array.from(each.flatMap(([ids]) => ids.slice(0, count))),
        scores: Float32Array.from(each.flatMap(([, scores]) => scores.slice(0, count))),
        badScores: Float32Array.from(each.flatMap(badOf)),
        badCount: refusable.length,
        rowOffset: 0,
        count,
      },
      rows,
    );
    if (ended) return { search, steps };
    for (const parent of search.parents) assert.ok(parent >= 0 && parent < search.width);
    for (const token of search.tokens) assert.ok(token >= 0 && token < wild.vocabulary);
  }
}

test("defect 1: a search ends with a finite hypothesis for every accepted setting", () => {
  fc.assert(
    fc.property(wildCases, (wild) => {
      const { nBest, maxLength } = wild.start.settings;
      const found = runWild(wild).search.results();
      assert.ok(found.length >= 1 && found.length <= nBest, `${found.length} of ${nBest}`);
      for (const { tokenIds, score } of found) {
        assert.ok(Number.isFinite(score) && !Object.is(score, -0), `score ${score}`);
        assert.ok(tokenIds.length >= 1 && tokenIds.length < maxLength);
      }
      const scores = found.map(({ score }) => score);
      assert.deepEqual(
        scores,
        scores.toSorted((left, right) => right - left),
      );
    }),
    { numRuns: 500 },
  );
});

const plainRules: SearchRules = {
  endTokenId,
  forcedEndTokenId: null,
  badWords: [],
  earlyStopping: false,
  renormalizeLogits: false,
};

function started(beams: number, rules: Partial<SearchRules> = {}): Search {
  const settings = { beams, nBest: beams, lengthPenalty: 1, maxLength: 9 };
  const start = { settings, rules: { ...plainRules, ...rules }, startTokenId };
  return beams === 1 ? new GreedySearch(start) : new BeamSearch(start);
}

/** Gives every row the same candidates. */
function advance(search: Search, ids: readonly number[], scores: readonly number[]): boolean {
  const rows = Int32Array.from({ length: search.width }, (_, row) => row);
  const candidates = {
    ids: Int32Array.from([...rows].flatMap(() => ids)),
    scores: Float32Array.from([...rows].flatMap(() => scores)),
    badScores: new Float32Array(search.width),
    badCount: 1,
    rowOffset: 0,
    count: ids.length,
  };
  return search.advance(candidates, rows);
}

for (const beams of [1, 2, 8]) {
  test(`defect 13: ${beams} beams take no score that is not a number`, () => {
    for (const score of [Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => advance(started(beams), [3, 4, 5], [score, score, score]), /score/);
    }
    // A row that is shorter than it should be is no row of zeros.
    assert.throws(() => advance(started(beams), [3, 4, 5], []), /score/);
    const impossibles = [impossible, impossible, impossible];
    assert.throws(() => advance(started(beams), [3, 4, 5], impossibles), /permits no token/);
  });
}

test("where nothing may follow, what was generated is the result", () => {
  const search = started(2);
  assert.equal(advance(search, [3, 4, 5, 6], [-1, -2, -3, -4]), false);
  assert.equal(
    advance(
      search,
      [3, 4, 5, 6],
      Array.from({ length: 4 }, () => impossible),
    ),
    true,
  );
  assert.deepEqual(search.results(), [
    { tokenIds: [3], score: -1 },
    { tokenIds: [4], score: -2 },
  ]);
});

test("a model that wants nothing but a bad word still gets finite scores", () => {
  for (const beams of [1, 2]) {
    const search = started(beams, { badWords: [[3]], renormalizeLogits: true });
    const sure = Array.from({ length: 6 }, (_, rank) => (rank === 0 ? 0 : -800 - rank));
    while (!advance(search, [3, endTokenId, 5, 6, 7, 8], sure));
    for (const { score } of search.results()) assert.ok(Number.isFinite(score), `${score}`);
  }
});
