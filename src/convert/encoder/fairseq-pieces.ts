/**
 * The `sentencepiece.bpe.model` of XLM-RoBERTa and CamemBERT: by its name BPE, in truth a unigram model. Ids are fairseq's, whose own
 * tokens come before the pieces, and `<mask>` behind them:
 *
 *   file           <unk> <s> </s> ▁ , …
 *   xlm-roberta    <s> <pad> </s> <unk> ▁ , … <mask>
 *   camembert      <s>NOTUSED <pad> </s>NOTUSED <unk> <unk>NOTUSED <s> </s> ▁ , … <mask>
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape, readJsonFile } from "../../models/read-json.js";
import { encoderOf } from "../reading/sentencepiece-encoder.js";
import { readSentencePieceFile } from "../reading/sentencepiece-model.js";

export const fairseqPiecesName = "sentencepiece.bpe.model";

interface Layout {
  readonly first: readonly string[];
  /** Pieces of the file that stand among the first already. */
  readonly leftOut: number;
}

const layouts: ReadonlyMap<string, Layout> = new Map([
  ["xlm-roberta", { first: ["<s>", "<pad>", "</s>", "<unk>"], leftOut: 3 }],
  [
    "camembert",
    { first: ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"], leftOut: 1 },
  ],
]);

const begins = ["<unk>", "<s>", "</s>"];
const unknownId = 3;

export interface FairseqPieces {
  /** Of every id. */
  readonly ids: ReadonlyMap<string, number>;
  /** Of the tokenizer.json. */
  readonly model: object;
}

/** Null where the model's ids are none of fairseq's. Throws `model_folder_invalid`, `model_unsupported`. */
export async function readFairseqPieces(
  dir: string,
  modelType: string,
): Promise<FairseqPieces | null> {
  const layout = layouts.get(modelType);
  const path = join(dir, fairseqPiecesName);
  if (layout === undefined || !existsSync(path)) return null;
  const file = await readSentencePieceFile(path);
  const own = file.pieces.map(({ piece }) => piece);
  const isUsual = begins.every((piece, at) => own[at] === piece);
  if (!isUsual) {
    const found = JSON.stringify(own.slice(0, begins.length));
    const message = `${path} begins with ${found}, not with ${begins.join(" ")}: its ids are not fairseq's`;
    throw new MillraceError("model_unsupported", message);
  }
  const tokens = [...layout.first, ...own.slice(layout.leftOut), "<mask>"];
  const ids = new Map(tokens.map((token, id) => [token, id]));
  if (ids.size < tokens.length) {
    const twice = tokens.find((token, id) => ids.get(token) !== id);
    const message = `${path} has the piece ${JSON.stringify(twice)}, which is a token of its own`;
    throw new MillraceError("model_folder_invalid", message);
  }
  await checkAddedTokens(dir, ids);
  return {
    ids,
    model: {
      type: "Unigram",
      unk_id: unknownId,
      // The scores are those of `sentencepiece`: the library's own way to cut is not taken.
      vocab: tokens.map((token) => [token, 0]),
      sentencepiece: encoderOf(file, { languageCodes: false }),
    },
  };
}

/** Tokens that a person added would be cut into pieces. Throws `model_unsupported`. */
export async function checkAddedTokens(
  dir: string,
  ids: ReadonlyMap<string, number>,
): Promise<void> {
  const path = join(dir, "added_tokens.json");
  if (!existsSync(path)) return;
  const added = checkShape(path, await readJsonFile(path), z.record(z.string(), z.int()));
  for (const [token, id] of Object.entries(added)) {
    if (ids.get(token) === id) continue;
    const message = `${path} adds the token ${JSON.stringify(token)}, which Millrace would cut`;
    throw new MillraceError("model_unsupported", message);
  }
}
