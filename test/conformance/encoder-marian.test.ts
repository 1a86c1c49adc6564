/** The encoder of a translation model as a model of embeddings, beside it in its folder and on its weights. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openWeights } from "#src/convert/reading/weights.js";
import { Random } from "../sim/random.js";
import { convertQuietly } from "../support/converted.js";
import { EncoderGraph } from "../support/encoder.js";
import { writeEncoderSource } from "../support/encoder-source.js";
import { bundledModelDir, openModel } from "../support/engine.js";
import { writeMarianFolder } from "../support/marian-folder.js";
import { readCommittedRows } from "../support/reference.js";
import { TempDir } from "../support/temp-dir.js";

const manifestName = "millrace.embeddings.json";

test("its tokens are what the decoder's keys are made of, and the translation model stays what it was", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"));
  const plain = await convertQuietly({ modelDir: dir.file("in"), outDir: dir.file("out") });
  const both = await convertQuietly({
    modelDir: dir.file("in"),
    outDir: dir.file("out"),
    embeddings: true,
    force: true,
  });
  assert.deepEqual(both.manifest, plain.manifest);
  assert.deepEqual(
    both.further.map(({ name, task, family }) => [name, task, family]),
    [["out-embeddings", "embed", "marian"]],
  );
  const ids = [5, 17, 99, 2041, 0];
  await using graph = await EncoderGraph.open(dir.file("out"), { manifestName });
  const [answer] = await graph.run([{ ids }]);
  const model = await openModel(dir.file("out"));
  const { keys } = await model.encode([ids], 16);
  await model.release();
  await using weights = await openWeights(dir.file("in"));
  const base = "model.decoder.layers.0.encoder_attn.k_proj";
  const weight = await weights.read(`${base}.weight`);
  const bias = await weights.read(`${base}.bias`);
  for (let token = 0; token < ids.length; token += 1) {
    for (let row = 0; row < 16; row += 1) {
      let key = bias[row] ?? Number.NaN;
      for (let at = 0; at < 16; at += 1) {
        key +=
          (weight[row * 16 + at] ?? Number.NaN) * (answer?.tokens?.[token * 16 + at] ?? Number.NaN);
      }
      // Four heads of four and four zeros, sixteen places each.
      const place = (Math.floor(row / 4) * 16 + token) * 8 + (row % 4);
      const found = keys[0]?.[place];
      assert.ok(Math.abs((found ?? Number.NaN) - key) < 1e-4, `${found}, not ${key}`);
      assert.equal(keys[0]?.[place + 4], 0);
    }
  }
});

test("the bundled one: the same bytes in every company", async () => {
  await using graph = await EncoderGraph.open(bundledModelDir, { manifestName });
  const texts = readCommittedRows()
    .rows.slice(0, 24)
    .map((row) => ({ ids: row.input_ids }));
  const order = new Random(1).shuffled(texts.map((_, index) => index));
  const together = await graph.run(
    order.flatMap((index) => texts[index] ?? []),
    { width: 64 },
  );
  for (const [place, index] of order.entries()) {
    const [alone] = await graph.run([texts[index] ?? { ids: [] }]);
    assert.deepEqual(together[place], alone);
  }
});

test("an encoder has no second model", async () => {
  await using dir = await TempDir.make();
  await writeEncoderSource(dir.file("in"));
  const options = { modelDir: dir.file("in"), outDir: dir.file("out"), embeddings: true };
  await assert.rejects(convertQuietly(options), { code: "option_invalid", message: /marian/ });
});
