/**
 * A SentencePiece unigram model, as its own library runs it: the normaliser's longest match, sums of scores in float32, and
 * which of two equal ways wins. The tokenizer library knows neither the normaliser nor the sums, so a folder that was
 * converted from `source.spm` carries this beside the vocabulary, in its tokenizer.json.
 *
 *   text ─► language code ─► charsmap ─► white space, ▁ ─► best path ─► pieces
 */
import { z } from "zod";
import { Charsmap } from "./charsmap.js";

/** `model.sentencepiece` of a tokenizer.json, written by convert. */
export interface SentencePieceModel {
  /** In base64; null where characters stay as they are. */
  readonly charsmap: string | null;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
  /** Marian's `>>cmn<<` at the beginning of a text is one token, whatever the pieces say. */
  readonly languageCodes: boolean;
  readonly pieces: readonly (readonly [piece: string, score: number])[];
  /** Pieces that are taken wherever they stand, and are not normalised. */
  readonly userDefined: readonly string[];
}

export const sentencePieceSchema: z.ZodType<SentencePieceModel> = z.strictObject({
  charsmap: z.base64().nullable(),
  addDummyPrefix: z.boolean(),
  removeExtraWhitespaces: z.boolean(),
  escapeWhitespaces: z.boolean(),
  languageCodes: z.boolean(),
  pieces: z.array(z.tuple([z.string().min(1), z.number()])).min(1),
  userDefined: z.array(z.string().min(1)),
});

const spaceSymbol = "▁";
/** The library's kUnkPenalty. */
const unknownPenalty = 10;
/** The library's score of a user-defined piece: its length times the best score, which begins at FLT_MIN, less this. */
const userDefinedScore = -0.1;

interface PieceNode {
  readonly next: Map<number, PieceNode>;
  /** NaN where no piece ends here. */
  score: number;
}

export class SentencePiece {
  readonly #model: SentencePieceModel;
  readonly #charsmap: Charsmap | null;
  /** Longest first; null where there are none. */
  readonly #userDefined: RegExp | null;
  readonly #root: PieceNode = { next: new Map(), score: Number.NaN };
  readonly #unknownScore: number;

  constructor(model: SentencePieceModel) {
    this.#model = model;
    const { charsmap, userDefined } = model;
    this.#charsmap = charsmap === null ? null : new Charsmap(Buffer.from(charsmap, "base64"));
    this.#userDefined = userDefined.length === 0 ? null : anyOf(userDefined);
    let least = Number.POSITIVE_INFINITY;
    for (const [piece, score] of model.pieces) {
      this.#add(piece, Math.fround(score));
      least = Math.min(least, Math.fround(score));
    }
    for (const piece of userDefined) this.#add(piece, Math.fround(userDefinedScore));
    this.#unknownScore = Math.fround(least - unknownPenalty);
  }

  /** Characters that no piece has are pieces of their own; those beside each other are one. */
  encode(text: string): string[] {
    const { code, rest } = this.#model.languageCodes
      ? splitLanguageCode(text)
      : { code: null, rest: text };
    const pieces = this.#bestPath(this.#normalize(rest));
    return code === null ? pieces : [code, ...pieces];
  }

  #add(piece: string, score: number): void {
    let node = this.#root;
    for (let at = 0; at < piece.length; at += 1) {
      const unit = piece.charCodeAt(at);
      let next = node.next.get(unit);
      if (next === undefined) {
        next = { next: new Map(), score: Number.NaN };
        node.next.set(unit, next);
      }
      node = next;
    }
    node.score = score;
  }

  #normalize(text: string): string {
    const { addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces } = this.#model;
    const mapped = this.mapCharacters(text.replace(/\p{Surrogate}/gu, "\ufffd"));
    const spaced = removeExtraWhitespaces
      ? mapped.replace(/ {2,}/g, " ").replace(/^ | $/g, "")
      : mapped;
    if (spaced === "" && (removeExtraWhitespaces || text === "")) return "";
    const space = escapeWhitespaces ? spaceSymbol : " ";
    const whole = (addDummyPrefix ? " " : "") + spaced;
    const escaped = escapeWhitespaces ? whole.replaceAll(" ", spaceSymbol) : whole;
    let end = escaped.length;
    // Also the symbol itself, where the text had it.
    while (removeExtraWhitespaces && escaped.charAt(end - 1) === space) end -= 1;
    return escaped.slice(0, end);
  }

  /** What becomes of characters, white space and its symbol left out. */
  mapCharacters(text: string): string {
    const map = (part: string): string => this.#charsmap?.apply(part) ?? part;
    if (this.#userDefined === null) return map(text);
    // What is user-defined stands at the odd places.
    const parts = text.split(this.#userDefined);
    return parts.map((part, index) => (index % 2 === 1 ? part : map(part))).join("");
  }

  /**
   * The library's EncodeOptimized: the best score of every place from left to right. Sums are
   * floats: of ways that are equal on paper, as with `......`, rounding decides, and else the piece that begins first.
   */
  #bestPath(text: string): string[] {
    const scores = new Float64Array(text.length + 1);
    const starts = new Int32Array(text.length + 1).fill(-1);
    const known = new Uint8Array(text.length + 1);
    const isBetter = (sum: number, from: number, to: number): boolean => {
      const score = Math.fround(sum);
      if (starts[to] !== -1 && score <= (scores[to] ?? 0)) return false;
      scores[to] = score;
      starts[to] = from;
      return true;
    };
    for (let from = 0; from < text.length; ) {
      const character = (text.codePointAt(from) ?? 0) > 0xffff ? 2 : 1;
      const before = scores[from] ?? 0;
      let hasSingle = false;
      let node = this.#root.next.get(text.charCodeAt(from));
      for (let to = from + 1; node !== undefined; to += 1) {
        if (!Number.isNaN(node.score)) {
          if (isBetter(node.score + before, from, to)) known[to] = 1;
          hasSingle ||= to - from === character;
        }
        node = to < text.length ? node.next.get(text.charCodeAt(to)) : undefined;
      }
      const next = from + character;
      if (!hasSingle && isBetter(this.#unknownScore + before, from, next)) known[next] = 0;
      from = next;
    }
    return piecesOf(text, starts, known);
  }
}

function anyOf(texts: readonly string[]): RegExp {
  const sources = texts
    .toSorted((a, b) => b.length - a.length)
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return new RegExp(`(${sources.join("|")})`, "u");
}

function piecesOf(text: string, starts: Int32Array, known: Uint8Array): string[] {
  const pieces: string[] = [];
  for (let end = text.length; end > 0; ) {
    let start = starts[end] ?? 0;
    if (known[end] === 0) {
      while (start > 0 && known[start] === 0) start = starts[start] ?? 0;
    }
    pieces.push(text.slice(start, end));
    end = start;
  }
  return pieces.toReversed();
}

/** Marian's `>>cmn<<` at the beginning of a text, and all up to the last `<<` of the line; null where there is none. */
export function languageCodeOf(text: string): string | null {
  if (!text.startsWith(">>")) return null;
  const lineEnd = text.indexOf("\n");
  const end = text.lastIndexOf("<<", lineEnd === -1 ? text.length : lineEnd);
  return end < 3 ? null : text.slice(0, end + 2);
}

/**
 * As transformers' MarianTokenizer with its `>>.+<<`: one at the beginning is the code, and all others are taken out. In
 * one pass, which the expression would not take: from the first `>>` of a line to its last `<<`.
 */
function splitLanguageCode(text: string): { code: string | null; rest: string } {
  if (!text.includes(">>")) return { code: null, rest: text };
  const lines = text.split("\n").map((line) => {
    const start = line.indexOf(">>");
    const end = line.lastIndexOf("<<");
    return start === -1 || end < start + 3 ? line : line.slice(0, start) + line.slice(end + 2);
  });
  return { code: languageCodeOf(text), rest: lines.join("\n") };
}
