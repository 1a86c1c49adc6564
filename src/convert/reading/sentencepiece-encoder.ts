/** What of a SentencePiece model cuts texts, as a tokenizer.json carries it. */
import type { SentencePieceModel } from "../../prepare/text/sentencepiece.js";
import type { SentencePieceFile } from "./sentencepiece-model.js";

/** Pieces that the vocabulary lacks stay: they are cut, and become the unknown token. */
export function encoderOf(
  file: SentencePieceFile,
  { languageCodes }: Pick<SentencePieceModel, "languageCodes">,
): SentencePieceModel {
  const { charsmap, addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces } = file;
  return {
    charsmap: charsmap === null ? null : Buffer.from(charsmap).toString("base64"),
    addDummyPrefix,
    removeExtraWhitespaces,
    escapeWhitespaces,
    languageCodes,
    pieces: file.pieces
      .filter(({ type }) => type === "normal")
      .map(({ piece, score }) => [piece, score]),
    userDefined: file.pieces.filter(({ type }) => type === "userDefined").map(({ piece }) => piece),
  };
}
