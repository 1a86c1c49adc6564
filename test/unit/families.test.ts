/** The table of families: which one reads a folder. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { knownModelTypes, openModel } from "#src/convert/families.js";
import { TempDir } from "../support/temp-dir.js";

const strangers: readonly [title: string, config: unknown, message: RegExp][] = [
  ["another family", { model_type: "t5", vocab_size: 1 }, /"t5".*marian/],
  ["no family", { vocab_size: 1 }, /no model_type/],
  ["a list", [], /no model_type/],
  ["a name of Object's", { model_type: "constructor" }, /"constructor".*marian/],
];

for (const [title, config, message] of strangers) {
  test(`refuses ${title}`, async () => {
    await using dir = await TempDir.make();
    await writeFile(dir.file("config.json"), JSON.stringify(config));
    await assert.rejects(openModel(dir.path), { code: "model_unsupported", message });
  });
}

test("no two families claim one model_type", () => {
  assert.equal(new Set(knownModelTypes).size, knownModelTypes.length);
});
