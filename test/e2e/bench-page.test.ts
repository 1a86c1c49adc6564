import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { bench, figuresIn } from "../support/bench.js";
import { TempDir } from "../support/temp-dir.js";

test("bench page: readers see looks, and their cost is told", { timeout: 60_000 }, async () => {
  await using dir = await TempDir.make();
  const size = ["--readers", "2", "--seconds", "1.5", "--rounds", "1"];
  const out = await bench("page", ...size, "--json", dir.file("page.json"));
  const lines = ["without readers", "with 2 readers", "the readers"];
  const printed = figuresIn(out);
  assert.deepEqual(
    lines.filter((line) => !printed.includes(`${line} # % of a core`)),
    [],
    out,
  );
  assert.match(out, /^each saw [12] to [12] looks in 1\.5 s$/m);
  const { rows, readers } = JSON.parse(await readFile(dir.file("page.json"), "utf8"));
  assert.deepEqual([rows.length, readers], [lines.length, 2]);
});
