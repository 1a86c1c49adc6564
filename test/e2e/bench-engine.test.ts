import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { convertMade } from "../../bench/made-marian/convert-made.js";
import { marianShapes } from "../../bench/made-marian/shapes.js";
import { writeMarian } from "../../bench/made-marian/write-marian.js";
import { bench, figuresIn } from "../support/bench.js";
import { shippedSentences } from "../support/converted.js";
import { TempDir } from "../support/temp-dir.js";

const dir = await TempDir.make();
after(() => dir[Symbol.asyncDispose]());

before(async () => {
  await writeMarian(dir.file("marian"), marianShapes["tiny"] ?? assert.fail(), 3);
  for (const precision of ["int8", "f32"] as const) {
    await convertMade(dir.file("marian"), { outDir: dir.file(precision), precision });
  }
});

test("a step stands beside its products alone, in int8 and float32, and its operations are counted", async () => {
  const models = ["--model", dir.file("int8"), "--model-f32", dir.file("f32")];
  const size = ["--rows", "4", "--past", "3", "--input", "5", "--runs", "1", "--rounds", "2"];
  const out = await bench("floor", ...models, ...size, "--json", dir.file("floor.json"));
  const printed = figuresIn(out);
  for (const beams of [1, 3]) {
    const title = `4 × ${beams}`;
    const step = `${title}, past 3, input 5`;
    for (const line of [
      `${title}: the products alone # ms`,
      `${title}: the products alone in float32 # ms`,
      `${step}: a step # ms`,
      `${step}: times its products #`,
      `${step}: as fast as float32, times #`,
    ]) {
      assert.ok(printed.includes(line), `${line} is not in\n${out}`);
    }
  }
  // A layer has 32 × 96 (qkv), 3 of 32 × 32, and 2 of 32 × 64; there are two, and 7,000 words of 32: 244,736 a row.
  assert.match(out, /^\| products \(13\) +\| +1\.0 \| +0\.2 \|$/m);
  assert.match(out, /^\| products \(13\) +\| +2\.9 \| +0\.2 \|$/m);
  assert.ok(printed.includes("encoder, 16 × 16 tokens: times its products #"), out);
  const json = JSON.parse(await readFile(dir.file("floor.json"), "utf8")) as { rows: object[] };
  assert.ok(json.rows.length > 12);
});

test("a profile tells operators, JavaScript and the pass that nobody watched, and is drawn", async () => {
  const flame = dir.file("flame.svg");
  const size = ["--sentences", shippedSentences, "--count", "8", "--rounds", "1", "--beams", "3"];
  const out = await bench("profile", "--model", dir.file("int8"), ...size, "--flame", flame);
  const printed = figuresIn(out);
  assert.ok(printed.includes("a pass that nobody watches # ms"), out);
  assert.ok(printed.includes("a pass with both profilers # ms"), out);
  assert.match(out, /^outputs [0-9a-f]{12}, equal with and without profilers$/m);
  for (const part of ["encoder: kernels", "decoder: kernels", "Millrace's JavaScript"]) {
    assert.match(out, new RegExp(`^\\| ${part} +\\| +\\d+\\.\\d \\|`, "m"));
  }
  // Each product of the decoder is one node, and so is its only LogSoftmax.
  assert.match(out, /^\| MatMulIntegerToFloat .* 13\.0 \|$/m);
  assert.match(out, /^\| LogSoftmax .* 1\.0 \|$/m);
  // Which frames V8 saw is chance: on a machine that is busy with others, none in so short a pass.
  const svg = await readFile(flame, "utf8");
  assert.match(svg, /<title>Where the engine's time goes: int8, 3 beams<\/title>/);
  assert.doesNotMatch(svg, /<script/);
});

test("a shortlist stands beside the whole output: its size, BLEU, the texts that stay, sentences a second", async () => {
  const lines = (await readFile(shippedSentences, "utf8")).split("\n").slice(0, 6);
  await writeFile(dir.file("pairs.tsv"), lines.map((line) => `${line}\t${line}\n`).join(""));
  const model = ["--source", dir.file("marian"), "--pairs", dir.file("pairs.tsv")];
  const size = ["--text", shippedSentences, "--min-counts", "1,2", "--beams", "1,3"];
  const few = ["--precision", "f32", "--rounds", "2", "--json", dir.file("shortlist.json")];
  const out = await bench("shortlist", ...model, ...size, ...few);
  for (const beams of [1, 3]) assert.match(out, new RegExp(`^${beams} beams$`, "m"));
  const rows = out.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  const of = (name: string) => rows.filter((row) => row[1] === name);
  const [whole, once, twice] = ["all tokens", "min count 1", "min count 2"].map(of);
  assert.deepEqual([whole?.length, once?.length, twice?.length], [2, 2, 2], out);
  for (const row of whole ?? []) assert.deepEqual([row[2], row[4]], ["7000", "6 of 6"]);
  // What is left out is said no more: another model, other outputs.
  assert.ok(Number(twice?.[0]?.[2]) < Number(once?.[0]?.[2]), out);
  assert.ok(Number(once?.[0]?.[2]) < 7_000, out);
  assert.equal(new Set([whole, once, twice].map((found) => found?.[0]?.[7])).size, 3, out);
  const json = JSON.parse(await readFile(dir.file("shortlist.json"), "utf8")) as {
    tables: object[];
    models: string[];
  };
  assert.equal(json.tables.length, 2);
  assert.equal(json.models.filter((said) => said.endsWith(" on the shortlist")).length, 2);
});
