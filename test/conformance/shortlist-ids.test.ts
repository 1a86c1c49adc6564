/** Folders whose shortlist has other ids than convert wrote: nothing else in the folder gives them away. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { readWeightPlace } from "#src/models/onnx/read-graph.js";
import { loadGeneration } from "#src/runtime/generation/load-generation.js";
import { convertQuietly, shippedSentences } from "../support/converted.js";
import { writeMarianFolder } from "../support/marian-folder.js";
import { readGeneration } from "../support/read-generation.js";
import { TempDir } from "../support/temp-dir.js";

/** Loads a folder whose ids are as `change` leaves them. */
async function loadChanged(dir: TempDir, change: (ids: Int32Array) => void): Promise<void> {
  const [modelDir, outDir] = [await writeMarianFolder(dir.file("in")), dir.file("out")];
  const shortlist = { file: shippedSentences, minCount: 1 };
  await convertQuietly({ modelDir, outDir, precision: "f32", shortlist });
  const manifest = await readGeneration(outDir);
  const { decoder, weights } = manifest.files;
  const place = await readWeightPlace(dir.file("out", decoder), "output.token_ids");
  assert.equal(place?.file, weights);
  const bytes = await readFile(dir.file("out", weights));
  const { byteOffset: from, byteLength } = place;
  const ids = new Int32Array(new Uint8Array(bytes.subarray(from, from + byteLength)).buffer);
  change(ids);
  bytes.set(new Uint8Array(ids.buffer), from);
  await writeFile(dir.file("out", weights), bytes);
  const request = { modelDir: outDir, manifest, threads: 1, rowsMax: 64, weightsCache: null };
  const engine = await loadGeneration(request, { onRun: () => {}, onOutcomes: () => {} });
  await engine.release();
}

const damages: Readonly<Record<string, readonly [(ids: Int32Array) => void, says: RegExp]>> = {
  "ids that descend": [
    (ids) => ids.reverse(),
    /id \d+ at place 1 comes after \d+: they must ascend/,
  ],
  "an id that stands twice": [
    (ids) => ids.copyWithin(8, 7, 8),
    /id \d+ stands twice, at places 7 and 8/,
  ],
  "an id that no token has": [
    (ids) => ids.fill(6_000, -1),
    /id 6000 at place \d+ is none of the model's 6000 tokens/,
  ],
};

for (const [damage, [change, says]] of Object.entries(damages)) {
  test(`defect: a shortlist with ${damage} is refused at load, with what is wrong`, async () => {
    await using dir = await TempDir.make();
    await assert.rejects(loadChanged(dir, change), { code: "model_folder_invalid", message: says });
  });
}

test("a shortlist as convert wrote it loads", async () => {
  await using dir = await TempDir.make();
  await loadChanged(dir, () => {});
});
