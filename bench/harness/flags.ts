/** Numbers of a command line. What is none ends the run with the name of its flag: NaN would be measured, and printed as a table of NaN. */

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
