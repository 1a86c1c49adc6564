import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { GenerationModel } from "#src/runtime/generation/generation-model.js";
import { perToken } from "../../bench/drivers.js";
import { readSentences } from "../../bench/sentences.js";
import { bench } from "../support/bench.js";
import { shippedSentences } from "../support/converted.js";
import { readGeneration } from "../support/read-generation.js";
import { TempDir } from "../support/temp-dir.js";

test("the made model gives outputs of the imposed length that depend on the input, the same for the same seed", async () => {
  await using dir = await TempDir.make();
  const made = async (name: string, ...flags: string[]): Promise<string> => {
    const flagsOfShape = ["--shape", "tiny", "--out", dir.file(name), ...flags];
    assert.match(
      await bench("make-model", ...flagsOfShape),
      /0\.7 M parameters, .*outputs of 6 tokens/,
    );
    return dir.file(name);
  };
  const folder = await made("one", "--precision", "int8", "--seed", "3");
  const again = await made("two", "--precision", "int8", "--seed", "3");
  const weights = (of: string) => readFile(`${of}/weights.bin`);
  assert.ok((await weights(folder)).equals(await weights(again)));
  const manifest = await readGeneration(folder);
  const paths = { encoder: `${folder}/encoder.onnx`, decoder: `${folder}/decoder.onnx` };
  const model = await GenerationModel.load(paths, manifest, { threads: 1, spin: false });
  const sentences = readSentences(shippedSentences, `${folder}/tokenizer.json`, 12);
  const ids = sentences.map(({ tokenIds }) => tokenIds);
  for (const beams of [1, 3]) {
    const results = await perToken(64, beams)(model, ids);
    assert.deepEqual(
      results.map((tokens) => tokens.length),
      ids.map(() => 6),
    );
    assert.ok(new Set(results.map(String)).size > 6, String(results));
  }
  await model.release();
});
