/**
 * The tokenizers of a translation repository as it is published: SentencePiece models cut texts into pieces, vocab.json
 * says which id a piece has. What transformers' MarianTokenizer does with them becomes a tokenizer.json.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape, readJsonFile } from "../../models/read-json.js";
import type { SentencePieceModel } from "../../prepare/text/sentencepiece.js";
import { encoderOf } from "../reading/sentencepiece-encoder.js";
import { readSentencePieceFile } from "../reading/sentencepiece-model.js";
import type { MarianTokens, TokenizerFacts } from "./tokenizer-facts.js";

export const sourceModelName = "source.spm";
const targetModelName = "target.spm";
export const vocabularyName = "vocab.json";
const addedTokensName = "added_tokens.json";
export const targetVocabularyName = "target_vocab.json";

const vocabularyBytesMax = 64 * 1024 * 1024;
/** The ids are places in a list, which must not be larger than the file. */
const idsLeftOutMax = 10_000;

const vocabularySchema = z.record(z.string(), z.int().nonnegative());

export interface MarianTokenizers {
  readonly source: object;
  /** Null where outputs are decoded with the source's as well. */
  readonly target: object | null;
  /** Cuts texts of the target language, as nobody does who serves. */
  readonly targetTexts: () => object;
}

/** Throws `model_folder_invalid` where a file is missing, damaged or contradicts another; `model_unsupported`. */
export async function makeMarianTokenizers(
  dir: string,
  { separateVocabularies, special }: TokenizerFacts,
): Promise<MarianTokenizers> {
  const source = await readSentencePieceFile(join(dir, sourceModelName));
  const target = await readSentencePieceFile(join(dir, targetModelName));
  const vocabulary = await readVocabulary(join(dir, vocabularyName), special);
  await checkAddedTokens(dir, special);
  const sourceJson = tokenizerJson(
    vocabulary,
    specialTokens(special),
    encoderOf(source, { languageCodes: true }),
  );
  // SentencePiece leaves control pieces out of a text; transformers asks it to decode all but its own special tokens.
  const hidden = target.pieces.filter(({ type }) => type === "control").map(({ piece }) => piece);
  const targetSpecial = new Set([...specialTokens(special), ...hidden]);
  const targetTexts = (own: Vocabulary) => () =>
    tokenizerJson(own, targetSpecial, encoderOf(target, { languageCodes: false }));
  if (separateVocabularies) {
    const own = await readVocabulary(join(dir, targetVocabularyName), special);
    return {
      source: sourceJson,
      target: tokenizerJson(own, targetSpecial, null),
      targetTexts: targetTexts(own),
    };
  }
  const isHidden = hidden.some((piece) => vocabulary.ids.has(piece) && !isSpecial(special, piece));
  return {
    source: sourceJson,
    target: isHidden ? tokenizerJson(vocabulary, targetSpecial, null) : null,
    targetTexts: targetTexts(vocabulary),
  };
}

interface Vocabulary {
  readonly ids: ReadonlyMap<string, number>;
  readonly unknownId: number;
  /** The token that ends every text. */
  readonly end: string;
}

async function readVocabulary(path: string, special: MarianTokens): Promise<Vocabulary> {
  const value = await readJsonFile(path, vocabularyBytesMax);
  const ids = new Map(Object.entries(checkShape(path, value, vocabularySchema)));
  const pieceOf = new Map<number, string>();
  for (const [piece, id] of ids) {
    const other = pieceOf.get(id);
    if (other !== undefined) {
      const both = `${JSON.stringify(other)} and ${JSON.stringify(piece)}`;
      throw invalid(`${path}: ${both} have the id ${id}`);
    }
    pieceOf.set(id, piece);
    if (id < ids.size + idsLeftOutMax) continue;
    throw invalid(`${path}: ${JSON.stringify(piece)} has the id ${id} of only ${ids.size} pieces`);
  }
  const idOf = (token: string): number => {
    const id = ids.get(token);
    if (id === undefined) throw invalid(`${path} lacks the token ${JSON.stringify(token)}`);
    return id;
  };
  idOf(special.end);
  return { ids, unknownId: idOf(special.unknown), end: special.end };
}

/** Tokens that somebody gave the tokenizer later: transformers takes them whole, wherever they stand. */
async function checkAddedTokens(dir: string, special: MarianTokens): Promise<void> {
  const path = join(dir, addedTokensName);
  if (!existsSync(path)) return;
  const added = checkShape(path, await readJsonFile(path, vocabularyBytesMax), vocabularySchema);
  const token = Object.keys(added).find((each) => !isSpecial(special, each));
  if (token === undefined) return;
  const message = `${path} adds the token ${JSON.stringify(token)}, which Millrace would cut`;
  throw new MillraceError("model_unsupported", message);
}

function specialTokens({ end, unknown, pad }: MarianTokens): ReadonlySet<string> {
  return new Set([end, unknown, pad]);
}

function isSpecial(special: MarianTokens, piece: string): boolean {
  return specialTokens(special).has(piece);
}

/**
 * A tokenizer.json of the vocabulary. The scores are those of `sentencepiece`, where it is given: the source's pieces
 * are not all of the vocabulary's, and others than those may not be cut. Without, it is for decoding only.
 */
function tokenizerJson(
  { ids, unknownId, end }: Vocabulary,
  special: ReadonlySet<string>,
  sentencepiece: SentencePieceModel | null,
): object {
  const length = [...ids.values()].reduce((largest, id) => Math.max(largest, id), 0) + 1;
  // An id without a piece gets one that no text has: half a character.
  const vocab = Array.from({ length }, (_, id): [string, number] => [`\ud800${id}`, 0]);
  for (const [piece, id] of ids) vocab[id] = [piece, 0];
  const added = [...special].flatMap((content) => {
    const id = ids.get(content);
    return id === undefined ? [] : [{ id, content, ...addedToken }];
  });
  const sequence = { Sequence: { id: "A", type_id: 0 } };
  const endToken = { SpecialToken: { id: end, type_id: 0 } };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: null,
    post_processor: {
      type: "TemplateProcessing",
      single: [sequence, endToken],
      pair: [sequence, { Sequence: { id: "B", type_id: 0 } }, endToken],
      special_tokens: { [end]: { id: end, ids: [ids.get(end)], tokens: [end] } },
    },
    decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: false },
    model: {
      type: "Unigram",
      unk_id: unknownId,
      vocab,
      ...(sentencepiece === null ? {} : { sentencepiece }),
    },
  };
}

const addedToken = {
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
} as const;

function invalid(message: string): MillraceError {
  return new MillraceError("model_folder_invalid", message);
}
