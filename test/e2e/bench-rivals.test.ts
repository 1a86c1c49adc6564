import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { GenerationModel } from "#src/runtime/generation/generation-model.js";
import { perToken } from "../../bench/drivers.js";
import { readSentences } from "../../bench/sentences.js";
import { bench, figuresIn } from "../support/bench.js";
import { shippedSentences } from "../support/converted.js";
import { readGeneration } from "../support/read-generation.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
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

/** A program by itself, as the driver is one. */
async function writeFakeDriver(dir: TempDir): Promise<string> {
  const script = fileURLToPath(new URL("../support/fake-ctranslate2.js", import.meta.url));
  const path = dir.file("driver");
  await writeFile(path, `#!/bin/sh\nexec "${process.execPath}" "${script}" "$@"\n`, {
    mode: 0o755,
  });
  return path;
}

const fewCases = ["one", "batch", "engines", "pair", "http-one", "http-64"];

test("the comparison with CTranslate2 runs to its end, and engine, pipelines and HTTP give the same outputs", async () => {
  await using dir = await TempDir.make();
  const driver = await writeFakeDriver(dir);
  const models = ["--ct2-model-int8", dir.path, "--precisions", "int8"];
  const size = ["--sets", "short", "--short", shippedSentences, "--count", "8", "--rounds", "1"];
  const some = ["--cases", [...fewCases, "memory"].join(","), "--json", dir.file("out.json")];
  const out = await bench("ctranslate2", "--driver", driver, ...models, ...size, ...some);
  const printed = figuresIn(out);
  for (const title of ["one at a time, 1 thread", "batch, 1 thread", "two pipelines : inter 2"]) {
    assert.ok(printed.includes(`int8 short, ${title}: Millrace # sentences/s`), out);
    assert.ok(printed.includes(`int8 short, ${title}: CTranslate2 # sentences/s`), out);
  }
  const hashes = [...out.matchAll(/: 8 sentences a turn, outputs ([0-9a-f]{12})$/gm)];
  assert.equal(hashes.length, fewCases.length - 1, out);
  assert.equal(new Set(hashes.map(([, hash]) => hash)).size, 1, out);
  assert.match(out, /^\| two pipelines : inter 2 \| [\d.]+ /m);
  assert.match(out, /commit [0-9a-f]{7}/);
  const json = JSON.parse(await readFile(dir.file("out.json"), "utf8")) as { rows: object[] };
  assert.ok(json.rows.length > 3 * fewCases.length);
});

test("without a driver the comparison says how one is built", async () => {
  const out = await bench("ctranslate2", "--driver", "/nowhere/driver");
  assert.match(out, /left out, there is no \/nowhere\/driver\. .*build\.sh/);
});

const realDriver = process.env["CTRANSLATE2_DRIVER"];
const whyNot =
  realDriver === undefined
    ? "CTRANSLATE2_DRIVER names no driver"
    : skipWithout("rivals", "ctranslate2");

test("CTranslate2 itself translates nearly all sentences as the reference does", {
  skip: whyNot,
}, async () => {
  const model = sharedPath("rivals", "ctranslate2", "model-float32");
  const some = ["--cases", "outputs", "--outputs", "50", "--precisions", "f32"];
  const out = await bench(
    "ctranslate2",
    "--driver",
    realDriver ?? "",
    "--ct2-model-f32",
    model,
    ...some,
  );
  assert.match(out, /greedy: outputs equal to the reference, of 50: Millrace +50/);
  assert.match(out, /greedy: outputs equal to the reference, of 50: CTranslate2 +(49|50)/);
});
