import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { bench, figuresIn } from "../support/bench.js";
import { longTest } from "../support/long.js";
import { TempDir } from "../support/temp-dir.js";

// Its accepted settings alone are a hundred searches: nothing of it is tiny.
longTest("the benchmark of strangers runs to its end, and keeps its figures", {}, async () => {
  await using dir = await TempDir.make();
  const size = [
    "--seconds",
    "1",
    "--bombers",
    "2",
    "--pagers",
    "1",
    "--idle",
    "20",
    "--pages",
    "2",
  ];
  const out = await bench("hostile", ...size, "--json", dir.file("hostile.json"));
  const kept = JSON.parse(await readFile(dir.file("hostile.json"), "utf8"));
  assert.deepEqual(kept.failures, []);
  assert.equal(kept.idle, 20);
  const valueOf = (title: string): number =>
    kept.rows.find((row: { readonly title: string }) => row.title === title)?.median;
  assert.equal(valueOf("corners: failed"), 0);
  assert.equal(valueOf("server: restarts"), 0);
  assert.ok(valueOf("flood: good caller beside: p99") > 0, out);
  assert.equal(figuresIn(out).length >= kept.rows.length, true, out);
});
