/**
 * Flags that many benchmarks have alike, declared once for `parseArgs`, and the numbers of a command line. What is none ends the run with the
 * name of its flag: NaN would be measured, and printed as a table of NaN.
 */

/** By what they are called, but for `fewRounds`: the rounds of a benchmark whose one round takes long. */
export const usual = {
  help: { type: "boolean", default: false },
  /** File of the figures. */
  json: { type: "string" },
  rounds: { type: "string", default: "5" },
  fewRounds: { type: "string", default: "3" },
  /** Millrace folder. */
  model: { type: "string", default: "models/en-zh" },
  /** Hugging Face folder. */
  source: { type: "string", default: "../shared/models/en-zh" },
  /** File of sentences, one a line, and how many of them. */
  sentences: { type: "string", default: "models/calibration.en.txt" },
  /** The same, where those of the seeds come first if they are there. */
  seedSentences: { type: "string" },
  count: { type: "string", default: "448" },
  beams: { type: "string", default: "1" },
  rows: { type: "string", default: "64" },
  threads: { type: "string", default: "1" },
  pipelines: { type: "string", default: "1" },
  /** `real`, or others that a benchmark names. */
  workers: { type: "string", default: "real" },
  /** Of the work, for a short run. */
  scale: { type: "string", default: "1" },
  seed: { type: "string", default: "1" },
} as const;

/** A whole number of `least` or more. @throws where `text` is none */
export function countOf(flag: string, text: string, least = 1): number {
  const count = numberOf(text);
  if (!Number.isSafeInteger(count) || count < least)
    throw new Error(`--${flag}: ${JSON.stringify(text)} is no whole number from ${least} on`);
  return count;
}

/** As `countOf`, with commas between. */
export function countsOf(flag: string, text: string, least = 1): readonly number[] {
  return text.split(",").map((each) => countOf(flag, each, least));
}

/** A number from 0 on, whole or not: seconds, a rate, a factor. @throws where `text` is none */
export function amountOf(flag: string, text: string): number {
  const amount = numberOf(text);
  if (!(amount >= 0 && amount < Infinity))
    throw new Error(`--${flag}: ${JSON.stringify(text)} is no number from 0 on`);
  return amount;
}

/** As `amountOf`, with commas between. */
export function amountsOf(flag: string, text: string): readonly number[] {
  return text.split(",").map((each) => amountOf(flag, each));
}

/** NaN also for nothing, which JavaScript takes for 0. */
function numberOf(text: string): number {
  return text.trim() === "" ? Number.NaN : Number(text);
}
