import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { type MarianConfig, readMarianConfig } from "#src/convert/marian/config.js";
import {
  checkTensors,
  embeddingTables,
  expectedTensors,
  sinusoidalPositions,
} from "#src/convert/marian/tensors.js";
import { openWeights } from "#src/convert/reading/weights.js";
import { findTensor } from "#src/convert/tensors.js";
import { manifestOf } from "../support/model-folder.js";
import { float32Tensor, type HandMadeTensor, safetensorsOf } from "../support/safetensors-bytes.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const config: MarianConfig = {
  modelType: "marian",
  vocabularySize: 5,
  decoderVocabularySize: 5,
  width: 4,
  encoder: { layers: 1, heads: 2, feedForward: 6 },
  decoder: { layers: 1, heads: 2, feedForward: 6 },
  positions: 3,
  activation: "silu",
  scaleEmbedding: true,
  sharedEmbeddings: true,
  tiedOutput: true,
  generation: {
    startTokenId: 2,
    endTokenId: 0,
    padTokenId: 2,
    unknownTokenId: 1,
    forcedEndTokenId: 0,
    badWords: [],
    beams: 1,
    maxLength: 3,
    lengthPenalty: 1,
    earlyStopping: false,
    renormalizeLogits: false,
  },
};

/** A file with all the tensors that the config needs, changed as the caller likes. */
async function check(
  settings: MarianConfig,
  change: (tensors: Map<string, HandMadeTensor>) => void,
): Promise<void> {
  const tensors = new Map<string, HandMadeTensor>();
  for (const { name, shape } of expectedTensors(settings)) {
    const count = shape.reduce((product, size) => product * size, 1);
    tensors.set(name, float32Tensor(shape, new Float32Array(count)));
  }
  change(tensors);
  await using dir = await TempDir.make();
  await writeFile(dir.file("model.safetensors"), safetensorsOf(Object.fromEntries(tensors)));
  await using weights = await openWeights(dir.path);
  checkTensors(weights, settings);
}

const table = float32Tensor([5, 4], new Float32Array(20));

test("accepts what it expects, and tensors that it does not need", async () => {
  await check(config, (tensors) => tensors.set("extra", table));
});

test("positions and the logits' bias may be absent", async () => {
  await check(config, (tensors) => {
    tensors.delete("final_logits_bias");
    tensors.delete("model.encoder.embed_positions.weight");
    tensors.delete("model.decoder.embed_positions.weight");
  });
});

test("a tied table may stand under any of its names, but not under that of another table", async () => {
  await check(config, (tensors) => {
    tensors.delete("model.shared.weight");
    tensors.set("lm_head.weight", table);
  });
  const untied = { ...config, tiedOutput: false };
  await check(untied, () => {});
  await assert.rejects(
    check(untied, (tensors) => tensors.delete("lm_head.weight")),
    { code: "tensor_missing", message: /lm_head\.weight/ },
  );
});

test("defect 21: without tied tables encoder and decoder have their own, or both the shared one", async () => {
  const untied = { ...config, tiedOutput: false };
  const names = embeddingTables(untied);
  assert.equal(new Set(Object.values(names)).size, 3);
  await check(untied, (tensors) => {
    tensors.delete(names.encoder);
    tensors.delete(names.decoder);
    tensors.set("model.shared.weight", table);
  });
  await assert.rejects(
    check(untied, (tensors) => tensors.delete(names.encoder)),
    { code: "tensor_missing", message: /model\.encoder\.embed_tokens\.weight/ },
  );
});

test("separate vocabularies have separate tables", async () => {
  const separate = { ...config, sharedEmbeddings: false, decoderVocabularySize: 7 };
  await check(separate, () => {});
  await assert.rejects(
    check(separate, (tensors) => tensors.delete("model.encoder.embed_tokens.weight")),
    { code: "tensor_missing", message: /model\.encoder\.embed_tokens\.weight of shape \[5, 4\]/ },
  );
});

test("a missing tensor and a wrong shape are named", async () => {
  const name = "model.decoder.layers.0.encoder_attn.k_proj.bias";
  await assert.rejects(
    check(config, (tensors) => tensors.delete(name)),
    { code: "tensor_missing", message: /encoder_attn\.k_proj\.bias of shape \[4\]/ },
  );
  await assert.rejects(
    check(config, (tensors) => tensors.set(name, table)),
    { code: "tensor_mismatch", message: /k_proj\.bias.*expected \[4\], found \[5, 4\]/ },
  );
});

test("the shared model has exactly the expected tensors", {
  skip: skipWithout("models", "en-zh"),
}, async () => {
  const dir = sharedPath("models", "en-zh");
  const real = await readMarianConfig(dir);
  assert.deepEqual(real.generation, manifestOf("en-zh").generation);
  await using weights = await openWeights(dir);
  checkTensors(weights, real);
  const expected = expectedTensors(real);
  assert.ok(expected.every((tensor) => findTensor(weights, tensor) !== null));
  assert.deepEqual(new Set(expected.map(({ name }) => name)), new Set(weights.tensors.keys()));
  const sines = sinusoidalPositions(real.positions, real.width);
  const saved = await weights.read("model.encoder.embed_positions.weight");
  const worst = Math.max(...saved.map((value, index) => Math.abs(value - (sines[index] ?? 9))));
  assert.ok(worst < 1e-6, `sinusoids differ by ${worst}`);
});
