/**
 * The part of `@huggingface/tokenizers` that Millrace uses. The library's own declarations do not compile
 * under `nodenext` (their imports lack extensions), so it is loaded past the compiler and described here.
 */
import { createRequire } from "node:module";
import { z } from "zod";
import { SentencePiece, sentencePieceSchema } from "./sentencepiece.js";
import { Unigram } from "./unigram.js";
import { checkVocabularyIds } from "./vocabulary-ids.js";

export interface HuggingFaceTokenizer {
  /** It takes an empty `text_pair` for none. */
  encode(
    text: string,
    options?: {
      readonly text_pair?: string;
      readonly add_special_tokens?: boolean;
      readonly return_token_type_ids?: boolean;
    },
  ): { readonly ids: number[]; readonly tokens: string[]; readonly token_type_ids?: number[] };
  /** Throws where the list is empty. */
  decode(tokenIds: readonly number[], options: { readonly skip_special_tokens: boolean }): string;
  get_vocab(): Map<string, number>;
  /** Undefined where the vocabulary has no such token; the other one likewise. */
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  /** What characters become before they are cut into tokens. Ours; the library has it as a member that may be null. */
  normalized(text: string): string;
}

/** The inside of a tokenizer, as far as `useUnigram` needs it. */
interface InnerTokenizer extends Omit<HuggingFaceTokenizer, "normalized"> {
  readonly normalizer: ((text: string) => string) | null;
  readonly model: {
    fuse_unk: boolean;
    readonly tokens_to_ids: ReadonlyMap<string, number>;
    readonly unk_token_id: number | undefined;
    /** Of the unigram model only, these three. */
    readonly scores?: readonly number[];
    readonly unk_score?: number;
    trie?: unknown;
    encode: (normalized: readonly string[]) => string[];
  };
}

interface HuggingFaceTokenizers {
  readonly Tokenizer: new (tokenizerJson: object, tokenizerConfig: object) => InnerTokenizer;
}

const load = createRequire(import.meta.url) as (name: string) => unknown;

export function createTokenizer(
  tokenizerJson: object,
  tokenizerConfig: object,
): HuggingFaceTokenizer {
  checkVocabularyIds(tokenizerJson);
  const { Tokenizer } = load("@huggingface/tokenizers") as HuggingFaceTokenizers;
  const tokenizer = new Tokenizer(tokenizerJson, tokenizerConfig);
  const { sentencepiece } = converted.parse(tokenizerJson).model;
  if (sentencepiece === undefined) {
    useUnigram(tokenizer, tokenizerJson);
    return Object.assign(tokenizer, { normalized: tokenizer.normalizer ?? asItIs });
  }
  const pieces = new SentencePiece(sentencepiece);
  useSentencePiece(tokenizer, pieces);
  return Object.assign(tokenizer, { normalized: (text: string) => pieces.mapCharacters(text) });
}

function asItIs(text: string): string {
  return text;
}

/** What convert adds to a tokenizer.json that it made of SentencePiece models. */
const converted = z.looseObject({
  model: z.looseObject({ sentencepiece: sentencePieceSchema.optional() }),
});

/** Pieces become ids by the vocabulary, an unknown one too: as in transformers it may be the word of another language. */
function useSentencePiece({ model }: InnerTokenizer, sentencePiece: SentencePiece): void {
  model.fuse_unk = false;
  model.encode = (sections) => sections.flatMap((section) => sentencePiece.encode(section));
}

interface UnigramJson {
  readonly model: { readonly vocab: readonly (readonly [string, number])[] };
}

/**
 * Version 0.2 of the library takes most of a request's time before its model's, and of what it allocates, for the cut into pieces; it joins
 * unknown characters one by one and looks the growing text up each time: two thousand characters that the vocabulary lacks take
 * 20 ms, and four times as many sixteen times as long. It also hands the tokens over as arguments, of which there may be some hundred
 * thousand. All of it is done here in one pass; the ids are the same, which a test compares. Throws a plain Error where a piece has no score.
 */
function useUnigram({ model }: InnerTokenizer, tokenizerJson: object): void {
  const { scores, unk_score: unknownScore, tokens_to_ids: ids } = model;
  if (scores === undefined || unknownScore === undefined || !model.fuse_unk) return;
  const { vocab } = (tokenizerJson as UnigramJson).model;
  const pieces = vocab.map(([piece]): [string, number] => {
    return [piece, scoreOf(piece, scores[ids.get(piece) ?? -1])];
  });
  const unigram = new Unigram(pieces, unknownScore);
  model.fuse_unk = false;
  // A map for each beginning of a piece: tens of megabytes that nobody reads any more.
  delete model.trie;
  model.encode = (normalized) => {
    const tokens: string[] = [];
    let unknown: string[] = [];
    const fuse = (): void => {
      if (unknown.length > 0) tokens.push(unknown.join(""));
      unknown = [];
    };
    for (const text of normalized) {
      for (const token of unigram.tokenize(text)) {
        const id = model.tokens_to_ids.get(token) ?? model.unk_token_id;
        if (id === model.unk_token_id) {
          // The unknown piece itself, spelled out, takes in what follows it: joined they might be a piece.
          const [first] = unknown;
          if (first === undefined || ids.get(first) !== id) unknown.push(token);
          continue;
        }
        fuse();
        tokens.push(token);
      }
    }
    fuse();
    return tokens;
  };
}

/** Without one a piece would never be chosen, and nobody would hear of it. Throws a plain Error that names the piece. */
function scoreOf(piece: unknown, score: unknown): number {
  if (typeof score === "number") return score;
  const [named, said] = [piece, score].map((value) => String(JSON.stringify(value)).slice(0, 80));
  throw new Error(`the score of ${named} is ${said}; scores are numbers`);
}
