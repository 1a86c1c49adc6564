/** One turn of a translator: some sentences, translated from beginning to end while nothing else runs. */
export interface Turn {
  /** One after the other, each to its end, or all at once. */
  readonly mode: "one" | "all";
  readonly beams: number;
  /** The first so many of the sentences that the translator was started with. */
  readonly count: number;
  /** Instead of those that an engine was started with. */
  readonly tokenIds?: readonly (readonly number[])[];
  /** The engine's ids come back with the result; else only their hash does. */
  readonly wantsIds?: boolean;
}

export interface TurnResult {
  readonly seconds: number;
  readonly sentences: number;
  /** Generated, end tokens included. */
  readonly tokens: number;
  /** In the order of the inputs: texts of Millrace's, pieces of CTranslate2's. */
  readonly outputs: readonly string[];
  /** Of the decoder's runs; null where they cannot be seen. */
  readonly steps: StepCounts | null;
  /** Where the turn asked for them. */
  readonly ids?: readonly (readonly number[])[];
}

export interface StepCounts {
  readonly runs: number;
  readonly rows: number;
  /** Those among them that ran while more sentences waited to begin; null where that cannot be seen. */
  readonly whileMore: { readonly runs: number; readonly rows: number } | null;
}

/** Resident: started once, and as warm in its last turn as in its second. */
export interface Translator extends AsyncDisposable {
  translate(turn: Turn): Promise<TurnResult>;
  /** Its process, for what it holds in memory. */
  readonly pid: number;
}

export function addSteps(left: StepCounts | null, right: StepCounts | null): StepCounts | null {
  if (left === null || right === null) return null;
  const more =
    left.whileMore === null || right.whileMore === null
      ? null
      : {
          runs: left.whileMore.runs + right.whileMore.runs,
          rows: left.whileMore.rows + right.whileMore.rows,
        };
  return { runs: left.runs + right.runs, rows: left.rows + right.rows, whileMore: more };
}
