import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { inspectFolder } from "#src/cli/inspect.js";
import { knownModelTypes } from "#src/convert/families.js";
import { finish } from "../support/finish.js";
import { manifestOf, writeModelFolder } from "../support/model-folder.js";
import { float32Tensor, safetensorsOf } from "../support/safetensors-bytes.js";
import { millrace } from "../support/serve-process.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

test("a Millrace folder, whole and damaged", async () => {
  await using dir = await TempDir.make();
  await writeModelFolder(dir.path, manifestOf("en-zh"));
  const whole = await inspectFolder(dir.path);
  assert.ok(whole.kind === "millrace");
  assert.equal(whole.manifest.name, "en-zh");
  assert.equal(whole.damage, null);
  assert.equal(whole.fileBytes["weights.bin"], "weights.bin".length);
  await writeFile(dir.file("weights.bin"), "other");
  const damaged = await inspectFolder(dir.path);
  assert.ok(damaged.kind === "millrace");
  assert.match(damaged.damage ?? "", /weights\.bin was changed/);
});

test("a Hugging Face folder that convert cannot read says why", async () => {
  await using dir = await TempDir.make();
  await writeFile(
    dir.file("config.json"),
    JSON.stringify({ model_type: "t5", architectures: ["T5Model"] }),
  );
  const weights = safetensorsOf({ w: float32Tensor([2, 2], [1, 2, 3, 4]) });
  await writeFile(dir.file("model.safetensors"), weights);
  assert.deepEqual(await inspectFolder(dir.path), {
    kind: "hugging-face",
    dir: dir.path,
    modelType: "t5",
    architectures: ["T5Model"],
    weights: {
      fileName: "model.safetensors",
      bytes: weights.byteLength,
      tensors: 1,
      parameters: 4,
      dtypes: { F32: 4 },
    },
    convertible: knownModelTypes,
    obstacle: `this model has model_type "t5"; convert knows ${knownModelTypes.join(", ")}`,
  });
});

test("the shared model can be converted", { skip: skipWithout("models", "en-zh") }, async () => {
  const inspection = await inspectFolder(sharedPath("models", "en-zh"));
  assert.ok(inspection.kind === "hugging-face");
  assert.equal(inspection.obstacle, null);
  assert.equal(inspection.modelType, "marian");
});

test("a folder that is neither is refused", async () => {
  await using dir = await TempDir.make();
  await assert.rejects(inspectFolder(dir.path), { code: "model_folder_invalid" });
});

test("the command prints words, or JSON", async () => {
  await using dir = await TempDir.make();
  await writeModelFolder(dir.path, manifestOf("en-zh"));
  const inspect = async (...flags: readonly string[]): Promise<string> =>
    (await finish(spawn(process.execPath, [millrace, "inspect", dir.path, ...flags]))).out;
  const [words, json] = await Promise.all([inspect(), inspect("--json")]);
  assert.match(words, /^precision +int8 \(1 weight products int8, encoder\.0\.fc2 f32\)$/m);
  assert.match(words, /^task +translate, marian$/m);
  assert.deepEqual(JSON.parse(json), await inspectFolder(dir.path));
});
