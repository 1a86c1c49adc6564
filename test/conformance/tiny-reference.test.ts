/** Tiny float32 models against transformers, token for token: on every clone, with no data beside it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { convertQuietly } from "../support/converted.js";
import { openModel, translateAll } from "../support/engine.js";
import { writeMarianFolder } from "../support/marian-folder.js";
import { TempDir } from "../support/temp-dir.js";
import { readTinyRows, type TinyRow, tinyModels } from "../support/tiny-marian.js";

const scoreTolerance = 1e-3;
const searches = [
  ["greedy", 1],
  ["beam4", 4],
] as const;

const rows = readTinyRows();

for (const [name, options] of Object.entries(tinyModels)) {
  test(`what transformers gives, token for token: ${name}`, async (context) => {
    const own = rows.filter((row) => row.model === name);
    assert.ok(own.length >= 20, "the rows of this model are missing");
    await using dir = await TempDir.make();
    await writeMarianFolder(dir.file("in"), options);
    await convertQuietly({ modelDir: dir.file("in"), outDir: dir.file("out") });
    const model = await openModel(dir.file("out"));
    for (const [key, beams] of searches) {
      const sentences = own.map(({ input: tokenIds }) => ({ tokenIds, settings: { beams } }));
      const all = await translateAll(model, sentences);
      for (const [index, row] of own.entries()) checkRow(row[key], all[index]?.[0], row);
      context.diagnostic(`${key}: ${own.length} rows are equal`);
    }
    await model.release();
  });
}

function checkRow(
  expected: TinyRow["greedy"],
  found: { readonly tokenIds: readonly number[]; readonly score: number } | undefined,
  row: TinyRow,
): void {
  assert.ok(found !== undefined);
  const input = `input ${row.input.join(" ")}`;
  assert.deepEqual(found.tokenIds, expected.ids, `${input}: ${found.score}, ${expected.score}`);
  const gap = Math.abs(found.score - expected.score);
  assert.ok(gap <= scoreTolerance, `${input}: score ${found.score}, not ${expected.score}`);
}
