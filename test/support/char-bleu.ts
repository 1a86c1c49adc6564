/**
 * BLEU-4 over characters for a whole corpus, as sacrebleu counts it (Papineni et al. 2002): clipped n-gram matches
 * summed over all sentences, the geometric mean of the four precisions, and the brevity penalty. White space does not
 * count, so that it does not matter how a text sets Latin words apart. From 0 to 100.
 */
export function charBleu(hypotheses: readonly string[], references: readonly string[]): number {
  if (hypotheses.length !== references.length) throw new Error("one reference for each hypothesis");
  const matches = Array.from({ length: order }, () => 0);
  const totals = Array.from({ length: order }, () => 0);
  let hypothesisLength = 0;
  let referenceLength = 0;
  for (const [index, text] of hypotheses.entries()) {
    const hypothesis = charactersOf(text);
    const reference = charactersOf(references[index] ?? "");
    hypothesisLength += hypothesis.length;
    referenceLength += reference.length;
    for (let size = 1; size <= order; size += 1) {
      const expected = countNgrams(reference, size);
      for (const [ngram, count] of countNgrams(hypothesis, size)) {
        matches[size - 1] = (matches[size - 1] ?? 0) + Math.min(count, expected.get(ngram) ?? 0);
        totals[size - 1] = (totals[size - 1] ?? 0) + count;
      }
    }
  }
  if (matches.includes(0)) return 0;
  const logs = matches.map((count, index) => Math.log(count / (totals[index] ?? 0)));
  const mean = logs.reduce((sum, log) => sum + log, 0) / order;
  const brevity = Math.min(0, 1 - referenceLength / hypothesisLength);
  return 100 * Math.exp(mean + brevity);
}

const order = 4;

/** Code points, so that a rare character is one and not two halves. */
function charactersOf(text: string): string[] {
  return Array.from(text.replaceAll(/\s/gu, ""));
}

function countNgrams(characters: readonly string[], size: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let from = 0; from + size <= characters.length; from += 1) {
    const ngram = characters.slice(from, from + size).join("");
    counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
  }
  return counts;
}
