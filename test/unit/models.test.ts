import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { rowsMaxOf } from "#src/models/engine-table.js";
import { readManifest, verifyFiles } from "#src/models/read-manifest.js";
import { ModelRegistry } from "#src/models/registry.js";
import { manifestOf, writeModelFolder } from "../support/model-folder.js";
import { TempDir } from "../support/temp-dir.js";

test("a manifest comes back as it was written", async () => {
  await using dir = await TempDir.make();
  const manifest = manifestOf("en-zh");
  await writeModelFolder(dir.path, manifest);
  assert.deepEqual(await readManifest(dir.path), manifest);
  await verifyFiles(dir.path, manifest);
});

const good = manifestOf("m");

test("rows at once: more of a large decoder with beams, and what the options name of any", () => {
  const base = { ...good.shape, decoderLayers: 6, width: 512 };
  const small = { ...good.shape, decoderLayers: 2, width: 256 };
  const rows = (shape: typeof base, beams: number, rowsMax: number | null = null): number =>
    rowsMaxOf({ ...good, shape, generation: { ...good.generation, beams } }, { rowsMax });
  assert.deepEqual(
    [rows(base, 3), rows(base, 1), rows(small, 4), rows(small, 1)],
    [128, 64, 64, 64],
  );
  assert.deepEqual([rows(base, 3, 32), rows(small, 1, 32)], [32, 32]);
});

const shortlist = {
  tokens: 500,
  idsTensor: "output.token_ids",
  sentences: 9,
  minCount: 1,
  coverage: 1,
};
const refused: readonly [what: string, manifest: object, says: RegExp][] = [
  [
    "a newer version",
    { ...good, manifestVersion: 3 },
    /manifestVersion 3; this Millrace reads 2.*convert/,
  ],
  ["no version", { name: "m" }, /manifestVersion undefined/],
  [
    "graphs of an older Millrace",
    { ...good, graphVersion: undefined },
    /graphVersion: its graphs were made by another version.*convert it again: millrace convert/,
  ],
  ["graphs of a newer Millrace", { ...good, graphVersion: 3 }, /graphVersion: its graphs/],
  ["a task of no name", { ...good, task: "" }, /task/],
  ["another engine", { ...good, engine: "warp" }, /engine/],
  ["no engine", { ...good, engine: undefined }, /engine/],
  ["no word on its quantisation", { ...good, quantization: undefined }, /quantization/],
  [
    "two vocabularies and one tokenizer",
    { ...good, shape: { ...good.shape, targetVocabulary: 700 } },
    /files\.targetTokenizer/,
  ],
  [
    "a target tokenizer without a hash",
    { ...good, files: { ...good.files, targetTokenizer: "t.json" } },
    /fileSha256 lacks t\.json/,
  ],
  [
    "a bad word out of the vocabulary",
    { ...good, generation: { ...good.generation, badWords: [[2], [5, 6000]] } },
    /badWords 6000/,
  ],
  [
    "a length penalty without bounds",
    { ...good, generation: { ...good.generation, lengthPenalty: 1e300 } },
    /lengthPenalty/,
  ],
  [
    "more tokens on the shortlist than there are",
    { ...good, shortlist: { ...shortlist, tokens: 6001 } },
    /shortlist\.tokens 6001 is over the vocabulary of 6000/,
  ],
  [
    "the ids of a shortlist elsewhere",
    { ...good, shortlist: { ...shortlist, idsTensor: "ids" } },
    /shortlist\.idsTensor/,
  ],
  ["a name with a slash", { ...good, name: "a/b" }, /name/],
  [
    "a file outside of the folder",
    { ...good, files: { ...good.files, encoder: "../e" } },
    /files\.encoder/,
  ],
  ["a file without a hash", { ...good, fileSha256: {} }, /fileSha256 lacks encoder\.onnx/],
  [
    "a hash outside of the folder",
    { ...good, fileSha256: { "../x": "0".repeat(64) } },
    /fileSha256/,
  ],
  ["a hash that is none", { ...good, fileSha256: { "encoder.onnx": "0" } }, /hexadecimal/],
  [
    "an id out of the vocabulary",
    { ...good, generation: { ...good.generation, endTokenId: 6000 } },
    /endTokenId 6000/,
  ],
  [
    "a limit over the positions",
    { ...good, limits: { inputTokensMax: 129, outputTokensMax: 128 } },
    /inputTokensMax 129/,
  ],
  ["a missing field", { ...good, shape: undefined }, /shape/],
];

for (const [what, manifest, says] of refused) {
  test(`a manifest with ${what} is refused`, async () => {
    await using dir = await TempDir.make();
    await writeModelFolder(dir.path, manifest);
    await assert.rejects(readManifest(dir.path), { code: "model_folder_invalid", message: says });
  });
}

test("a file that was changed, or removed, is named", async () => {
  await using dir = await TempDir.make();
  await writeModelFolder(dir.path, good);
  await writeFile(dir.file("weights.bin"), "other");
  await assert.rejects(verifyFiles(dir.path, good), {
    code: "model_folder_invalid",
    message: /weights\.bin was changed/,
  });
  await rm(dir.file("weights.bin"));
  await assert.rejects(verifyFiles(dir.path, good), {
    code: "model_folder_invalid",
    message: /weights\.bin is missing/,
  });
});

test("defects 17 and 18: the registry serves the good folders, names the broken ones and ignores strays", async () => {
  await using dir = await TempDir.make();
  await writeModelFolder(dir.file("a"), manifestOf("en-zh"));
  await writeModelFolder(dir.file("b"), manifestOf("en-de"));
  await writeModelFolder(dir.file("c"), manifestOf("en-zh"));
  await writeModelFolder(dir.file("d"), manifestOf("damaged"), { "weights.bin": "other" });
  await mkdir(dir.file("e"));
  await writeModelFolder(dir.file("f"), { manifestVersion: 9 });
  await writeModelFolder(dir.file("g"), manifestOf("unreadable"));
  await writeFile(dir.file("g", "millrace.json"), "{");
  await mkdir(dir.file("h", "millrace.json"), { recursive: true });
  await mkdir(dir.file(".hidden"));
  await writeFile(dir.file("README.md"), "not a model");
  const registry = await ModelRegistry.open(dir.path);
  assert.deepEqual(
    registry.list().map((model) => model.manifest.name),
    ["en-zh", "en-de"],
  );
  assert.equal(registry.list()[0]?.dir, dir.file("a"));
  const reasons = new Map(registry.broken.map(({ dir: folder, reason }) => [folder, reason]));
  assert.deepEqual(
    [...reasons.keys()],
    ["c", "d", "f", "g", "h"].map((name) => dir.file(name)),
  );
  assert.deepEqual(registry.strays, [dir.file("e")]);
  assert.match(reasons.get(dir.file("c")) ?? "", /has the name en-zh already/);
  assert.match(reasons.get(dir.file("d")) ?? "", /weights\.bin was changed/);
  assert.match(reasons.get(dir.file("f")) ?? "", /manifestVersion 9/);
  assert.match(reasons.get(dir.file("g")) ?? "", /millrace\.json is not JSON/);
  assert.match(reasons.get(dir.file("h")) ?? "", /millrace\.json is not a file/);
});

test("a folder that is one model itself is served alone", async () => {
  await using dir = await TempDir.make();
  await writeModelFolder(dir.path, manifestOf("en-zh"));
  const registry = await ModelRegistry.open(dir.path);
  assert.deepEqual(
    registry.list().map(({ manifest }) => manifest.name),
    ["en-zh"],
  );
});

test("no model at all is an error with every reason", async () => {
  await using dir = await TempDir.make();
  await mkdir(dir.file("empty"));
  await assert.rejects(ModelRegistry.open(dir.path), {
    code: "model_folder_invalid",
    message: /no model[^]*empty: .*millrace\.json is missing/,
  });
  await assert.rejects(ModelRegistry.open(dir.file("nowhere")), {
    code: "model_folder_invalid",
    message: /nowhere does not exist/,
  });
});

test("a folder may hold several models, each with a manifest of its own", async () => {
  await using dir = await TempDir.make();
  await writeModelFolder(dir.file("a"), manifestOf("a"));
  const further = { ...manifestOf("a-too"), fileSha256: manifestOf("a").fileSha256 };
  await writeFile(dir.file("a", "millrace.too.json"), JSON.stringify(further));
  await writeFile(dir.file("a", "millrace.broken.json"), "{");
  await writeFile(dir.file("a", "millrace.too.json.bak"), "{");
  const registry = await ModelRegistry.open(dir.path);
  assert.deepEqual(
    registry.list().map(({ dir: folder, path, manifest }) => [folder, path, manifest.name]),
    [
      [dir.file("a"), dir.file("a"), "a"],
      [dir.file("a"), dir.file("a", "millrace.too.json"), "a-too"],
    ],
  );
  const [broken, ...others] = registry.broken;
  assert.deepEqual(others, []);
  assert.match(broken?.reason ?? "", /millrace\.broken\.json is not JSON/);
});

test("defect: a version that was pushed under another name was served under its first one", async () => {
  await using dir = await TempDir.make();
  for (const folder of ["m@1", "m@2"]) {
    await mkdir(dir.file(folder));
    await writeModelFolder(dir.file(folder), manifestOf("en-zh"));
  }
  const folders = [dir.file("m@1"), dir.file("m@2")];
  const fetched = await ModelRegistry.open(null, [], { folders, defaults: new Map([["m", "2"]]) });
  assert.deepEqual(
    fetched.list().map(({ manifest }) => manifest.name),
    ["m@1", "m@2"],
  );
  assert.deepEqual([...fetched.aliases], [["m", "m@2"]]);
});
