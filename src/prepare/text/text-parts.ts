/**
 * A long text in parts whose tokens, one after the other, are those of the whole: one call of a tokenizer takes 5 to 50
 * microseconds a character, and nothing else happens meanwhile.
 *
 *   … jumps over│ the lazy dog …     a single space between two letters or digits: no word goes on across it, and it
 *                                    belongs to the word behind it
 *
 * Where there is no such place for long, a part begins elsewhere, and whoever encodes it says which character stands in front.
 */
import { codePointEdge } from "./cut.js";
import { normalLength } from "./normal-form.js";

/** A few milliseconds of work. */
const partCharacters = 512;
/** A text without such a place is cut at the end of a sentence, or anywhere, behind so many. */
const wholeCharactersMax = 2_048;

const letter = /[\p{L}\p{N}]/u;
const sentenceEnd = "。！？\n";

export function* partsOf(text: string): Generator<string> {
  let from = 0;
  while (from < text.length) {
    const end = partEnd(text, from);
    yield* unfolded(text.slice(from, end));
    from = end;
  }
}

const wordBehindSpace = /^ [\p{L}\p{N}]/u;

/**
 * The character in front of a part that matters to its tokens, `before` being the text up to it; null where there is none, or
 * where the part begins with a space and a word, which is cut where every tokenizer cuts.
 */
export function leadOf(part: string, before: string): string | null {
  return wordBehindSpace.test(part) ? null : (/.$/su.exec(before.slice(-2))?.[0] ?? null);
}

function partEnd(text: string, from: number): number {
  const rest = text.length - from;
  if (rest <= partCharacters) return text.length;
  for (let place = from + partCharacters; place > from; place -= 1) {
    if (isSafe(text, place)) return place;
  }
  const last = Math.min(text.length, from + wholeCharactersMax);
  for (let place = from + partCharacters; place < last; place += 1) {
    if (isSafe(text, place)) return place;
  }
  if (last === text.length) return last;
  for (let place = last; place > from + partCharacters; place -= 1) {
    if (isWordEnd(text, place)) return place;
  }
  for (let place = last; place > from + partCharacters; place -= 1) {
    if (sentenceEnd.includes(text.charAt(place - 1))) return place;
  }
  return from + codePointEdge(text.slice(from, last + 1), last - from);
}

function isSafe(text: string, place: number): boolean {
  if (text.charAt(place) !== " ") return false;
  return letter.test(text.charAt(place - 1)) && letter.test(text.charAt(place + 1));
}

/** In front of white space of any kind; one space between two letters would do without what stands in front of it. */
function isWordEnd(text: string, place: number): boolean {
  return /\S\s/u.test(text.slice(place - 1, place + 1));
}

/** Characters that stand for many: what they stand for is what takes the time. */
function* unfolded(part: string): Generator<string> {
  if (part.length < 2 || normalLength(part) <= 2 * wholeCharactersMax) {
    yield part;
    return;
  }
  const middle = codePointEdge(part, part.length >> 1);
  yield* unfolded(part.slice(0, middle));
  yield* unfolded(part.slice(middle));
}
