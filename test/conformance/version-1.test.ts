/** Folders that Millrace 0.1 wrote: still loaded, still served, and named where they are slower than they could be. */
import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import type { ModelsResponse, TranslateResponse } from "millrace-client/wire";
import { createServer } from "#src/index.js";
import type { ModelManifest } from "#src/models/manifest.js";
import { manifestFileName } from "#src/models/manifest-base.js";
import { readManifest, verifyFiles } from "#src/models/read-manifest.js";
import { bundledModelDir } from "../support/engine.js";
import { TempDir } from "../support/temp-dir.js";

/** The manifest of the bundled model as version 1 had it. */
let old: Record<string, unknown>;
let bundled: ModelManifest;

before(async () => {
  const path = join(process.cwd(), "test", "fixtures", "version-1", manifestFileName);
  old = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  bundled = await readManifest(bundledModelDir);
});

/** Today's graphs under the old words. */
async function writeOldFolder(dir: string, change: object = {}): Promise<void> {
  await mkdir(dir, { recursive: true });
  const { fileSha256 } = bundled;
  for (const name of Object.keys(fileSha256)) {
    await copyFile(join(bundledModelDir, name), join(dir, name));
  }
  await writeFile(join(dir, manifestFileName), JSON.stringify({ ...old, fileSha256, ...change }));
}

test("a version 1 manifest says the same as version 2 in today's words", async () => {
  await using dir = await TempDir.make();
  await writeOldFolder(dir.path);
  const manifest = await readManifest(dir.path);
  const quantization = { weightBits: 8, neighbourSumMax: 254 };
  assert.deepEqual(manifest, { ...bundled, quantization });
  await verifyFiles(dir.path, manifest);
});

test("a version 1 manifest in float32 has no quantisation", async () => {
  await using dir = await TempDir.make();
  await writeOldFolder(dir.path, { precision: "f32" });
  assert.equal((await readManifest(dir.path)).quantization, null);
});

test("a version 1 manifest that is wrong is refused as ever", async () => {
  await using dir = await TempDir.make();
  for (const [change, message] of [
    [{ task: "chat" }, /engine|task/],
    [{ shape: {} }, /Vocabulary/],
    [{ name: "a/b" }, /name/],
  ] as const) {
    await writeOldFolder(dir.path, change);
    await assert.rejects(readManifest(dir.path), { code: "model_folder_invalid", message });
  }
});

test("a version 1 folder is served, and the API says of it what it always said", async () => {
  await using dir = await TempDir.make();
  await writeOldFolder(dir.file("old"));
  await using server = await createServer({
    port: 0,
    models: dir.path,
    pipelines: 1,
    threads: 1,
    logLevel: "silent",
  });
  const listed = (await (await fetch(`${server.url}/v1/models`)).json()) as ModelsResponse;
  assert.deepEqual(
    listed.models.map(({ name, task }) => ({ name, task })),
    [{ name: "en-zh", task: "translate" }],
  );
  const response = await fetch(`${server.url}/v1/translate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ texts: ["Good morning."] }),
  });
  const { results } = (await response.json()) as TranslateResponse;
  const [result] = results;
  assert.ok(result !== undefined && "text" in result, JSON.stringify(result));
  assert.match(result.text, /\p{Script=Han}/u);
});
