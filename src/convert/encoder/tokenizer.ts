/**
 * The tokenizer of an encoder's folder: tokenizer.json as it is, or made of what older folders have instead. What is made says
 * the same as transformers' conversion of the slow tokenizers to the fast ones.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape, readJsonFile, readTextFile } from "../../models/read-json.js";
import type { HuggingFaceTokenizer } from "../../prepare/text/huggingface-tokenizers.js";
import { findSpecialTokens } from "../../prepare/text/special-tokens.js";
import { unusableTokenizer } from "../../prepare/text/text-tokenizer.js";
import type { CopiedFile } from "../family.js";
import { openTokenizer, sourceTokenizerName } from "../source-tokenizer.js";
import {
  checkAddedTokens,
  type FairseqPieces,
  fairseqPiecesName,
  readFairseqPieces,
} from "./fairseq-pieces.js";
import { withSettings } from "./tokenizer-settings.js";

export interface EncoderTokenizer {
  readonly tokenizer: HuggingFaceTokenizer;
  readonly file: CopiedFile;
  readonly unknownTokenId: number | null;
  /** Of tokenizer_config.json; infinite where it says nothing. */
  readonly tokensMax: number;
}

interface TokenizerOptions {
  readonly vocabulary: number;
  /** sentence-transformers makes texts lower-case before they are tokenized. */
  readonly lowerCase: boolean;
  readonly modelType: string;
}

const token = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish();

const tokenizerConfigSchema = z.looseObject({
  model_max_length: z.number().positive().nullish(),
  do_lower_case: z.boolean().nullish(),
  strip_accents: z.boolean().nullish(),
  tokenize_chinese_chars: z.boolean().nullish(),
  add_prefix_space: z.boolean().nullish(),
  tokenizer_class: z.string().nullish(),
  truncation_side: z.string().nullish(),
  cls_token: token,
  sep_token: token,
  pad_token: token,
  unk_token: token,
  mask_token: token,
});

type TokenizerConfig = z.infer<typeof tokenizerConfigSchema>;

const vocabularyBytesMax = 64 * 1024 * 1024;

/** Throws `model_folder_invalid` where there is none or it does not fit the model, `model_unsupported`. */
export async function readEncoderTokenizer(
  dir: string,
  options: TokenizerOptions,
): Promise<EncoderTokenizer> {
  const config = await readTokenizerConfig(dir);
  const path = join(dir, sourceTokenizerName);
  const found = existsSync(path)
    ? checkShape(path, await readJsonFile(path), z.looseObject({}))
    : await makeTokenizer(dir, config, options.modelType);
  const settled = withSettings(found, config, options.modelType);
  const json = options.lowerCase ? lowerCased(settled) : settled;
  const same = json === found && existsSync(path);
  const tokenizer = openTokenizer(path, json, options.vocabulary);
  try {
    // As the server will do it, which would be the first to say that it cannot.
    findSpecialTokens(tokenizer);
  } catch (cause) {
    throw unusableTokenizer(path, cause);
  }
  return {
    tokenizer,
    file: same ? { path } : { text: JSON.stringify(json) },
    unknownTokenId: unknownOf(json),
    tokensMax: config.model_max_length ?? Number.POSITIVE_INFINITY,
  };
}

async function readTokenizerConfig(dir: string): Promise<TokenizerConfig> {
  const path = join(dir, "tokenizer_config.json");
  if (!existsSync(path)) return {};
  return checkShape(path, await readJsonFile(path), tokenizerConfigSchema);
}

function lowerCased(json: object): object {
  const { normalizer } = checkShape(
    sourceTokenizerName,
    json,
    z.looseObject({ normalizer: z.looseObject({}).nullish() }),
  );
  const rest = normalizer == null ? [] : [normalizer];
  return {
    ...json,
    normalizer: { type: "Sequence", normalizers: [{ type: "Lowercase" }, ...rest] },
  };
}

async function makeTokenizer(
  dir: string,
  config: TokenizerConfig,
  modelType: string,
): Promise<object> {
  const wordPieces = join(dir, "vocab.txt");
  if (existsSync(wordPieces)) return await fromWordPieces(wordPieces, config, modelType);
  const [vocabulary, merges] = [join(dir, "vocab.json"), join(dir, "merges.txt")];
  if (existsSync(vocabulary) && existsSync(merges)) {
    return await fromMerges({ vocabulary, merges }, config, modelType);
  }
  const fairseq = await readFairseqPieces(dir, modelType);
  if (fairseq !== null) return fromFairseq(join(dir, fairseqPiecesName), fairseq, config);
  const pieces = [fairseqPiecesName, "spiece.model", "tokenizer.model"].find((name) =>
    existsSync(join(dir, name)),
  );
  if (pieces !== undefined) {
    const cure = "save its fast tokenizer once, with AutoTokenizer's save_pretrained";
    const message = `${dir} has ${pieces} and no ${sourceTokenizerName}, which convert needs; ${cure}`;
    throw new MillraceError("model_unsupported", message);
  }
  const others = `vocab.txt, vocab.json with merges.txt, and ${fairseqPiecesName}`;
  const message = `${join(dir, sourceTokenizerName)} is missing, and so are ${others}`;
  throw new MillraceError("model_folder_invalid", message);
}

type SpecialKey = "cls_token" | "sep_token" | "pad_token" | "unk_token" | "mask_token";
type Specials = Readonly<Record<SpecialKey, string>>;

const bertSpecials: Specials = {
  cls_token: "[CLS]",
  sep_token: "[SEP]",
  pad_token: "[PAD]",
  unk_token: "[UNK]",
  mask_token: "[MASK]",
};
const robertaSpecials: Specials = {
  cls_token: "<s>",
  sep_token: "</s>",
  pad_token: "<pad>",
  unk_token: "<unk>",
  mask_token: "<mask>",
};
/** MPNet has BERT's vocabulary between RoBERTa's tokens. */
const mpnetSpecials: Specials = { ...robertaSpecials, unk_token: "[UNK]" };

async function fromWordPieces(
  path: string,
  config: TokenizerConfig,
  modelType: string,
): Promise<object> {
  const lines = (await readTextFile(path, vocabularyBytesMax)).split("\n");
  if (lines.at(-1) === "") lines.pop();
  // As in transformers, the last of two equal lines has the word.
  const vocabulary = new Map(lines.map((line, id) => [line.replace(/\r$/, ""), id]));
  await checkAddedTokens(dirname(path), vocabulary);
  const isMpnet = modelType === "mpnet";
  const specials = specialsOf(config, isMpnet ? mpnetSpecials : bertSpecials);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens(path, vocabulary, specials),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: config.tokenize_chinese_chars ?? true,
      strip_accents: config.strip_accents ?? null,
      lowercase: config.do_lower_case ?? true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: template(vocabulary, specials, { pairTypes: !isMpnet, twoBetween: isMpnet }),
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: specials.unk_token,
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocabulary),
    },
  };
}

async function fromMerges(
  paths: { readonly vocabulary: string; readonly merges: string },
  config: TokenizerConfig,
  modelType: string,
): Promise<object> {
  const vocab = checkShape(
    paths.vocabulary,
    await readJsonFile(paths.vocabulary, vocabularyBytesMax),
    z.record(z.string(), z.int().nonnegative()),
  );
  const vocabulary = new Map(Object.entries(vocab));
  await checkAddedTokens(dirname(paths.vocabulary), vocabulary);
  const lines = (await readTextFile(paths.merges, vocabularyBytesMax)).split(/\r?\n/);
  const specials = specialsOf(config, robertaSpecials);
  const isBert = modelType === "bert" || modelType === "distilbert";
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens(paths.vocabulary, vocabulary, specials),
    normalizer: null,
    pre_tokenizer: {
      type: "ByteLevel",
      add_prefix_space: config.add_prefix_space ?? false,
      trim_offsets: true,
      use_regex: true,
    },
    post_processor: template(vocabulary, specials, { pairTypes: isBert, twoBetween: !isBert }),
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges: lines.filter((line) => line !== "" && !line.startsWith("#version")),
    },
  };
}

function fromFairseq(path: string, { ids, model }: FairseqPieces, config: TokenizerConfig): object {
  const specials = specialsOf(config, robertaSpecials);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens(path, ids, specials),
    normalizer: null,
    pre_tokenizer: null,
    post_processor: template(ids, specials, { pairTypes: false, twoBetween: true }),
    decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: false },
    model,
  };
}

function specialsOf(config: TokenizerConfig, defaults: Specials): Specials {
  const keys = Object.keys(defaults) as SpecialKey[];
  const text = (key: SpecialKey): string => {
    const given = config[key];
    if (given == null) return defaults[key];
    return typeof given === "string" ? given : given.content;
  };
  return Object.fromEntries(keys.map((key) => [key, text(key)])) as Record<SpecialKey, string>;
}

function addedTokens(
  path: string,
  vocabulary: ReadonlyMap<string, number>,
  specials: Specials,
): object[] {
  for (const key of ["cls_token", "sep_token", "unk_token"] as const) {
    if (vocabulary.has(specials[key])) continue;
    const message = `${path} lacks the ${key} ${JSON.stringify(specials[key])}`;
    throw new MillraceError("model_folder_invalid", message);
  }
  return [...new Set(Object.values(specials))]
    .flatMap((content) => {
      const id = vocabulary.get(content);
      return id === undefined ? [] : [{ id, content }];
    })
    .toSorted((a, b) => a.id - b.id)
    .map(({ id, content }) => ({
      id,
      content,
      single_word: false,
      // `<mask>` takes the space in front of it.
      lstrip: content === "<mask>",
      rstrip: false,
      normalized: false,
      special: true,
    }));
}

/** `[CLS] A [SEP] B [SEP]`; RoBERTa puts two between, and tells its texts apart by nothing else. */
function template(
  vocabulary: ReadonlyMap<string, number>,
  { cls_token: cls, sep_token: sep }: Specials,
  { pairTypes, twoBetween }: { readonly pairTypes: boolean; readonly twoBetween: boolean },
): object {
  const special = (id: string, type_id: number) => ({ SpecialToken: { id, type_id } });
  const text = (id: "A" | "B", type_id: number) => ({ Sequence: { id, type_id } });
  const single = [special(cls, 0), text("A", 0), special(sep, 0)];
  const second = pairTypes ? 1 : 0;
  const between = twoBetween ? [special(sep, 0)] : [];
  const known = (id: string) => [id, { id, ids: [vocabulary.get(id) ?? 0], tokens: [id] }];
  return {
    type: "TemplateProcessing",
    single,
    pair: [...single, ...between, text("B", second), special(sep, second)],
    special_tokens: Object.fromEntries([known(cls), known(sep)]),
  };
}

const unknownSchema = z.looseObject({
  model: z.looseObject({
    unk_token: z.string().nullish(),
    unk_id: z.int().nonnegative().nullish(),
    vocab: z.unknown().optional(),
  }),
});

/** Null where no text is unknown: byte-level vocabularies have all of them. */
function unknownOf(json: object): number | null {
  const { model } = checkShape(sourceTokenizerName, json, unknownSchema);
  if (model.unk_id != null) return model.unk_id;
  const { unk_token: unknown, vocab } = model;
  if (unknown == null || typeof vocab !== "object" || vocab === null) return null;
  const id: unknown = new Map<string, unknown>(Object.entries(vocab)).get(unknown);
  return typeof id === "number" ? id : null;
}
