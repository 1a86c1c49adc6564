/** Folders of encoders that convert refuses: what they have and Millrace lacks, and what contradicts itself. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { inspectFolder } from "#src/cli/inspect.js";
import { convertQuietly } from "../support/converted.js";
import {
  type EncoderSourceOptions,
  moduleList,
  words,
  writeEncoderSource,
} from "../support/encoder-source.js";
import { float32Tensor, safetensorsOf } from "../support/safetensors-bytes.js";
import { TempDir } from "../support/temp-dir.js";

interface Refusal extends EncoderSourceOptions {
  readonly title: string;
  readonly code: string;
  readonly message: RegExp;
}

const withPooling = (pooling: object, ...more: readonly (readonly [string, string])[]) => ({
  "modules.json": moduleList(["Transformer", ""], ["Pooling", "1_Pooling"], ...more),
  "1_Pooling/config.json": pooling,
});
const mean = { pooling_mode_mean_tokens: true };
const classifies = { architectures: ["BertForSequenceClassification"] };
const unsupported = "model_unsupported";
const invalid = "model_folder_invalid";

const refusals: readonly Refusal[] = [
  ...[
    [
      "relative positions",
      { position_embedding_type: "relative_key" },
      /position_embedding_type "relative_key"/,
    ],
    ["a decoder", { is_decoder: true }, /is_decoder true/],
    ["cross-attention", { add_cross_attention: true }, /add_cross_attention/],
    ["pruned heads", { pruned_heads: { 1: [0] } }, /pruned_heads/],
    ["quantized weights", { quantization_config: { bits: 4 } }, /quantization_config/],
    ["code of its own", { auto_map: { AutoModel: "x--y.Z" } }, /auto_map/],
    ["an unknown activation", { hidden_act: "mish" }, /"mish".*gelu/],
    [
      "labels for tokens",
      { architectures: ["BertForTokenClassification"] },
      /ForTokenClassification/,
    ],
    ["a language model that writes", { architectures: ["BertLMHeadModel"] }, /BertLMHeadModel/],
    ["heads that do not divide the width", { num_attention_heads: 5 }, /multiple of its 5 heads/],
    [
      "no positions behind the padding",
      { model_type: "roberta", pad_token_id: 99 },
      /none of which/,
    ],
    ["more kinds of tokens than are told apart", { type_vocab_size: 99 }, /type_vocab_size 99/],
    [
      "a softmax of one label",
      { ...classifies, id2label: { 0: "a" }, function_to_apply: "softmax" },
      /softmax of one label/,
    ],
    [
      "a function for scores that is unknown",
      { ...classifies, function_to_apply: "cube" },
      /"cube"/,
    ],
  ].map(([title, config, message]) => ({ title, config, message, code: unsupported }) as Refusal),
  {
    title: "layers beyond any model",
    config: { num_hidden_layers: 1e6 },
    code: invalid,
    message: /num_hidden_layers/,
  },
  {
    title: "a text where a number is",
    config: { hidden_size: "32" },
    code: invalid,
    message: /hidden_size/,
  },
  {
    title: "labels with a gap",
    config: { ...classifies, id2label: { 0: "a", 2: "b" } },
    code: invalid,
    message: /none of them is 1/,
  },
  {
    title: "defect: one rotation for all layers",
    modelType: "modernbert",
    config: { rope_parameters: { rope_type: "linear", factor: 4, rope_theta: 10_000 } },
    code: unsupported,
    message: /rope_parameters\.rope_type/,
  },
  {
    title: "defect: long texts that lose their beginning",
    files: { "tokenizer_config.json": { truncation_side: "left" } },
    code: unsupported,
    message: /truncation_side/,
  },
  {
    title: "defect: tokens that were added to a vocabulary without a tokenizer.json",
    files: { "added_tokens.json": { "[MASK]": 4, "[MINE]": words.length } },
    code: unsupported,
    message: /"\[MINE\]", which Millrace would cut/,
  },
  {
    title: "an adapter",
    files: { "adapter_config.json": {} },
    code: unsupported,
    message: /adapter/,
  },
  ...[
    ["the last token's vector", withPooling({ pooling_mode_lasttoken: true }), /lasttoken/],
    ["a weighted mean", withPooling({ pooling_mode: "weightedmean" }), /weightedmean/],
    ["first token and mean at once", withPooling({ pooling_mode: ["cls", "mean"] }), /cls\+mean/],
    ["no pooling at all", withPooling({}), /the pooling none/],
    ["a module of its own", withPooling(mean, ["../../evil.Custom", "2_X"]), /code of its own/],
    ["an unknown module", withPooling(mean, ["LSTM", "2_LSTM"]), /the module LSTM/],
    [
      "no Transformer first",
      { "modules.json": moduleList(["WordEmbeddings", ""]) },
      /WordEmbeddings/,
    ],
    [
      "a Dense with an unknown activation",
      {
        ...withPooling(mean, ["Dense", "2_Dense"]),
        "2_Dense/config.json": {
          in_features: 32,
          out_features: 4,
          activation_function: "torch.nn.Odd",
        },
      },
      /torch\.nn\.Odd.*2_Dense/,
    ],
    [
      "a prompt in front of every text",
      {
        ...withPooling(mean),
        "config_sentence_transformers.json": {
          prompts: { query: "query: " },
          default_prompt_name: "query",
        },
      },
      /"query: " in front of every text/,
    ],
  ].map(([title, files, message]) => ({ title, files, message, code: unsupported }) as Refusal),
  ...[
    [
      "a path that leaves the folder",
      withPooling(mean, ["Dense", "../2_Dense"]),
      /modules\.json: the path "\.\.\/2_Dense"/,
    ],
    ["an absolute path", withPooling(mean, ["Dense", "/etc"]), /the path "\/etc"/],
    [
      "a Dense of another width",
      {
        ...withPooling(mean, ["Dense", "2_Dense"]),
        "2_Dense/config.json": { in_features: 33, out_features: 4 },
      },
      /2_Dense: in_features 33, where 32 come in/,
    ],
    [
      "a vocabulary without special tokens",
      { "vocab.txt": "a\nb" },
      /vocab\.txt lacks the cls_token/,
    ],
    [
      "more words than the table has",
      { "vocab.txt": `${words.join("\n")}\nmore` },
      /has the id 62/,
    ],
  ].map(([title, files, message]) => ({ title, files, message, code: invalid }) as Refusal),
  {
    title: "a Dense whose weights have another shape",
    files: {
      ...withPooling(mean, ["Dense", "2_Dense"]),
      "2_Dense/config.json": { in_features: 32, out_features: 8 },
      "2_Dense/model.safetensors": safetensorsOf({
        "linear.weight": float32Tensor([2, 2], [1, 2, 3, 4]),
      }),
    },
    code: "tensor_mismatch",
    message: /linear\.weight.*expected \[8, 32\], found \[2, 2\]/,
  },
  {
    title: "a missing tensor",
    change: (tensors) => tensors.delete("encoder.layer.1.output.dense.weight"),
    code: "tensor_missing",
    message: /encoder\.layer\.1\.output\.dense\.weight of shape \[32, 48\]/,
  },
  {
    title: "no head where labels are promised",
    config: { ...classifies, id2label: { 0: "a", 1: "b" } },
    change: (tensors) => tensors.delete("classifier.weight"),
    code: "tensor_missing",
    message: /classifier\.weight of shape \[2, 32\]/,
  },
  {
    title: "a table of another size than the configuration says",
    change: (tensors) =>
      tensors.set(
        "embeddings.word_embeddings.weight",
        float32Tensor([1, 32], new Float32Array(32)),
      ),
    code: "tensor_mismatch",
    message: /word_embeddings\.weight.*expected \[62, 32\], found \[1, 32\]/,
  },
  {
    title: "a value that is no number",
    change: (tensors) =>
      tensors.set(
        "embeddings.LayerNorm.bias",
        float32Tensor([32], new Float32Array(32).fill(Number.NaN)),
      ),
    code: "weights_invalid",
    message: /embeddings\.LayerNorm\.bias has the value NaN/,
  },
];

for (const { title, code, message, ...options } of refusals) {
  test(`refused, and nothing is left: ${title}`, async () => {
    await using dir = await TempDir.make();
    await writeEncoderSource(dir.file("in"), options);
    await assert.rejects(convertQuietly({ modelDir: dir.file("in"), outDir: dir.file("out") }), {
      code,
      message,
    });
    assert.deepEqual(await readdir(dir.path), ["in"]);
    const inspection = await inspectFolder(dir.file("in"));
    assert.ok(inspection.kind === "hugging-face");
    if (code !== "weights_invalid") assert.match(inspection.obstacle ?? "", message);
  });
}
