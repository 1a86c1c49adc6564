/** ONNX files that nobody converted: where they may stand, what is read of them, and what is refused by name. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { inspectFolder } from "#src/cli/inspect.js";
import { manifestOf } from "#src/models/engine-table.js";
import type { TensorsManifest } from "#src/models/programs/manifest-tensors.js";
import { readManifest, readModel } from "#src/models/read-manifest.js";
import { ModelRegistry } from "#src/models/registry.js";
import { replaceFile } from "../support/model-copies.js";
import { graphBytes, identityGraph } from "../support/onnx-graph.js";
import { TempDir } from "../support/temp-dir.js";

const graph = identityGraph("FP32", ["n", 2]);

async function put(
  dir: string,
  files: Readonly<Record<string, string | Uint8Array | object>>,
): Promise<string> {
  await mkdir(dir, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    const isRaw = typeof content === "string" || content instanceof Uint8Array;
    await writeFile(join(dir, name), isRaw ? content : JSON.stringify(content));
  }
  return dir;
}

async function tensorsOf(dir: string): Promise<TensorsManifest> {
  const manifest = manifestOf(await readManifest(dir), "staged");
  assert.equal(manifest.program, "tensors");
  return manifest as TensorsManifest;
}

test("folders with one graph and files among them are models, by their names", async () => {
  await using dir = await TempDir.make();
  await put(dir.path, {
    "one.onnx": graph,
    "model.onnx": graph,
    ".hidden.onnx": graph,
    "notes.txt": "",
  });
  await put(dir.file("two"), { "any name.onnx": graph, "labels.json": "{}" });
  await put(dir.file("three.onnx"), { "a.onnx": graph });
  await put(dir.file("several"), { "a.onnx": graph, "b.onnx": graph });
  await put(dir.file("stray"), { "readme.md": "" });
  await put(dir.file("bad"), { "model.onnx": "not a graph" });
  const registry = await ModelRegistry.open(dir.path);
  const found = registry
    .list()
    .map(({ manifest: { name, task }, path }) => [name, `${task} ${path}`] as const);
  const own = dir.path.split("/").at(-1);
  assert.deepEqual(
    new Map(found),
    new Map([
      [own, `infer ${dir.file("model.onnx")}`],
      ["one", `infer ${dir.file("one.onnx")}`],
      ["three.onnx", `infer ${dir.file("three.onnx")}`],
      ["two", `infer ${dir.file("two")}`],
    ]),
  );
  assert.deepEqual(registry.strays, [dir.file("stray")]);
  const reasons = new Map(registry.broken.map(({ dir: at, reason }) => [at, reason]));
  assert.match(
    reasons.get(dir.file("several")) ?? "",
    /several has 2 \.onnx files, and `graph` names none/,
  );
  assert.match(reasons.get(dir.file("bad")) ?? "", /model\.onnx is no ONNX graph that can be read/);
  for (const { path, dir: at, manifest } of registry.list()) {
    assert.deepEqual(await readModel(path ?? at), { dir: at, manifest });
  }
});

test("defect: a folder or a file whose name cannot be a model's is told so, and what to do", async () => {
  await using dir = await TempDir.make();
  await put(dir.file("my model"), { "model.onnx": graph });
  await put(dir.file("other"), { "b c.onnx": graph });
  const wanted = (name: string): object => ({
    code: "model_folder_invalid",
    message: new RegExp(
      `"${name}" cannot be a model's name, .*: rename it, or write a name in millrace.json$`,
    ),
  });
  await assert.rejects(readModel(dir.file("my model")), wanted("my model"));
  await assert.rejects(readModel(dir.file("other", "b c.onnx")), wanted("b c"));
  const labels = { manifestVersion: 2, task: "classify", engine: "staged" };
  await put(dir.file("my photos"), { "millrace.json": labels });
  await assert.rejects(readModel(dir.file("my photos")), wanted("my photos"));
  await put(dir.file("my model"), { "millrace.json": { manifestVersion: 2, name: "mine" } });
  assert.equal((await readModel(dir.file("my model"))).manifest.name, "mine");
});

test("the models may be one file, or one folder of one file", async () => {
  await using dir = await TempDir.make();
  await put(dir.file("m"), { "a.onnx": graph });
  const names = async (path: string): Promise<string[]> =>
    (await ModelRegistry.open(path)).list().map(({ manifest }) => manifest.name);
  assert.deepEqual(await names(dir.file("m", "a.onnx")), ["a"]);
  assert.deepEqual(await names(dir.file("m")), ["a"]);
  await assert.rejects(ModelRegistry.open(dir.file("m", "b.onnx")), /b\.onnx does not exist/);
});

test("the manifest is the graph's own words", async () => {
  await using dir = await TempDir.make();
  const { inputs, outputs, batch, batchDeclared, fileSha256, files } = await tensorsOf(
    await put(dir.file("m"), { "g.onnx": graph }),
  );
  assert.deepEqual(inputs, [{ name: "x", datatype: "FP32", shape: ["n", 2] }]);
  assert.deepEqual(outputs, [{ name: "y", datatype: "FP32", shape: ["n", 2] }]);
  assert.deepEqual(
    { batch, batchDeclared, fileSha256 },
    { batch: "free", batchDeclared: false, fileSha256: {} },
  );
  assert.deepEqual(files, { graph: "g.onnx", data: [] });
});

const axes: readonly [shape: readonly (number | string)[], batch: string][] = [
  [["n", 2], "free"],
  [["", ""], "free"],
  [[1, 2], "fixed"],
  [[4], "fixed"],
  [[], "none"],
];
for (const [shape, batch] of axes) {
  test(`a first axis of [${shape.join()}] is ${batch}`, async () => {
    await using dir = await TempDir.make();
    const manifest = await tensorsOf(
      await put(dir.file("m"), { "g.onnx": identityGraph("INT64", shape) }),
    );
    assert.equal(manifest.batch, batch);
  });
}

test("a few declared lines go before what the graph says", async () => {
  await using dir = await TempDir.make();
  const says = {
    manifestVersion: 2,
    name: "other",
    graph: "b.onnx",
    batch: "none",
    sizes: { n: 8 },
    limits: { rowsMax: 4 },
  };
  const manifest = await tensorsOf(
    await put(dir.file("m"), { "a.onnx": "no graph", "b.onnx": graph, "millrace.json": says }),
  );
  const { name, batch, batchDeclared, sizes, limits, files } = manifest;
  assert.deepEqual(
    { name, batch, sizes, limits },
    { name: "other", batch: "none", sizes: { n: 8 }, limits: { rowsMax: 4 } },
  );
  assert.ok(batchDeclared);
  assert.equal(files.graph, "b.onnx");
});

const refused: readonly [what: string, files: Parameters<typeof put>[1], says: RegExp][] = [
  [
    "a line that there is not",
    { "g.onnx": graph, "millrace.json": { manifestVersion: 2, bach: "free" } },
    /millrace\.json: .*bach/,
  ],
  [
    "a graph that is not there",
    { "millrace.json": { manifestVersion: 2, graph: "g.onnx" } },
    /g\.onnx is missing/,
  ],
  [
    "a graph outside of the folder",
    { "millrace.json": { manifestVersion: 2, graph: "../g.onnx" } },
    /name of a file in the folder/,
  ],
  ["no graph", { "millrace.json": { manifestVersion: 2, batch: "none" } }, /has no \.onnx file/],
  [
    "rows where there are none",
    {
      "g.onnx": identityGraph("FP32", [1, 2]),
      "millrace.json": { manifestVersion: 2, batch: "free" },
    },
    /"x" has no first axis of any size/,
  ],
  [
    "bfloat16",
    { "g.onnx": identityGraph("BF16", [1]) },
    /its tensor "x" is a tensor of bfloat16, which is not served/,
  ],
  [
    "seventeen axes",
    { "g.onnx": identityGraph("FP32", Array<number>(17).fill(1)) },
    /"x" has 17 axes/,
  ],
  [
    "weights that are not there",
    { "g.onnx": withData("w.bin") },
    /w\.bin, which holds weights of g\.onnx, is missing/,
  ],
  [
    "weights outside of the folder",
    { "g.onnx": withData("../w.bin") },
    /weights in "\.\.\/w\.bin", which is no file of its folder/,
  ],
  [
    "two inputs of one name",
    {
      "g.onnx": graphBytes({
        nodes: [],
        inputs: [0, 1].map(() => ({ name: "x", type: "FP32", shape: [1] })),
        outputs: [{ name: "y", type: "FP32", shape: [1] }],
      }),
    },
    /two inputs of the name "x"/,
  ],
  [
    "an output that no binding can give",
    {
      "g.onnx": graphBytes({
        nodes: [],
        inputs: [],
        outputs: [{ name: "constructor", type: "FP32", shape: [1] }],
      }),
    },
    /its output "constructor" has a name/,
  ],
  ["no output", { "g.onnx": graphBytes({ nodes: [], inputs: [], outputs: [] }) }, /outputs/],
];
for (const [what, files, says] of refused) {
  test(`${what}: refused by name`, async () => {
    await using dir = await TempDir.make();
    await put(dir.file("m"), files);
    await assert.rejects(readModel(dir.file("m")), { code: "model_folder_invalid", message: says });
  });
}

test("inspect tells of a plain graph, in a folder and as a file", async () => {
  await using dir = await TempDir.make();
  await put(dir.file("m"), { "g.onnx": graph });
  for (const path of [dir.file("m"), dir.file("m", "g.onnx")]) {
    const inspection = await inspectFolder(path);
    assert.ok(inspection.kind === "millrace");
    assert.equal(inspection.damage, null);
    assert.deepEqual(Object.keys(inspection.fileBytes), ["g.onnx"]);
  }
});

test("defect: weights beside the graph of an image classifier are of its version, and files of its folder", async () => {
  await using dir = await TempDir.make();
  const manifest = {
    manifestVersion: 2,
    task: "classify",
    engine: "staged",
    program: "image-classifier",
    files: { graph: "g.onnx", data: ["a-lie.bin"] },
    labels: ["a"],
    resize: { to: "exact", width: 8, height: 8 },
  };
  const files = { "millrace.json": manifest, "g.onnx": withData("w.bin") };
  const m = await put(dir.file("m"), { ...files, "w.bin": new Uint8Array(4) });
  await put(dir.file("m"), { "millrace.b.json": { ...manifest, name: "b" } });
  const versions = async (): Promise<readonly (string | undefined)[]> =>
    (await ModelRegistry.open(dir.path)).list().map(({ version }) => version?.version);
  const before = await versions();
  assert.equal(before.length, 2);
  assert.deepEqual((await readManifest(m)).files, { graph: "g.onnx", data: ["w.bin"] });
  await replaceFile(dir.file("m", "w.bin"), new Uint8Array([0, 0, 128, 63]));
  const after = await versions();
  for (const [at, version] of before.entries()) assert.notEqual(after[at], version);
  await put(m, { "g.onnx": withData("../w.bin") });
  await assert.rejects(readManifest(m), {
    code: "model_folder_invalid",
    message: /no file of its folder/,
  });
});

function withData(location: string): Uint8Array {
  return graphBytes({
    nodes: [{ opType: "Identity", input: ["w"], output: ["y"] }],
    inputs: [],
    outputs: [{ name: "y", type: "FP32", shape: [1] }],
    initializers: [
      {
        dims: [1],
        dataType: 1,
        name: "w",
        dataLocation: 1,
        externalData: [{ key: "location", value: location }],
      },
    ],
  });
}
