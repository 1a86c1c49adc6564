/** `millrace convert --task ocr` of graphs whose weights lie in files beside them. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { convertOcr } from "#src/convert/ocr/convert-ocr.js";
import { readManifest, verifyFiles } from "#src/models/read-manifest.js";
import { graphBytes, type MadeGraph } from "../support/onnx-graph.js";
import { TempDir } from "../support/temp-dir.js";

/** Means of a picture's axis times weights that are not in the graph. */
function graph(
  kind: "detector" | "recogniser",
  { file, offset, count }: { file: string; offset: number; count: number },
): Uint8Array {
  const ints = (name: string, values: number[]) => ({ name, ints: values, type: 7 });
  const mean = (axis: number, keep: number): MadeGraph["nodes"][number] => ({
    opType: "ReduceMean",
    input: ["x"],
    output: ["m"],
    attribute: [ints("axes", [axis]), { name: "keepdims", i: keep, type: 2 }],
  });
  const turn = {
    opType: "Transpose",
    input: ["m"],
    output: ["t"],
    attribute: [ints("perm", [0, 2, 1])],
  };
  const isDetector = kind === "detector";
  return graphBytes({
    inputs: [{ name: "x", type: "FP32", shape: ["n", 3, "h", "w"] }],
    outputs: [
      {
        name: "y",
        type: "FP32",
        shape: isDetector ? ["n", 1, "h", "w"] : ["n", "steps", 3],
      },
    ],
    nodes: [
      ...(isDetector ? [mean(1, 1)] : [mean(2, 0), turn]),
      { opType: "Mul", input: [isDetector ? "m" : "t", "weights"], output: ["y"] },
    ],
    initializers: [
      {
        dims: [count],
        dataType: 1,
        name: "weights",
        dataLocation: 1,
        externalData: [
          { key: "location", value: file },
          { key: "offset", value: String(offset) },
          { key: "length", value: String(4 * count) },
        ],
      },
    ],
  });
}

const weights = Buffer.from(Float32Array.of(1, 0.1, 0.2, 0.1).buffer);
const inDetector = { file: "both.data", offset: 0, count: 1 };
const inRecogniser = { file: "both.data", offset: 4, count: 3 };

async function put(dir: TempDir, files: Readonly<Record<string, string | Uint8Array>>) {
  await mkdir(dir.file("other"), { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    await writeFile(dir.file(...name.split("/")), content);
  }
}

function convert(dir: TempDir, recogniser = "rec.onnx") {
  return convertOcr({
    detector: dir.file("det.onnx"),
    recogniser: dir.file(...recogniser.split("/")),
    keys: dir.file("k.txt"),
    outDir: dir.file("pages"),
    force: false,
    signal: new AbortController().signal,
  });
}

const good = {
  "det.onnx": graph("detector", inDetector),
  "rec.onnx": graph("recogniser", inRecogniser),
  "both.data": weights,
  "k.txt": "a\nb\n",
};

test("defect: weights beside the graphs go with them, once where two share a file", async () => {
  await using dir = await TempDir.make();
  await put(dir, good);
  const { manifest } = await convert(dir);
  assert.deepEqual(manifest.files.data, ["both.data"]);
  // Nothing of where they came from is needed any more.
  for (const name of Object.keys(good)) await rm(dir.file(name));
  assert.deepEqual((await readdir(dir.file("pages"))).toSorted(), [
    "both.data",
    "detector.onnx",
    "keys.txt",
    "millrace.json",
    "recogniser.onnx",
  ]);
  assert.deepEqual(await readFile(dir.file("pages", "both.data")), weights);
  const read = await readManifest(dir.file("pages"));
  await verifyFiles(dir.file("pages"), read);
  await writeFile(dir.file("pages", "both.data"), "changed");
  await assert.rejects(verifyFiles(dir.file("pages"), read), { message: /both\.data was changed/ });
});

test("weights that are missing, elsewhere or another graph's by name are named, and nothing is left", async () => {
  await using dir = await TempDir.make();
  const files = {
    "up.onnx": graph("recogniser", { ...inRecogniser, file: "../up.data" }),
    "taken.onnx": graph("recogniser", { ...inRecogniser, file: "keys.txt" }),
    "manifest.onnx": graph("recogniser", { ...inRecogniser, file: "millrace.json" }),
    "none.onnx": graph("recogniser", { ...inRecogniser, file: "none.data" }),
    "other/rec.onnx": graph("recogniser", inRecogniser),
    "other/both.data": Buffer.alloc(16),
    "keys.txt": "",
    "millrace.json": "{}",
  };
  await put(dir, { ...good, ...files });
  for (const [recogniser, message] of [
    ["up.onnx", /up\.onnx has weights in "\.\.\/up\.data", which is no file of its folder/],
    ["taken.onnx", /has weights in a file called keys\.txt, and so is .*k\.txt/],
    ["manifest.onnx", /called millrace\.json, and so is the manifest/],
    ["none.onnx", /none\.data is not there/],
    ["other/rec.onnx", /called both\.data, and so is .*both\.data, which goes to the same folder/],
  ] as const) {
    await assert.rejects(convert(dir, recogniser), { code: "model_folder_invalid", message });
    assert.ok(!(await readdir(dir.path)).some((name) => name.includes("pages")), recogniser);
  }
});
