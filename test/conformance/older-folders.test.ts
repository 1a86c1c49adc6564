/** Folders that an older Millrace wrote: its graphs are not run, and whoever starts or loads them reads what to do. */
import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { manifestFileName } from "#src/models/manifest-base.js";
import type { GenerationManifest } from "#src/models/manifest-generation.js";
import { ModelRegistry } from "#src/models/registry.js";
import { loadGeneration } from "#src/runtime/generation/load-generation.js";
import { bundledModelDir } from "../support/engine.js";
import { sha256Of } from "../support/model-folder.js";
import { graphBytes } from "../support/onnx-graph.js";
import { readGeneration } from "../support/read-generation.js";
import { TempDir } from "../support/temp-dir.js";

/** The bundled model, under another name, with a change of what the manifest says. */
async function writeFolder(dir: string, name: string, change: object): Promise<void> {
  await mkdir(join(dir, name));
  const manifest = await readGeneration(bundledModelDir);
  for (const file of Object.keys(manifest.fileSha256)) {
    await copyFile(join(bundledModelDir, file), join(dir, name, file));
  }
  const changed = { ...manifest, name, ...change };
  await writeFile(join(dir, name, manifestFileName), JSON.stringify(changed));
}

const toFloat = { name: "to", type: 2, i: 1 };

/** The inputs and outputs of the decoder that appended new keys and values by a copy of its caches. */
const olderDecoder = graphBytes({
  nodes: [
    { opType: "Cast", input: ["tokens"], output: ["scores"], attribute: [toFloat] },
    { opType: "Unsqueeze", input: ["scores", "axis"], output: ["top_scores"] },
    { opType: "Unsqueeze", input: ["tokens", "axis"], output: ["top_ids"] },
    { opType: "Identity", input: ["top_scores"], output: ["bad_scores"] },
    { opType: "Identity", input: ["top_scores"], output: ["new_kv"] },
  ],
  inputs: [{ name: "tokens", type: "INT32", shape: ["R"] }],
  outputs: [
    { name: "top_ids", type: "INT32", shape: ["R", 1] },
    { name: "top_scores", type: "FP32", shape: ["R", 1] },
    { name: "bad_scores", type: "FP32", shape: ["R", 1] },
    { name: "new_kv", type: "FP32", shape: ["R", 1] },
  ],
  initializers: [
    {
      dims: [1],
      dataType: 7,
      name: "axis",
      rawData: new Uint8Array(BigInt64Array.of(1n).buffer),
    },
  ],
});

test("folders of older versions are named with what to do, and the others are served", async () => {
  await using dir = await TempDir.make();
  await writeFolder(dir.path, "today", {});
  await writeFolder(dir.path, "first", { manifestVersion: 1, task: "translation" });
  await writeFolder(dir.path, "older", { graphVersion: undefined });
  const registry = await ModelRegistry.open(dir.path);
  assert.deepEqual(
    registry.list().map(({ manifest }) => manifest.name),
    ["today"],
  );
  const reasons = new Map(registry.broken.map(({ dir: folder, reason }) => [folder, reason]));
  assert.match(
    reasons.get(dir.file("first")) ?? "",
    /manifestVersion 1; this Millrace reads 2: convert the model again with this version/,
  );
  assert.match(
    reasons.get(dir.file("older")) ?? "",
    /its graphs were made by another version of Millrace; convert it again: millrace convert DIR --out …/,
  );
});

test("a decoder of an older Millrace under today's manifest does not load", async () => {
  await using dir = await TempDir.make();
  const { fileSha256 } = await readGeneration(bundledModelDir);
  const hashes = { ...fileSha256, "decoder.onnx": sha256Of(olderDecoder) };
  await writeFolder(dir.path, "mixed", { fileSha256: hashes });
  await writeFile(dir.file("mixed", "decoder.onnx"), olderDecoder);
  const text = await readFile(dir.file("mixed", manifestFileName), "utf8");
  const request = {
    modelDir: dir.file("mixed"),
    manifest: JSON.parse(text) as GenerationManifest,
    threads: 1,
    rowsMax: 64,
    weightsCache: null,
  };
  await assert.rejects(loadGeneration(request, { onRun: () => {}, onOutcomes: () => {} }), {
    code: "model_folder_invalid",
    message: /mixed: the decoder graph gives no output as present_k\.0, not float32/,
  });
});
