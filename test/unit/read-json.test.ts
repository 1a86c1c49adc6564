import assert from "node:assert/strict";
import { open } from "node:fs/promises";
import { test } from "node:test";
import { readJsonFile } from "#src/models/read-json.js";
import { TempDir } from "../support/temp-dir.js";

test("a JSON file that is too large is refused before it is read", async () => {
  await using dir = await TempDir.make();
  const path = dir.file("tokenizer.json");
  await using file = await open(path, "w");
  // A hole: it takes no disk, and reading it would take all of this.
  await file.truncate(10 * 256 * 1024 * 1024);
  const before = process.memoryUsage.rss();
  await assert.rejects(readJsonFile(path), { code: "model_folder_invalid", message: /limit/ });
  assert.ok(process.memoryUsage.rss() - before < 200 * 1024 * 1024);
});
