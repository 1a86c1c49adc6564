/** Folders for pictures as people write them, and what is wrong with them. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { readLabels } from "#src/models/programs/read-labels.js";
import { readManifest } from "#src/models/read-manifest.js";
import { TempDir } from "../support/temp-dir.js";

const classifier = {
  manifestVersion: 2,
  task: "classify",
  engine: "staged",
  program: "image-classifier",
  files: { graph: "model.onnx" },
  labels: ["cat", "dog"],
  resize: { to: "shorter-side", size: 256 },
  crop: { width: 224, height: 224 },
};
const reader = {
  manifestVersion: 2,
  name: "pages",
  task: "ocr",
  engine: "staged",
  program: "ocr",
  family: "pp-ocr",
  precision: "graph",
  quantization: null,
  files: { detector: "d.onnx", recogniser: "r.onnx", keys: "k.txt" },
  fileSha256: Object.fromEntries(
    ["d.onnx", "r.onnx", "k.txt"].map((name) => [name, "0".repeat(64)]),
  ),
};

async function read(dir: TempDir, value: unknown): Promise<Record<string, unknown>> {
  await mkdir(dir.file("photos"), { recursive: true });
  await writeFile(dir.file("photos", "millrace.json"), JSON.stringify(value));
  return { ...(await readManifest(dir.file("photos"))) };
}

test("a few lines are a whole manifest, with the folder's name", async () => {
  await using dir = await TempDir.make();
  const { name, channels, mean, scores, rowsMax, layout } = await read(dir, classifier);
  assert.deepEqual(
    [name, channels, scores, rowsMax, layout],
    ["photos", "rgb", "softmax", 16, "nchw"],
  );
  assert.deepEqual(mean, [0.485, 0.456, 0.406]);
  assert.equal((await read(dir, { ...classifier, name: "other" }))["name"], "other");
  const { detector, recogniser, direction } = await read(dir, reader);
  assert.deepEqual(
    { detector, recogniser, direction },
    {
      detector: {
        channels: "bgr",
        scale: 1 / 255,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
        limitType: "max",
        sideLimit: 960,
        sideMax: 4_000,
        sideMultiple: 32,
        threshold: 0.3,
        boxThreshold: 0.6,
        unclipRatio: 1.5,
        boxSideMin: 3,
        candidatesMax: 1_000,
      },
      recogniser: {
        channels: "bgr",
        scale: 1 / 255,
        mean: [0.5, 0.5, 0.5],
        std: [0.5, 0.5, 0.5],
        height: 48,
        widthMax: 3_200,
        widthStep: 32,
        blankClass: 0,
        keysFrom: 1,
        space: true,
        scores: "identity",
        scoreMin: 0.5,
      },
      direction: {
        channels: "bgr",
        scale: 1 / 255,
        mean: [0.5, 0.5, 0.5],
        std: [0.5, 0.5, 0.5],
        width: 192,
        height: 48,
        turnedClass: 1,
        threshold: 0.9,
      },
    },
  );
});

test("what contradicts itself, or leaves the folder, is named", async () => {
  await using dir = await TempDir.make();
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [{ ...classifier, crop: null }, /needs a crop/],
    [{ ...classifier, crop: { width: 257, height: 9 } }, /crop is larger/],
    [{ ...classifier, resize: { to: "exact", width: 300 } }, /resize/],
    [{ ...classifier, resize: { to: "exact", width: 5_000, height: 5_000 } }, /resize/],
    [{ ...classifier, std: [1, 0, 1] }, /expected no 0/],
    [{ ...classifier, files: { graph: "../../x.onnx" } }, /files\.graph/],
    [{ ...classifier, labels: "/etc/passwd" }, /labels/],
    [
      { ...classifier, fileSha256: { "other.txt": "0".repeat(64) } },
      /fileSha256 lacks model\.onnx/,
    ],
    [{ ...reader, fileSha256: {} }, /fileSha256 lacks d\.onnx/],
    [{ ...reader, detector: { sideMultiple: 48 } }, /no multiple/],
    [{ ...reader, recogniser: { widthStep: 7 } }, /no multiple/],
    [{ ...reader, recogniser: { height: 100_000 } }, /recogniser\.height/],
    [{ ...reader, program: "dream" }, /program/],
  ];
  for (const [value, message] of bad) {
    await assert.rejects(read(dir, value), (error) => {
      assert.ok(error instanceof MillraceError && error.code === "model_folder_invalid");
      assert.match(error.message, message);
      return true;
    });
  }
});

test("labels from each kind of file, and from none that is wrong", async () => {
  await using dir = await TempDir.make();
  const files: Readonly<Record<string, string>> = {
    "lines.txt": "\ufeffa cat\r\na dog\n",
    "list.json": '["a cat", "a dog"]',
    "index.json": '{"1": "a dog", "0": ["n01", "a cat"]}',
    "gap.json": '{"0": "a", "2": "b"}',
    "words.json": '{"cat": 0}',
    "empty.txt": "",
    "long.txt": "x".repeat(300),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(dir.file(name), text);
  for (const name of ["lines.txt", "list.json", "index.json"]) {
    assert.deepEqual(await readLabels(dir.path, name), ["a cat", "a dog"], name);
  }
  for (const name of ["gap.json", "words.json", "empty.txt", "long.txt", "missing.txt"]) {
    await assert.rejects(readLabels(dir.path, name), { code: "model_folder_invalid" }, name);
  }
});

test("attack: a hundred thousand labels are taken, one more is refused by name, whatever file they are in", async () => {
  await using dir = await TempDir.make();
  const labels = (count: number): string[] => Array.from({ length: count }, (_, at) => `l${at}`);
  const kinds: Readonly<Record<string, (count: number) => string>> = {
    "lines.txt": (count) => labels(count).join("\n"),
    "list.json": (count) => JSON.stringify(labels(count)),
    "index.json": (count) => JSON.stringify(Object.fromEntries(labels(count).entries())),
  };
  for (const [file, textOf] of Object.entries(kinds)) {
    await writeFile(dir.file(file), textOf(100_000));
    assert.equal((await readLabels(dir.path, file)).at(-1), "l99999", file);
    await writeFile(dir.file(file), textOf(100_001));
    await assert.rejects(readLabels(dir.path, file), (error: unknown) => {
      assert.ok(error instanceof MillraceError && error.code === "model_folder_invalid");
      assert.match(error.message, new RegExp(file));
      return true;
    });
  }
});

test("defect: a field with a slip in its name is refused, not passed over", async () => {
  await using dir = await TempDir.make();
  for (const [slip, value] of [
    ["chanels", { ...classifier, chanels: "bgr" }],
    ["width", { ...classifier, resize: { ...classifier.resize, width: 224 } }],
    ["threshhold", { ...reader, detector: { threshhold: 0.2 } }],
    ["Space", { ...reader, recogniser: { Space: false } }],
    ["directon", { ...reader, directon: {} }],
  ] as const) {
    await assert.rejects(read(dir, value), (error) => {
      assert.ok(error instanceof MillraceError && error.code === "model_folder_invalid");
      assert.match(error.message, new RegExp(`"${slip}"`));
      return true;
    });
  }
});
