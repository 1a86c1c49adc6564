/**
 * Splits a text into sentences and keeps all white space: the sentences and their joiners, one after the other,
 * are the text again. A generator, so that a caller can stop between two sentences whatever the text's length:
 * no step looks at more than `sentenceCharactersMax` characters and the white space behind them.
 */
import { isWrongCut } from "./abbreviations.js";
import { cutPlace, firstCodePointLength } from "./cut.js";

export interface Sentence {
  /** Not empty; no white space at either end. */
  readonly text: string;
  /** The white space behind it. */
  readonly joiner: string;
}

/** Longer sentences are cut: no model takes them whole, and a tokenizer call stays bounded. In UTF-16 units. */
export const sentenceCharactersMax: number = 2048;

const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });
const lineBreak = /[\n\v\f\r\u2028\u2029]/g;
const whiteSpaceRun = /\s*/y;

/** The place of the first character at or after `from` that is not white space. */
export function skipWhiteSpace(text: string, from: number): number {
  whiteSpaceRun.lastIndex = from;
  whiteSpaceRun.test(text);
  return Math.max(from, whiteSpaceRun.lastIndex);
}

/** The sentences of `text` from its first character that is not white space. */
export function* splitSentences(text: string): Generator<Sentence> {
  let start = skipWhiteSpace(text, 0);
  let lineEnd = start;
  while (start < text.length) {
    // A line may have many windows; its end is looked for once.
    if (lineEnd <= start) lineEnd = findLineEnd(text, start);
    const window = text.slice(start, Math.min(lineEnd, start + sentenceCharactersMax));
    const windowStart = start;
    for (const end of findEnds(window, windowStart + window.length === lineEnd)) {
      const sentence = text.slice(start, windowStart + end).trimEnd();
      const next = skipWhiteSpace(text, start + sentence.length);
      if (sentence.length > 0) {
        yield { text: sentence, joiner: text.slice(start + sentence.length, next) };
      }
      start = next;
    }
  }
}

function findLineEnd(text: string, from: number): number {
  lineBreak.lastIndex = from;
  return lineBreak.exec(text)?.index ?? text.length;
}

/**
 * Where the sentences of the window end. Where the line goes on behind the window, its last sentence may go on
 * too and is left to the next window; where it is the only one, it is too long and is cut.
 */
function findEnds(window: string, endsWithLine: boolean): number[] {
  const ends: number[] = [];
  let sentenceStart = 0;
  let before: string | null = null;
  for (const { segment, index } of segmenter.segment(window)) {
    if (before !== null && !isWrongCut(before, segment.trimEnd())) {
      ends.push(index);
      sentenceStart = index;
    }
    before = window.slice(sentenceStart, index + segment.length).trimEnd();
  }
  if (endsWithLine) ends.push(window.length);
  else if (ends.length === 0) ends.push(cutPlace(window, longest(window)));
  return ends;
}

/** One unit less than the window, which may end inside a surrogate pair that only the text behind it completes. */
function longest(window: string): number {
  return Math.max(window.length - 1, firstCodePointLength(window));
}
