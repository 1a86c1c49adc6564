/**
 * Where in its text each token stands, in code points, as Hugging Face's own tokenizers say it; the library that we run does
 * not. The text's characters, normalised one by one, are a stream that tokens are held against:
 *
 *   Émile's      ─► e m i l e ' s      words (WordPiece)     each token without `##` begins the next word; a word that differs
 *   0123456         0 1 2 3 4 5 6                            from its tokens has no places, and an unknown one has the whole
 *   Hello wörld  ─► ▁ H e l l o ▁ w …  pieces, or bytes      the tokens one after the other are the stream, or nobody has a place
 *
 * A place is null where it cannot be told, and never a guess.
 */
import { z } from "zod";

export interface TokenPlace {
  readonly start: number;
  /** Behind the last one. */
  readonly stop: number;
}

/** A token for each, in their order, special ones left out. */
export type PlaceTokens = (
  text: string,
  tokens: readonly string[],
) => readonly (TokenPlace | null)[];

/** The parts of a tokenizer.json that say how its tokens are written. */
const tokenizerShape = z.looseObject({
  model: z.looseObject({
    type: z.string().optional(),
    unk_token: z.string().nullish(),
    continuing_subword_prefix: z.string().nullish(),
    sentencepiece: z.unknown().optional(),
  }),
  pre_tokenizer: z.unknown(),
  post_processor: z.unknown(),
  added_tokens: z
    .array(z.looseObject({ content: z.string(), normalized: z.boolean().optional() }))
    .optional(),
});

/** Finds places by what the tokenizer's file says of its tokens; `normalize`: what becomes of characters before they are tokens. */
export function placeTokensOf(
  tokenizerJson: unknown,
  normalize: (text: string) => string,
): PlaceTokens {
  const read = tokenizerShape.safeParse(tokenizerJson);
  if (!read.success) return nowhere;
  const { model, pre_tokenizer: pre, post_processor: post, added_tokens: all = [] } = read.data;
  if (model.type === "WordPiece") {
    if (!hasType(pre, "BertPreTokenizer")) return nowhere;
    const { unk_token: unknown, continuing_subword_prefix: prefix } = model;
    const added = all.filter(({ normalized }) => normalized !== true).map((each) => each.content);
    const written = { unknown: unknown ?? "", prefix: prefix ?? "##", added: anyOf(added) };
    return (text, tokens) =>
      placesInWords(wordsOf(text, normalize, written.added), tokens, written);
  }
  const isBytes = hasType(pre, "ByteLevel");
  const isOfPieces = model.sentencepiece !== undefined || hasType(pre, "Metaspace");
  if (!isBytes && !isOfPieces) return nowhere;
  const isSplit = hasType(pre, "WhitespaceSplit");
  const style: StreamStyle = isBytes
    ? { spell: byteLetters, space: byteLetters(" "), trims: trimsOf(post) }
    : { spell: isSplit ? withoutSpaces : withSymbols, space: "▁", trims: null };
  return (text, tokens) => placesInStream(streamOf(text, normalize, style), tokens, style);
}

const nowhere: PlaceTokens = (_text, tokens) => tokens.map(() => null);

/** Also in a `Sequence`. */
function hasType(part: unknown, type: string): boolean {
  return partsOf(part).some((each) => each["type"] === type);
}

/** A token's place leaves out the spaces around it only where this says so; of the first token, not the one that it puts in front. */
function trimsOf(post: unknown): StreamStyle["trims"] {
  const found = partsOf(post).find(
    ({ type, trim_offsets: trims }) =>
      (type === "ByteLevel" || type === "RobertaProcessing") && trims !== false,
  );
  return found === undefined ? null : { keepsFirst: found["add_prefix_space"] !== false };
}

function withoutSpaces(part: string): string {
  return part.replace(/\s/gu, "");
}

function withSymbols(part: string): string {
  return part.replaceAll(" ", "▁");
}

function partsOf(part: unknown): readonly Readonly<Record<string, unknown>>[] {
  if (typeof part !== "object" || part === null) return [];
  const own = part as Readonly<Record<string, unknown>>;
  const inner = [own["pretokenizers"], own["processors"]].flatMap((list) =>
    Array.isArray(list) ? (list as readonly unknown[]) : [],
  );
  return [own, ...inner.flatMap(partsOf)];
}

interface Word {
  text: string;
  /** Of each of its UTF-16 units, the code point that it came of. */
  readonly from: number[];
}

interface WordStyle {
  readonly unknown: string;
  readonly prefix: string;
  readonly added: RegExp | null;
}

/** As the library's BertPreTokenizer cuts: at white space, and around each mark. */
const mark = /^[\p{P}!-/:-@[-`{-~]$/u;
const white = /^\s$/u;

function wordsOf(
  text: string,
  normalize: (text: string) => string,
  added: RegExp | null,
): readonly Word[] {
  const words: Word[] = [];
  const normal = cached(normalize);
  let open: Word | null = null;
  let place = 0;
  // What is an added token stands at the odd places, and is one word as it is.
  for (const [index, part] of (added === null ? [text] : text.split(added)).entries()) {
    open = null;
    for (const character of part) {
      for (const unit of index % 2 === 1 ? character : normal(character)) {
        if (index % 2 === 0 && white.test(unit)) {
          open = null;
          continue;
        }
        const isMark = index % 2 === 0 && mark.test(unit);
        if (open === null || isMark) {
          open = { text: "", from: [] };
          words.push(open);
        }
        open.text += unit;
        for (let at = 0; at < unit.length; at += 1) open.from.push(place);
        if (isMark) open = null;
      }
      place += 1;
    }
  }
  return words;
}

function placesInWords(
  words: readonly Word[],
  tokens: readonly string[],
  { unknown, prefix }: WordStyle,
): readonly (TokenPlace | null)[] {
  const begins = (token: string): boolean => !token.startsWith(prefix);
  if (tokens.filter(begins).length !== words.length) return nowhere("", tokens);
  let next = 0;
  let word: Word | undefined;
  /** In the word; null: its tokens are not what it says. */
  let at: number | null = 0;
  return tokens.map((token) => {
    if (begins(token)) {
      word = words[next];
      next += 1;
      at = 0;
    }
    if (word === undefined || at === null) return null;
    const said = begins(token) ? token : token.slice(prefix.length);
    if (!word.text.startsWith(said, at)) {
      at = null;
      return token === unknown ? placeIn(word.from, 0, word.from.length) : null;
    }
    at += said.length;
    return placeIn(word.from, at - said.length, at);
  });
}

interface StreamStyle {
  /** Normalised characters as tokens write them. */
  readonly spell: (part: string) => string;
  readonly space: string;
  /** Null: spaces belong to a token's place. */
  readonly trims: { readonly keepsFirst: boolean } | null;
}

interface Stream {
  readonly letters: string;
  readonly from: readonly number[];
}

const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });

/** What composes with what is normalised together: a base and its marks. */
function streamOf(
  text: string,
  normalize: (text: string) => string,
  { spell }: StreamStyle,
): Stream {
  const parts: string[] = [];
  const from: number[] = [];
  const spelled = cached((part) => spell(normalize(part)));
  let place = 0;
  for (const { segment } of segmenter.segment(text)) {
    const characters = Array.from(segment);
    const whole = spelled(segment);
    const single = characters.map(spelled);
    // Where nothing composes, each character has its own place.
    const each = single.join("") === whole ? single : [whole];
    for (const [index, letters] of each.entries()) {
      parts.push(letters);
      for (let at = 0; at < letters.length; at += 1) from.push(place + index);
    }
    place += characters.length;
  }
  return { letters: parts.join(""), from };
}

function placesInStream(
  { letters, from }: Stream,
  tokens: readonly string[],
  { space, trims }: StreamStyle,
): readonly (TokenPlace | null)[] {
  const places: (TokenPlace | null)[] = [];
  let at = 0;
  for (const token of tokens) {
    let said = token;
    if (!letters.startsWith(said, at) && said.startsWith(space)) {
      // A space that the tokenizer puts in front, or one that stands for several.
      if (letters.charAt(at) !== space) said = said.slice(space.length);
    }
    while (letters.charAt(at) === space && !letters.startsWith(said, at)) at += 1;
    if (!letters.startsWith(said, at)) return nowhere("", tokens);
    const end = at + said.length;
    const keeps = trims?.keepsFirst === true && places.length === 0;
    let start = at;
    if (trims !== null) while (start < end && letters.charAt(start) === space) start += 1;
    if (keeps && start > at) start -= 1;
    // A space that is not in the text stands where the character does that it was put in front of.
    const isAdded = said === "";
    const isNothing = trims !== null && (isAdded || letters.slice(start, end) === space);
    const place = isAdded ? placeIn(from, at, at + 1) : placeIn(from, start, end);
    places.push(isNothing && place !== null ? { start: place.start, stop: place.start } : place);
    at = end;
  }
  while (letters.charAt(at) === space) at += 1;
  return at === letters.length ? places : nowhere("", tokens);
}

/** Of a token that is trimmed to nothing: behind it. */
function placeIn(from: readonly number[], start: number, end: number): TokenPlace | null {
  const last = from[end - 1];
  if (last === undefined) return null;
  return { start: start === end ? last + 1 : (from[start] ?? last), stop: last + 1 };
}

/** Most texts say the same few characters again and again. */
function cached(make: (part: string) => string): (part: string) => string {
  const made = new Map<string, string>();
  return (part) => {
    let found = made.get(part);
    if (found === undefined) {
      found = make(part);
      made.set(part, found);
    }
    return found;
  };
}

function anyOf(contents: readonly string[]): RegExp | null {
  if (contents.length === 0) return null;
  const sources = contents
    .toSorted((a, b) => b.length - a.length)
    .map((content) => content.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return new RegExp(`(${sources.join("|")})`, "u");
}

/** GPT-2's letter for each byte: itself where it is a visible one of Latin-1, and one from U+0100 on where it is not. */
const letterOfByte: readonly string[] = lettersOfBytes();

function lettersOfBytes(): readonly string[] {
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    const isVisible =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    if (isVisible) return String.fromCharCode(byte);
    others += 1;
    return String.fromCharCode(0xff + others);
  });
}

function byteLetters(text: string): string {
  return Array.from(Buffer.from(text, "utf8"), (byte) => letterOfByte[byte] ?? "").join("");
}
