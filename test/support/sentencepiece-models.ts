/**
 * Small SentencePiece models, and texts on which readers of them differ. What SentencePiece makes of them is in
 * `test/fixtures/sentencepiece.jsonl`, made by `make-sentencepiece.ts` and `sentencepiece-rows.py` beside it.
 */
import { readLines } from "./reference.js";
import {
  type HandMadeModel,
  type HandMadePiece,
  sentencePieceBytes,
  usualPieces,
} from "./sentencepiece-bytes.js";

/** Scores that are no sums of powers of two: of ways that are equal on paper, rounding decides. */
const pieces: readonly HandMadePiece[] = [
  ...usualPieces,
  ...Object.entries({
    "▁": -2.1131067,
    "▁a": -3.1234567,
    a: -3.7654321,
    aa: -4.1357913,
    b: -4.2468024,
    ab: -5.1234321,
    o: -3.3333333,
    oo: -4.7777777,
    ".": -2.4149544,
    "..": -3.9876543,
    世: -8.1,
    世界: -9.2,
    "😀": -7.7,
    " b": -3.21,
  }).map(([piece, score]) => ({ piece, score })),
  { piece: "aaa", score: -1, type: 5 },
];

const variants: Readonly<Record<string, Omit<HandMadeModel, "pieces">>> = {
  plain: {},
  "no prefix": { addDummyPrefix: false },
  "white space kept": { removeExtraWhitespaces: false },
  "all as it is": { removeExtraWhitespaces: false, addDummyPrefix: false },
  "not escaped": { escapeWhitespaces: false },
};

/** A model by its name; `reference`, which the rows also have, is in the shared data. */
export const sentencePieceModels: Readonly<Record<string, Buffer>> = {
  ...Object.fromEntries(
    Object.entries(variants).map(([name, flags]) => [
      name,
      sentencePieceBytes({ pieces, ...flags }),
    ]),
  ),
  "user-defined": sentencePieceBytes({
    pieces: [...pieces, ...["<x>", "ba", "bab", ".o"].map((piece) => ({ piece, type: 4 }))],
  }),
};

export const sentencePieceTexts: readonly string[] = [
  "",
  " ",
  "   ",
  "▁",
  "a▁▁ b▁",
  "a  b   ",
  "  a b",
  "aaaaaaaaa",
  "aaaa aaaa aaaaaa",
  "ooooooooo.......ooooo",
  "aaooaaoo.....ooooo..oooooo",
  "xyz a zyx",
  "世界世界 世 界",
  "😀😀a😀",
  "babab<x>.o..o <x>",
  "a\tb\nb\u00a0a\u3000b",
  "a\u0000b\u0001\u200b\ufeffb",
  "naïve cafe\u0301 ﬁne ① ½ ㍿ Å \u212b",
  "ｆｕｌｌ　ｗｉｄｔｈ ～ 〜 ﾊﾝｶｸ",
  "한국어 한국어",
  "q\u0323\u0307 q\u0307\u0323 a\u0308\u0323\u0301",
  "a\ufffdb \u2028 \u2029 \u0085 \u00ad",
  "......!!!!!??? hahahaha heeeeello",
  "  tttt  !!!!!!!!!!..oooooooeeeett",
  "He said: “naïve” — 3.14 €…",
];

export interface SentencePieceRow {
  readonly model: string;
  readonly text: string;
  readonly pieces: readonly string[];
}

export function readSentencePieceRows(): readonly SentencePieceRow[] {
  return readLines<SentencePieceRow>("sentencepiece.jsonl").rows;
}
