/**
 * How the next tokens of one sentence are chosen. A search owns `width` hypotheses (beams; 1 is greedy); the engine
 * gives it the best candidates of each and it says which hypotheses go on, from which parent, with which token.
 * Meaning and order of operations are Hugging Face's (`GenerationMixin`, transformers 5).
 */
import { badTokens, type GenerationSettings, type Hypothesis } from "../../../work/generation.js";

/** What the model itself fixes. */
export interface SearchRules {
  readonly endTokenId: number;
  /** Forced, with log-probability 0, at the last position that `maxLength` allows. */
  readonly forcedEndTokenId: number | null;
  /** Sequences that must not be generated; of several tokens, the last one is refused. */
  readonly badWords: readonly (readonly number[])[];
  readonly earlyStopping: boolean | "never";
  /** Log-softmax once more after bad words were refused. Greedy scores are always reported so. */
  readonly renormalizeLogits: boolean;
}

/** The best candidates of the rows of one sentence, as the graph returns them: row-major, best first. */
export interface Candidates {
  readonly ids: Int32Array;
  /** Log-probabilities before any rule. */
  readonly scores: Float32Array;
  /** Log-probabilities of the `badTokens`, `badCount` for each row. */
  readonly badScores: Float32Array;
  readonly badCount: number;
  /** Where this sentence's first row begins, in candidates of one row. */
  readonly rowOffset: number;
  /** Candidates of each row. */
  readonly count: number;
}

export interface Search {
  /** Rows that it takes. */
  readonly width: number;
  /** Token of each hypothesis to feed next. */
  readonly tokens: Int32Array;
  /** After `advance`: from which hypothesis of the step before each one comes. */
  readonly parents: Int32Array;
  /** True where the next token is forced, so that no run is needed: call `force` instead of `advance`. */
  readonly forced: boolean;
  /**
   * `candidates`: for hypothesis h, row `rows[h]`. Returns true when the search has ended. Throws where the model's
   * scores are no numbers or permit nothing; the search is of no use then.
   */
  advance(candidates: Candidates, rows: Int32Array): boolean;
  /** Takes the forced end token; always ends the search. */
  force(): void;
  /** After the end: the best first, at least one, at most `nBest`; ids without the start token, with the end token. */
  results(): Hypothesis[];
}

export interface SearchStart {
  readonly settings: GenerationSettings;
  readonly rules: SearchRules;
  readonly startTokenId: number;
}

/** Candidates that the graph must return for each row: enough that the rules cannot run it dry. */
export function candidatesNeeded(width: number, rules: SearchRules): number {
  return (width === 1 ? 1 : 2 * width) + rules.badWords.length;
}

/** Log-probability of candidate `index`. −∞: the model holds it impossible. Throws where it is no log-probability. */
export function logProbabilityOf({ scores }: Candidates, index: number): number {
  const score = scores[index];
  if (score !== undefined && score < Number.POSITIVE_INFINITY) return score;
  throw new Error(`the model gave the score ${score}`);
}

/** Below it, 1 − refused has lost its digits: what is permitted is summed up itself. */
const permittedMin = 1e-5;

/** What log-softmax over the permitted tokens adds to each log-probability of a row: −log(1 − what was refused). */
export function renormalization(
  rules: SearchRules,
  candidates: Candidates,
  at: { readonly row: number; readonly generated: readonly number[] },
): number {
  let refused = 0;
  for (const [column, token] of badTokensOf(rules).entries()) {
    if (!isBad(rules, at.generated, token)) continue;
    const score = candidates.badScores[at.row * candidates.badCount + column];
    refused += Math.exp(score ?? Number.NEGATIVE_INFINITY);
  }
  if (1 - refused > permittedMin) return -Math.log1p(-refused);
  return -logOfPermitted(rules, candidates, at);
}

const badTokensByRules = new WeakMap<SearchRules, readonly number[]>();

function badTokensOf(rules: SearchRules): readonly number[] {
  const found = badTokensByRules.get(rules) ?? badTokens(rules.badWords);
  badTokensByRules.set(rules, found);
  return found;
}

/** The log of the probability of all candidates that may follow: nearly all there is, where the others are refused. */
function logOfPermitted(
  rules: SearchRules,
  candidates: Candidates,
  at: { readonly row: number; readonly generated: readonly number[] },
): number {
  const from = at.row * candidates.count;
  let most = Number.NEGATIVE_INFINITY;
  let sum = 0;
  for (let index = from; index < from + candidates.count; index += 1) {
    if (isBad(rules, at.generated, candidates.ids[index] ?? 0)) continue;
    const score = logProbabilityOf(candidates, index);
    // The best comes first, and each is measured by it: exp of a score alone may be 0.
    if (sum === 0) most = score;
    sum += Math.exp(score - most);
  }
  return most + Math.log(sum);
}

/** True where `token` after `generated` (start token included) would complete a bad word. */
export function isBad(rules: SearchRules, generated: readonly number[], token: number): boolean {
  return rules.badWords.some((word) => {
    if (word[word.length - 1] !== token) return false;
    if (word.length === 1) return true;
    // As in transformers: a word is not looked for until there are as many tokens as it has, start token included.
    if (generated.length < word.length) return false;
    const before = generated.length - (word.length - 1);
    return word.slice(0, -1).every((id, index) => generated[before + index] === id);
  });
}
