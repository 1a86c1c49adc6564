/** What the runtime would tell its maker stays here. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { lookUp } from "../support/small-graphs.js";
import { TempDir } from "../support/temp-dir.js";

/** What a process wrote in its own folder for what is passing, and in its home. */
async function leftBy(script: string): Promise<string[]> {
  await using temp = await TempDir.make();
  const { status, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", script],
    {
      encoding: "utf8",
      // Nothing else of ours: where it finds that it is in CI it keeps silent as well, and the test would show nothing.
      env: { PATH: process.env["PATH"], TMPDIR: temp.path, HOME: temp.path },
    },
  );
  assert.equal(status, 0, stderr);
  return readdirSync(temp.path);
}

function imported(module: string): string {
  return `(await import(${JSON.stringify(import.meta.resolve(module))}))`;
}

test("defect: a process with the runtime collects nothing for its maker", async () => {
  const started = imported("#src/runtime/native/start-runtime.js");
  assert.deepEqual(await leftBy(`await ${started}.startRuntime();`), []);
});

test("nor does one that opens a graph whose runs make their outputs", async () => {
  await using dir = await TempDir.make();
  const graph = dir.file("look-up.onnx");
  await writeFile(graph, lookUp);
  const opened = `Session.open(${JSON.stringify(graph)}, { threads: 1, spin: false })`;
  assert.deepEqual(await leftBy(`await ${imported("#src/runtime/session.js")}.${opened};`), []);
});
