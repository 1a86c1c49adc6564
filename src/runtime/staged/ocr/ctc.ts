/** Connectionist temporal classification, greedily: the likeliest class at each step, repeats once, blanks not at all. */

export interface CtcOptions {
  readonly blank: number;
  /** By class; a class that has none is read as nothing. */
  readonly characters: readonly string[];
  /** What the graph gives is no probability yet. */
  readonly softmax: boolean;
}

export interface LineText {
  readonly text: string;
  /** The mean probability of its characters; 0 where there are none. */
  readonly score: number;
}

/** Of `steps` rows of `classes` values each. */
export function decodeCtc(
  { data, steps, classes }: { data: Float32Array; steps: number; classes: number },
  { blank, characters, softmax }: CtcOptions,
): LineText {
  let text = "";
  let [sum, count, before] = [0, 0, -1];
  for (let step = 0; step < steps; step += 1) {
    const row = data.subarray(step * classes, (step + 1) * classes);
    const best = indexOfLargest(row);
    if (best !== blank && best !== before) {
      text += characters[best] ?? "";
      sum += softmax ? probabilityOf(row, best) : (row[best] ?? 0);
      count += 1;
    }
    before = best;
  }
  return { text, score: count === 0 ? 0 : sum / count };
}

function indexOfLargest(row: Float32Array): number {
  let [best, largest] = [0, -Infinity];
  for (let at = 0; at < row.length; at += 1) {
    const value = row[at] ?? 0;
    if (value > largest) [best, largest] = [at, value];
  }
  return best;
}

function probabilityOf(row: Float32Array, at: number): number {
  const largest = row[at] ?? 0;
  let sum = 0;
  for (let other = 0; other < row.length; other += 1) sum += Math.exp((row[other] ?? 0) - largest);
  return 1 / sum;
}
