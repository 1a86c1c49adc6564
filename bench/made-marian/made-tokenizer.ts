/**
 * A tokenizer with more pieces than the bundled one: each piece more is two of the bundled pieces in one, the likeliest pairs of
 * English first. So texts become tokens in about as many pieces as with a trained vocabulary of that size, and nothing is stored.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

type Piece = readonly [text: string, score: number];

interface UnigramTokenizer {
  readonly model: { readonly vocab: readonly Piece[] };
}

const wordBegin = /^▁?[A-Za-z]+$/;
const wordInside = /^[a-z]+$/;
/** A pair is likelier than its parts one after the other, so that it is always taken. */
const pairBonus = 0.1;

/** `tokenizer.json` of `pieces` pieces, made of the one in `bundledDir`. Throws where it gives too few pairs. */
export async function madeTokenizer(bundledDir: string, pieces: number): Promise<object> {
  const json = await readFile(join(bundledDir, "tokenizer.json"), "utf8");
  const bundled = JSON.parse(json) as UnigramTokenizer;
  const { vocab } = bundled.model;
  const more = pairsOf(vocab, pieces - vocab.length);
  if (vocab.length + more.length !== pieces) {
    throw new Error(`the bundled pieces make ${more.length} pairs, ${pieces} pieces need more`);
  }
  return { ...bundled, model: { ...bundled.model, vocab: [...vocab, ...more] } };
}

/** The `count` likeliest; equally likely ones in the order of their parts. */
function pairsOf(vocab: readonly Piece[], count: number): Piece[] {
  const known = new Set(vocab.map(([text]) => text));
  const insides = vocab.filter(([text]) => wordInside.test(text));
  const pairs: Piece[] = [];
  for (const [text, score] of vocab) {
    if (!wordBegin.test(text)) continue;
    for (const [inside, insideScore] of insides) {
      const pair = `${text}${inside}`;
      if (known.has(pair)) continue;
      pairs.push([pair, score + insideScore + pairBonus]);
    }
  }
  pairs.sort((left, right) => right[1] - left[1]);
  const unique = new Map<string, Piece>();
  for (const pair of pairs) {
    if (unique.size === count) break;
    if (!unique.has(pair[0])) unique.set(pair[0], pair);
  }
  return [...unique.values()];
}
