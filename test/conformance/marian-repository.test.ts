/** A translation repository as it is published, converted and run: what transformers answers, token for token. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { inspectFolder } from "#src/cli/inspect.js";
import { manifestOf } from "#src/models/engine-table.js";
import { TextTokenizer } from "#src/prepare/text/text-tokenizer.js";
import { convertQuietly } from "../support/converted.js";
import { openModel, translateAll } from "../support/engine.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const modelDir = sharedPath("models", "reference", "marian-repo-bin");

interface Reference {
  readonly tolerance: number;
  readonly rows: readonly {
    readonly text: string;
    readonly input_ids: readonly number[];
    readonly greedy: { readonly ids: readonly number[]; readonly text: string };
    readonly beam4: {
      readonly ids: readonly number[];
      readonly text: string;
      readonly score: number;
    };
  }[];
}

test("spm files, vocab.json and pytorch_model.bin become a folder that translates as transformers does", {
  skip: skipWithout("models", "reference", "marian-repo-bin"),
}, async () => {
  const text = await readFile(join(modelDir, "reference.json"), "utf8");
  const { rows, tolerance } = JSON.parse(text) as Reference;
  const inspection = await inspectFolder(modelDir);
  assert.ok(inspection.kind === "hugging-face");
  assert.equal(inspection.obstacle, null);
  assert.equal(inspection.weights?.fileName, "pytorch_model.bin");
  await using dir = await TempDir.make();
  const converted = await convertQuietly({ modelDir, outDir: dir.file("out") });
  const manifest = manifestOf(converted.manifest, "generation");
  assert.equal(manifest.sourceLanguage, "eng");
  const tokenizer = await TextTokenizer.open({
    path: dir.file("out", manifest.files.tokenizer),
    unknownTokenId: manifest.generation.unknownTokenId,
  });
  for (const row of rows) assert.deepEqual(tokenizer.encode(row.text), row.input_ids, row.text);
  const model = await openModel(dir.file("out"));
  for (const [key, beams] of [
    ["greedy", 1],
    ["beam4", 4],
  ] as const) {
    const sentences = rows.map(({ input_ids }) => ({ tokenIds: input_ids, settings: { beams } }));
    const all = await translateAll(model, sentences);
    for (const [index, row] of rows.entries()) {
      const found = all[index]?.[0];
      const expected = row[key].ids.slice(1);
      assert.deepEqual(found?.tokenIds, expected, `${key} of ${row.text}`);
      assert.equal(tokenizer.decode(expected).trim(), row[key].text);
      if (key === "greedy") continue;
      const gap = Math.abs((found?.score ?? Number.NaN) - row.beam4.score);
      assert.ok(gap <= tolerance, `score ${found?.score} of ${row.text}, not ${row.beam4.score}`);
    }
  }
  await model.release();
});
