/** Folders of encoders as strangers have them: modules behind the pooling, heads and old tokenizers. */
import assert from "node:assert/strict";
import { readFile, rm } from "node:fs/promises";
import { test } from "node:test";
import { createTokenizer } from "#src/prepare/text/huggingface-tokenizers.js";
import { convertQuietly } from "../support/converted.js";
import { type EncoderAnswer, EncoderGraph } from "../support/encoder.js";
import {
  type EncoderSourceOptions,
  moduleList,
  words,
  writeEncoderSource,
} from "../support/encoder-source.js";
import { float32Tensor, safetensorsOf } from "../support/safetensors-bytes.js";
import type { SourceTensor } from "../support/safetensors-file.js";
import { TempDir } from "../support/temp-dir.js";

const texts = [
  [2, 7, 8, 9, 3],
  [2, 3],
  [2, 20, 11, 5, 6, 30, 31, 32, 33, 34, 35, 36, 37, 38, 40, 41, 3],
].map((ids) => ({ ids }));

function convertInto(dir: TempDir, options: Partial<Parameters<typeof convertQuietly>[0]> = {}) {
  return convertQuietly({ modelDir: dir.file("in"), outDir: dir.file("out"), ...options });
}

// ── What follows the last layer ─────────────────────────────────────────────────────────────────────────────────────

const dense = {
  weight: Array.from({ length: 8 * 32 }, (_, at) => Math.sin(at)),
  bias: Array.from({ length: 8 }, (_, at) => at / 10),
};
const denseWeights = safetensorsOf({
  "linear.weight": float32Tensor([8, 32], dense.weight),
  "linear.bias": float32Tensor([8], dense.bias),
});
const modules = {
  "modules.json": moduleList(
    ["Transformer", ""],
    ["Pooling", "1_Pooling"],
    ["Normalize", "2_Normalize"],
    ["Dense", "3_Dense"],
    ["Normalize", "4_Normalize"],
  ),
  "1_Pooling/config.json": { pooling_mode: "mean" },
  "3_Dense/config.json": {
    in_features: 32,
    out_features: 8,
    bias: true,
    activation_function: "torch.nn.modules.activation.Tanh",
  },
  "3_Dense/model.safetensors": denseWeights,
};

function denseOf(vector: ArrayLike<number>): number[] {
  const length = Math.hypot(...Array.from(vector));
  return dense.bias.map((bias, row) => {
    let sum = bias;
    for (let at = 0; at < 32; at += 1) {
      sum += (dense.weight[row * 32 + at] ?? 0) * ((vector[at] ?? 0) / length);
    }
    return Math.tanh(sum);
  });
}

function assertClose(found: ArrayLike<number>, expected: readonly number[], within = 1e-5): void {
  assert.equal(found.length, expected.length);
  for (const [at, value] of expected.entries()) {
    assert.ok(Math.abs((found[at] ?? Number.NaN) - value) <= within, `${found[at]}, not ${value}`);
  }
}

function outputOf(answer: EncoderAnswer | undefined, name: string): Float32Array {
  return answer?.outputs[name] ?? new Float32Array();
}

for (const precision of ["f32", "int8"] as const) {
  test(`a Dense between two Normalize: ${precision}`, async () => {
    await using dir = await TempDir.make();
    await writeEncoderSource(dir.file("in"), { files: modules });
    const { manifest } = await convertInto(dir, { precision });
    await using graph = await EncoderGraph.open(dir.file("out"));
    const embedding = { pooling: "mean", normalize: true, width: 8, own: true };
    assert.deepEqual(graph.manifest.embedding, embedding);
    assert.ok("dense.3_Dense" in manifest.layerPrecision);
    const answers = await graph.run(texts);
    for (const [index, text] of texts.entries()) {
      const own = outputOf(answers[index], "own");
      assertClose(
        own,
        denseOf(outputOf(answers[index], "pooled")),
        precision === "f32" ? 1e-5 : 0.1,
      );
      const [alone] = await graph.run([text]);
      if (precision === "int8") assert.deepEqual(outputOf(alone, "own"), own);
      else assertClose(outputOf(alone, "own"), Array.from(own));
    }
  });
}

const poolings: readonly [
  title: string,
  config: object,
  expected: (answer: EncoderAnswer, tokens: number) => number[],
][] = [
  [
    "max and mean, side by side in that order",
    { pooling_mode_max_tokens: true, pooling_mode_mean_tokens: true },
    (answer) => [...outputOf(answer, "max"), ...outputOf(answer, "pooled")],
  ],
  [
    "defect: mean and max of a list stand in the order of the list",
    { pooling_mode: ["mean", "max"] },
    (answer) => [...outputOf(answer, "pooled"), ...outputOf(answer, "max")],
  ],
  [
    "the sum over the square root of the length",
    { pooling_mode_mean_sqrt_len_tokens: true },
    (answer, tokens) =>
      Array.from(outputOf(answer, "pooled"), (value) => value * Math.sqrt(tokens)),
  ],
];

for (const [title, pooling, expected] of poolings) {
  test(`pooling: ${title}`, async () => {
    await using dir = await TempDir.make();
    const files = {
      "modules.json": moduleList(["Transformer", "0_T"], ["Pooling", "1_Pooling"]),
      "1_Pooling/config.json": pooling,
    };
    await writeEncoderSource(dir.file("in"), { files });
    await writeEncoderSource(dir.file("in", "0_T"));
    await convertInto(dir);
    await using graph = await EncoderGraph.open(dir.file("out"));
    assert.equal(graph.manifest.embedding?.own, true);
    for (const [index, answer] of (await graph.run(texts)).entries()) {
      assertClose(outputOf(answer, "own"), expected(answer, texts[index]?.ids.length ?? 0));
    }
  });
}

test("the mean of tokens, the largest of each number, and every layer", async () => {
  await using dir = await TempDir.make();
  await writeEncoderSource(dir.file("in"), { modelType: "modernbert" });
  await convertInto(dir);
  await using graph = await EncoderGraph.open(dir.file("out"));
  const seen: string[] = [];
  for (const layer of [0, 1, 2]) {
    for (const [index, answer] of (await graph.run(texts, { layer })).entries()) {
      const tokens = answer.tokens ?? new Float32Array();
      const count = texts[index]?.ids.length ?? 0;
      const columns = Array.from({ length: 32 }, (_, column) =>
        Array.from({ length: count }, (_, row) => tokens[row * 32 + column] ?? Number.NaN),
      );
      const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
      assertClose(
        outputOf(answer, "pooled"),
        columns.map((values) => sum(values) / count),
      );
      assertClose(
        outputOf(answer, "max"),
        columns.map((values) => Math.max(...values)),
        0,
      );
      seen.push(tokens.join());
    }
  }
  assert.equal(new Set(seen).size, 9, "layers differ");
});

test("ModernBERT's head: of the first token and of the mean, alone and in company", async () => {
  await using dir = await TempDir.make();
  const logits: string[] = [];
  for (const pooling of ["cls", "mean"]) {
    const config = {
      architectures: ["ModernBertForSequenceClassification"],
      id2label: { 0: "no", 1: "yes", 2: "perhaps" },
      classifier_pooling: pooling,
    };
    await writeEncoderSource(dir.file("in"), { modelType: "modernbert", config, prefix: "" });
    await convertInto(dir, { precision: "int8", force: true });
    await using graph = await EncoderGraph.open(dir.file("out"));
    assert.deepEqual(graph.manifest.labels, ["no", "yes", "perhaps"]);
    assert.equal(graph.manifest.scores, "softmax");
    const together = await graph.run(texts);
    for (const [index, text] of texts.entries()) {
      const [alone] = await graph.run([text]);
      assert.deepEqual(outputOf(alone, "logits"), outputOf(together[index], "logits"));
      logits.push(outputOf(alone, "logits").join());
    }
  }
  assert.equal(new Set(logits).size, 6);
});

const scores: readonly [title: string, config: object, task: string, scores: string][] = [
  ["one label", {}, "rerank", "sigmoid"],
  [
    "a cross-encoder of logits",
    { sbert_ce_default_activation_function: "torch.nn.modules.linear.Identity" },
    "rerank",
    "identity",
  ],
  [
    "a newer cross-encoder",
    { sentence_transformers: { activation_fn: "torch.nn.modules.activation.Sigmoid" } },
    "rerank",
    "sigmoid",
  ],
  [
    "several labels at once",
    { problem_type: "multi_label_classification", id2label: { 0: "a", 1: "b" } },
    "classify",
    "sigmoid",
  ],
  ["one of two", { id2label: { 1: "b", 0: "a" } }, "classify", "softmax"],
  ["numbers", { problem_type: "regression", id2label: { 1: "b", 0: "a" } }, "classify", "identity"],
];

for (const [title, config, task, expected] of scores) {
  test(`scores: ${title}`, async () => {
    await using dir = await TempDir.make();
    const all = {
      architectures: ["BertForSequenceClassification"],
      id2label: { 0: "LABEL_0" },
      ...config,
    };
    await writeEncoderSource(dir.file("in"), { config: all });
    const { manifest } = await convertInto(dir);
    assert.equal(manifest.task, task);
    assert.ok("scores" in manifest);
    assert.equal(manifest.scores, expected);
  });
}

// ── Names and tokenizers ────────────────────────────────────────────────────────────────────────────────────────────

test("tensors under a prefix and under their older names give the same bytes", async () => {
  await using dir = await TempDir.make();
  const hashes: unknown[] = [];
  const older = (tensors: Map<string, SourceTensor>) => {
    for (const [name, tensor] of new Map(tensors)) {
      tensors.delete(name);
      const own = name.replace(/LayerNorm\.weight$/, "LayerNorm.gamma");
      tensors.set(own.replace(/LayerNorm\.bias$/, "LayerNorm.beta"), tensor);
    }
  };
  const ways: readonly EncoderSourceOptions[] = [
    {},
    { prefix: "bert.", config: { architectures: ["BertForMaskedLM"] } },
    { prefix: "bert.", change: older },
  ];
  for (const options of ways) {
    await writeEncoderSource(dir.file("in"), options);
    const { manifest } = await convertInto(dir, { force: true });
    hashes.push(manifest.fileSha256);
  }
  assert.deepEqual(hashes[1], hashes[0]);
  assert.deepEqual(hashes[2], hashes[0]);
});

async function idsOf(dir: TempDir, text: string, pair?: string): Promise<number[]> {
  const json = JSON.parse(await readFile(dir.file("out", "tokenizer.json"), "utf8")) as object;
  const tokenizer = createTokenizer(json, {});
  return pair === undefined
    ? tokenizer.encode(text).ids
    : tokenizer.encode(text, { text_pair: pair, return_token_type_ids: true }).ids;
}

const idOf = (...pieces: readonly string[]) => pieces.map((piece) => words.indexOf(piece));

test("a tokenizer is made of vocab.txt, lower-case as its configuration says", async () => {
  await using dir = await TempDir.make();
  await writeEncoderSource(dir.file("in"));
  const { manifest } = await convertInto(dir);
  assert.deepEqual(await idsOf(dir, "Ab é!"), idOf("[CLS]", "a", "##b", "e", "!", "[SEP]"));
  assert.deepEqual(await idsOf(dir, "a", "b"), idOf("[CLS]", "a", "[SEP]", "b", "[SEP]"));
  assert.deepEqual(manifest.shape.positions, 40);
  assert.ok("unknownTokenId" in manifest);
  assert.equal(manifest.unknownTokenId, 1);
  const cased = { "tokenizer_config.json": { do_lower_case: false } };
  await writeEncoderSource(dir.file("in"), { files: cased });
  await convertInto(dir, { force: true });
  assert.deepEqual(await idsOf(dir, "Ab a"), idOf("[CLS]", "[UNK]", "a", "[SEP]"));
  // sentence-transformers makes the text lower-case by itself.
  const own = { ...cased, "sentence_bert_config.json": { max_seq_length: 9, do_lower_case: true } };
  await writeEncoderSource(dir.file("in"), { files: own });
  const third = await convertInto(dir, { force: true });
  assert.deepEqual(await idsOf(dir, "Ab a"), idOf("[CLS]", "a", "##b", "a", "[SEP]"));
  assert.deepEqual(third.manifest.limits.inputTokensMax, 9);
});

test("defect: what tokenizer_config.json says of capitals counts over tokenizer.json", async () => {
  await using dir = await TempDir.make();
  const cased = { do_lower_case: false };
  await writeEncoderSource(dir.file("in"), { files: { "tokenizer_config.json": cased } });
  await convertInto(dir);
  const made = await readFile(dir.file("out", "tokenizer.json"), "utf8");
  const capitals = ["[CLS]", "[UNK]", "a", "[SEP]"];
  const lower = ["[CLS]", "a", "##b", "a", "[SEP]"];
  for (const [config, expected] of [
    [{ do_lower_case: true }, lower],
    [{ do_lower_case: true, tokenizer_class: "BertTokenizer" }, lower],
    [cased, capitals],
    // A class that takes the file as it is.
    [{ do_lower_case: true, tokenizer_class: "PreTrainedTokenizerFast" }, capitals],
  ] as const) {
    const files = { "tokenizer.json": made, "tokenizer_config.json": config };
    await writeEncoderSource(dir.file("in"), { files });
    await convertInto(dir, { force: true });
    assert.deepEqual(await idsOf(dir, "Ab a"), idOf(...expected), JSON.stringify(config));
  }
});

test("defect: MPNet counts positions from behind token 1, whatever pad_token_id says", async () => {
  await using dir = await TempDir.make();
  const answers: Float32Array[] = [];
  for (const padding of [1, 0]) {
    const config = { model_type: "mpnet", architectures: ["MPNetModel"], pad_token_id: padding };
    const files = { "vocab.txt": ["<s>", "</s>", "<pad>", ...words].join("\n") };
    await writeEncoderSource(dir.file("in"), { config: { ...config, vocab_size: 70 }, files });
    await convertInto(dir, { force: true });
    await using graph = await EncoderGraph.open(dir.file("out"));
    assert.equal(graph.manifest.shape.positions, 38);
    const [answer] = await graph.run(texts.slice(0, 1));
    answers.push(outputOf(answer, "pooled"));
  }
  assert.deepEqual(answers[1], answers[0]);
});

test("a tokenizer is made of vocab.json and merges.txt", async () => {
  await using dir = await TempDir.make();
  const pieces = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", "Ġ", "ab", "Ġab", "<mask>"];
  const files = {
    "vocab.json": Object.fromEntries(pieces.map((piece, id) => [piece, id])),
    "merges.txt": "#version: 0.2\na b\nĠ ab\n",
  };
  const config = { model_type: "roberta", architectures: ["RobertaModel"], type_vocab_size: 1 };
  await writeEncoderSource(dir.file("in"), { config, files, prefix: "roberta." });
  // Of vocab.txt transformers' RoBERTa knows nothing, and such a folder has none.
  await rm(dir.file("in", "vocab.txt"));
  const { manifest } = await convertInto(dir);
  assert.deepEqual(await idsOf(dir, "ab ab"), [0, 7, 8, 2]);
  assert.deepEqual(await idsOf(dir, "ab", "ab"), [0, 7, 2, 2, 7, 2]);
  assert.ok("unknownTokenId" in manifest);
  assert.equal(manifest.unknownTokenId, null);
  assert.equal(manifest.shape.positions, 38);
});
