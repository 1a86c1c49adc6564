/** Small translation repositories: what their files may say, and what they become. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { manifestOf } from "#src/models/engine-table.js";
import { stepsOf } from "#src/prepare/model-steps.js";
import { TextTokenizer } from "#src/prepare/text/text-tokenizer.js";
import { taskOf } from "#src/tasks/table.js";
import { readGenerationInput } from "#src/work/generation.js";
import type { JsonObject } from "#src/work/payload.js";
import { convertQuietly } from "../support/converted.js";
import {
  type MarianRepositoryOptions,
  repositoryVocabulary,
  useTorchWeights,
  writeMarianRepository,
} from "../support/marian-repository.js";
import { sentencePieceBytes, usualPieces } from "../support/sentencepiece-bytes.js";
import { TempDir } from "../support/temp-dir.js";

async function openConverted(
  dir: TempDir,
  options: MarianRepositoryOptions,
): Promise<TextTokenizer> {
  await writeMarianRepository(dir.file("in"), options);
  const { manifest } = await convertQuietly({ modelDir: dir.file("in"), outDir: dir.file("out") });
  const { files, generation } = manifestOf(manifest, "generation");
  const { tokenizer, targetTokenizer } = files;
  return await TextTokenizer.open({
    path: dir.file("out", tokenizer),
    ...(targetTokenizer === undefined ? {} : { targetPath: dir.file("out", targetTokenizer) }),
    unknownTokenId: generation.unknownTokenId,
  });
}

test("pieces get the ids of vocab.json, as transformers gives them", async () => {
  await using dir = await TempDir.make();
  const tokenizer = await openConverted(dir, {});
  assert.deepEqual(tokenizer.encode("a b."), [2, 3, 5, 6, 0]);
  // "aa", "o" and "😀" are pieces that vocab.json lacks; so are characters that no piece has, those beside each other as one.
  assert.deepEqual(tokenizer.encode("a aao😀"), [2, 3, 1, 1, 1, 0]);
  assert.deepEqual(tokenizer.encode("a zzz"), [2, 3, 1, 0]);
  // Unknown to SentencePiece, and a word of the vocabulary all the same.
  assert.deepEqual(tokenizer.encode("a xy"), [2, 3, 8, 0]);
  assert.deepEqual(tokenizer.encode(""), [0]);
  assert.deepEqual(tokenizer.encode(">>cmn<< a"), [9, 2, 0]);
  assert.deepEqual(tokenizer.encode(">>xyz<< a"), [1, 2, 0]);
  assert.deepEqual(tokenizer.encode("a >>cmn<<a"), [2, 2, 0]);
  // A special token in a text is that token, and what follows begins anew.
  assert.deepEqual(tokenizer.encode("a</s>a"), [2, 0, 2, 0]);
  assert.equal(tokenizer.decode([2, 7, 3, 5, 6, 0, 11, 1]), "a世界 b.");
  // SentencePiece leaves control pieces out.
  assert.equal(tokenizer.decode([10, 2, 10, 5]), "ab");
  // And knows none in a text: "<s>" is three characters that no piece has.
  assert.deepEqual(tokenizer.encode("<s>"), [3, 10, 0]);
});

test("a language code is for every sentence of its text, and for every piece of a long one", async () => {
  await using dir = await TempDir.make();
  await writeMarianRepository(dir.file("in"), { config: { max_position_embeddings: 8 } });
  const { manifest } = await convertQuietly({ modelDir: dir.file("in"), outDir: dir.file("out") });
  const limits = { inputCharactersMax: 1_000, imagePixelsMax: 1 };
  const model = await taskOf(manifest).open({ dir: dir.file("out"), manifest }, limits);
  const idsOf = (text: string, settings: JsonObject = {}): unknown[] => {
    const run = { inputs: [text], firstIndex: 0, settings: model.complete(settings) };
    return [...stepsOf(model, run)].flatMap((step) =>
      step.kind === "piece" ? [[...(readGenerationInput(step.piece.payload)?.tokenIds ?? [])]] : [],
    );
  };
  assert.deepEqual(idsOf(" >>cmn<< a b\nb a\n"), [
    [9, 2, 3, 5, 0],
    [9, 3, 5, 2, 0],
  ]);
  assert.deepEqual(idsOf(">>cmn<< a a a a a a a a"), [
    [9, 2, 2, 2, 2, 2, 2, 0],
    [9, 2, 2, 0],
  ]);
  assert.deepEqual(idsOf(">>cmn<<\na b\na", { split: false }), [[9, 2, 3, 5, 1, 4, 0]]);
  assert.deepEqual(idsOf(">>cmn<<"), []);
  // The model has no such language; it is a word that it does not know, as in transformers.
  assert.deepEqual(idsOf(">>xyz<< a\na"), [
    [1, 2, 0],
    [2, 0],
  ]);
});

test("two vocabularies: inputs by vocab.json, outputs by target_vocab.json", async () => {
  await using dir = await TempDir.make();
  const target = { "</s>": 0, "<unk>": 1, b: 2, "▁b": 3, "<pad>": 4 };
  const tokenizer = await openConverted(dir, {
    config: {
      share_encoder_decoder_embeddings: false,
      decoder_vocab_size: 5,
      pad_token_id: 4,
      decoder_start_token_id: 4,
      bad_words_ids: [[4]],
    },
    targetVocabulary: target,
    tokenizerConfig: { separate_vocabs: true, source_lang: "eng", target_lang: "zho" },
  });
  assert.deepEqual(tokenizer.encode("a b"), [2, 3, 5, 0]);
  assert.equal(tokenizer.decode([3, 2, 3, 0]), "bb b");
});

test("special tokens of other names, as tokenizer_config.json has them", async () => {
  await using dir = await TempDir.make();
  const tokenizer = await openConverted(dir, {
    vocabulary: { END: 0, UNK: 1, "▁a": 2, "<pad>": 11 },
    tokenizerConfig: { eos_token: "END", unk_token: { content: "UNK", lstrip: false } },
  });
  assert.deepEqual(tokenizer.encode("a END a b"), [2, 0, 2, 1, 1, 0]);
});

const same: readonly [
  what: string,
  dtype: "F32" | "F16" | "BF16",
  aliases: Readonly<Record<string, string>>,
  format?: "legacy",
][] = [
  ["float32", "F32", {}],
  ["float32 before PyTorch 1.6", "F32", {}, "legacy"],
  ["float16", "F16", {}],
  ["bfloat16", "BF16", {}],
  [
    "tied tables under all their names",
    "F16",
    {
      "model.encoder.embed_tokens.weight": "model.shared.weight",
      "model.decoder.embed_tokens.weight": "model.shared.weight",
      "lm_head.weight": "model.shared.weight",
    },
  ],
];

for (const [what, dtype, aliases, format] of same) {
  test(`a pytorch_model.bin converts to the same bytes as model.safetensors: ${what}`, async () => {
    await using dir = await TempDir.make();
    await writeMarianRepository(dir.file("in"), { dtype });
    await convertQuietly({ modelDir: dir.file("in"), outDir: dir.file("expected") });
    await useTorchWeights(dir.file("in"), aliases, format);
    const { manifest } = await convertQuietly({
      modelDir: dir.file("in"),
      outDir: dir.file("out"),
    });
    assert.ok(manifest.source.weightsBytes > 0);
    for (const name of ["encoder.onnx", "decoder.onnx", "weights.bin", "tokenizer.json"]) {
      const expected = await readFile(dir.file("expected", name));
      assert.ok(expected.equals(await readFile(dir.file("out", name))), name);
    }
  });
}

const vocabulary = repositoryVocabulary;
const bpe = sentencePieceBytes({
  pieces: [...usualPieces, { piece: "a", score: -1 }],
  modelType: 2,
});

const refusals: readonly {
  readonly what: string;
  readonly options?: MarianRepositoryOptions;
  readonly damage?: (folder: string) => Promise<void>;
  readonly code?: string;
  readonly says: RegExp;
}[] = [
  { what: "a vocabulary that is a list", options: { vocabulary: [1] }, says: /vocab\.json/ },
  {
    what: "an id that is no number",
    options: { vocabulary: { ...vocabulary, q: "1" } },
    says: /vocab\.json: q/,
  },
  {
    what: "an id with a fraction",
    options: { vocabulary: { ...vocabulary, q: 1.5 } },
    says: /vocab\.json: q/,
  },
  {
    what: "a negative id",
    options: { vocabulary: { ...vocabulary, q: -1 } },
    says: /vocab\.json: q/,
  },
  {
    what: "one id twice",
    options: { vocabulary: { ...vocabulary, q: 4 } },
    says: /"a" and "q" have the id 4/,
  },
  {
    what: "an absurd id",
    options: { vocabulary: { ...vocabulary, q: 1e9 } },
    says: /"q" has the id 1000000000 of only 13 pieces/,
  },
  {
    what: "an id that the table lacks",
    options: { vocabulary: { ...vocabulary, q: 12 } },
    says: /has the id 12, but the model's vocabulary has 12/,
  },
  {
    what: "no end token",
    options: { vocabulary: { "<unk>": 1, a: 2 } },
    says: /vocab\.json lacks the token "<\/s>"/,
  },
  {
    what: "no unknown token",
    options: { vocabulary: { "</s>": 0, a: 2 } },
    says: /lacks the token "<unk>"/,
  },
  {
    what: "another end token than the config's",
    options: { vocabulary: { "</s>": 1, "<unk>": 0 } },
    says: /ends texts with the id 1, but config\.json's eos_token_id is 0/,
  },
  {
    what: "a BPE model",
    options: { source: bpe },
    code: "model_unsupported",
    says: /source\.spm: .*BPE/,
  },
  {
    what: "a BPE model of outputs",
    options: { target: bpe },
    code: "model_unsupported",
    says: /target\.spm: .*BPE/,
  },
  {
    what: "a damaged model",
    options: { source: Buffer.from("x") },
    says: /source\.spm is no SentencePiece/,
  },
  {
    what: "one vocabulary where two are said",
    options: {
      config: { share_encoder_decoder_embeddings: false },
      tokenizerConfig: { separate_vocabs: true },
    },
    says: /target_vocab\.json is missing/,
  },
  {
    what: "two vocabularies in one table",
    options: { tokenizerConfig: { separate_vocabs: true } },
    says: /share_encoder_decoder_embeddings/,
  },
  {
    what: "tokens that were added",
    damage: (folder) => writeFile(join(folder, "added_tokens.json"), '{"<new>": 12}'),
    code: "model_unsupported",
    says: /added_tokens\.json.*<new>/,
  },
];

for (const { what, options, damage, code, says } of refusals) {
  test(`refuses a repository with ${what}`, async () => {
    await using dir = await TempDir.make();
    await writeMarianRepository(dir.file("in"), options);
    await damage?.(dir.file("in"));
    const work = convertQuietly({ modelDir: dir.file("in"), outDir: dir.file("out") });
    await assert.rejects(work, { code: code ?? "model_folder_invalid", message: says });
  });
}
