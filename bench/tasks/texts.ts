/** Texts of made words, each of which is one token: lengths are known before anything is tokenised. */
import { Random } from "../../test/sim/random.js";
import { type EncoderShape, madeWord, madeWords } from "./shapes.js";

/** `count` texts whose lengths in tokens, special ones included, are spread from `least` to `most` as in real corpora. */
export function madeTexts(
  shape: EncoderShape,
  count: number,
  { least, most, seed }: { readonly least: number; readonly most: number; readonly seed: number },
): string[] {
  const random = new Random(seed);
  const words = madeWords(shape);
  return Array.from({ length: count }, () => {
    // Evenly spread in the logarithm: many short ones, a few long ones.
    const tokens = Math.round(least * (most / least) ** random.next());
    const length = Math.max(1, tokens - 2);
    return Array.from({ length }, () => madeWord(Math.floor(random.next() * words))).join(" ");
  });
}
