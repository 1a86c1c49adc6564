/** `convert` as a stranger meets it: what it refuses, what it leaves behind, and what it makes. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { inspectFolder } from "#src/cli/inspect.js";
import { readMarianConfig } from "#src/convert/marian/config.js";
import { expectedTensors } from "#src/convert/marian/tensors.js";
import { type ModelMessage, type TensorMessage } from "#src/convert/onnx/schema.js";
import type { Precision } from "#src/models/manifest-base.js";
import { readManifest } from "#src/models/read-manifest.js";
import { convertQuietly } from "../support/converted.js";
import { bundledModelDir, openModel, translateAll } from "../support/engine.js";
import { isLong } from "../support/long.js";
import { type MarianFolderOptions, writeMarianFolder } from "../support/marian-folder.js";
import { decodeModel } from "../support/onnx.js";
import { readGeneration } from "../support/read-generation.js";
import { safetensorsBytes } from "../support/safetensors-bytes.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const main = fileURLToPath(import.meta.resolve("#src/cli/main.js"));

/** Converts `in` to `out`; when that fails, nothing but the source may be there. */
async function assertRefused(
  dir: TempDir,
  expected: { readonly code: string; readonly message: RegExp },
  options: Partial<Parameters<typeof convertQuietly>[0]> = {},
): Promise<void> {
  const seen = (await readdir(dir.path)).toSorted();
  const target = { modelDir: dir.file("in"), outDir: dir.file("out"), ...options };
  await assert.rejects(convertQuietly(target), expected);
  assert.deepEqual((await readdir(dir.path)).toSorted(), seen);
}

interface Refusal {
  readonly title: string;
  readonly code: string;
  readonly message: RegExp;
  readonly folder?: MarianFolderOptions;
  readonly damage?: (folder: string) => Promise<void>;
}

const fc2 = "model.decoder.layers.1.fc2.weight";

function weightsOf(folder: string): string {
  return join(folder, "model.safetensors");
}

/** Replaces the header by one that says something else of the same data. */
async function rewriteHeader(
  folder: string,
  change: (header: Record<string, { shape: number[]; data_offsets: [number, number] }>) => void,
): Promise<void> {
  const bytes = await readFile(weightsOf(folder));
  const end = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString("utf8", 8, end)) as Parameters<typeof change>[0];
  change(header);
  const changed = safetensorsBytes(JSON.stringify(header), bytes.subarray(end));
  await writeFile(weightsOf(folder), changed);
}

const refusals: readonly Refusal[] = [
  {
    title: "an unknown family",
    code: "model_unsupported",
    message: /model_type "t5".*marian/,
    damage: (folder) => writeFile(join(folder, "config.json"), '{"model_type":"t5"}'),
  },
  {
    title: "a missing tensor",
    code: "tensor_missing",
    message: /model\.decoder\.layers\.1\.fc2\.weight of shape \[16, 20\]/,
    folder: { leaveOut: [fc2] },
  },
  {
    title: "a tensor of another shape",
    code: "tensor_mismatch",
    message: /layers\.1\.fc2\.weight.*expected \[16, 20\], found \[20, 16\]/,
    damage: (folder) =>
      rewriteHeader(folder, (header) => {
        const entry = header[fc2];
        if (entry !== undefined) entry.shape = [20, 16];
      }),
  },
  {
    title: "a truncated file",
    code: "weights_invalid",
    message: /truncated/,
    damage: async (folder) => {
      const bytes = await readFile(weightsOf(folder));
      await writeFile(weightsOf(folder), bytes.subarray(0, -100));
    },
  },
  {
    title: "a header length that lies",
    code: "weights_invalid",
    message: /header length is 18446744073709551615/,
    damage: async (folder) => {
      const bytes = await readFile(weightsOf(folder));
      await writeFile(weightsOf(folder), bytes.fill(0xff, 0, 8));
    },
  },
  {
    title: "overlapping tensors",
    code: "weights_invalid",
    message: /fc2\.weight" (overlaps|leaves a gap)|overlaps the tensor/,
    damage: (folder) =>
      rewriteHeader(folder, (header) => {
        const entry = header[fc2];
        if (entry !== undefined) entry.data_offsets = [0, 16 * 20 * 4];
      }),
  },
  {
    title: "a huge shape",
    code: "weights_invalid",
    message: /fc2\.weight.*absurd shape/,
    damage: (folder) =>
      rewriteHeader(folder, (header) => {
        const entry = header[fc2];
        if (entry !== undefined) entry.shape = [2 ** 40, 2 ** 40];
      }),
  },
  {
    title: "no weights",
    code: "model_folder_invalid",
    message: /model\.safetensors is missing/,
    damage: (folder) => rm(weightsOf(folder)),
  },
  {
    title: "no tokenizer",
    code: "model_folder_invalid",
    message: /tokenizer\.json is missing/,
    damage: (folder) => rm(join(folder, "tokenizer.json")),
  },
  {
    title: "a tokenizer that is no JSON",
    code: "model_folder_invalid",
    message: /tokenizer\.json/,
    damage: (folder) => writeFile(join(folder, "tokenizer.json"), "{"),
  },
  {
    title: "a tokenizer that is none",
    code: "model_folder_invalid",
    message: /tokenizer\.json/,
    damage: (folder) => writeFile(join(folder, "tokenizer.json"), "[]"),
  },
  {
    title: "a tokenizer of an unknown kind",
    code: "model_folder_invalid",
    message: /tokenizer\.json is no tokenizer/,
    damage: (folder) => writeFile(join(folder, "tokenizer.json"), '{"model":{"type":"odd"}}'),
  },
];

for (const { title, code, message, folder, damage } of refusals) {
  test(`refused, and nothing is left: ${title}`, async () => {
    await using dir = await TempDir.make();
    await writeMarianFolder(dir.file("in"), folder);
    await damage?.(dir.file("in"));
    await assertRefused(dir, { code, message }, { precision: "int8" });
  });
}

test("refused, and nothing is left: calibration files without sentences", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"));
  await writeFile(dir.file("empty.txt"), "\n \n");
  for (const [name, message] of [
    ["missing.txt", /missing\.txt cannot be read/],
    ["empty.txt", /empty\.txt has no sentence/],
  ] as const) {
    const options = { precision: "int8", calibrationFile: dir.file(name) } as const;
    await assertRefused(dir, { code: "option_invalid", message }, options);
  }
});

test("an output folder is replaced only on demand, and only if it is Millrace's", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"));
  const target = { modelDir: dir.file("in"), outDir: dir.file("out") };
  await mkdir(dir.file("out"));
  await writeFile(dir.file("out", "diary.txt"), "dear diary");
  for (const force of [false, true]) {
    const message = force ? /no Millrace model folder/ : /exists/;
    await assertRefused(dir, { code: "output_exists", message }, { force });
    assert.deepEqual(await readdir(dir.file("out")), ["diary.txt"]);
  }
  await rm(dir.file("out"), { recursive: true });
  await convertQuietly(target);
  await assertRefused(dir, { code: "output_exists", message: /exists/ });
  await convertQuietly({ ...target, force: true, name: "second" });
  assert.equal((await readManifest(dir.file("out"))).name, "second");
  assert.deepEqual((await readdir(dir.path)).toSorted(), ["in", "out"]);
});

test("a signal at any step ends it with the signal's reason, and nothing is left", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"));
  for (const step of ["hash", "calibrate", "write"] as const) {
    const stop = new AbortController();
    const reason = new Error(`stopped at ${step}`);
    const options = {
      modelDir: dir.file("in"),
      outDir: dir.file("out"),
      precision: "int8",
      signal: stop.signal,
      onProgress: (progress: { readonly step: string }) => {
        if (progress.step === step) stop.abort(reason);
      },
    } as const;
    await assert.rejects(convertQuietly(options), reason);
    assert.deepEqual(await readdir(dir.path), ["in"]);
  }
});

test("Ctrl-C on the command leaves nothing behind", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"));
  const args = [main, "convert", dir.file("in"), "--out", dir.file("out")];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  // The line of a step is written when it begins: it is at work now.
  child.stderr.setEncoding("utf8");
  let errors = "";
  child.stderr.on("data", (line: string) => {
    errors += line;
    if (errors.endsWith("Calibrating …\n")) child.kill("SIGINT");
  });
  const [code] = (await once(child, "close")) as [number | null];
  assert.equal(code, 130, errors);
  assert.match(errors, /interrupted; nothing was written/);
  assert.deepEqual(await readdir(dir.path), ["in"]);
});

const variants: Readonly<Record<string, MarianFolderOptions>> = {
  "swish, all shared": {},
  relu: { config: { activation_function: "relu" } },
  gelu: { config: { activation_function: "gelu" } },
  "gelu_new, embeddings not scaled": {
    config: { activation_function: "gelu_new", scale_embedding: false },
  },
  "own vocabularies": {
    config: { share_encoder_decoder_embeddings: false, decoder_vocab_size: 50 },
  },
  "an output table of its own": { config: { tie_word_embeddings: false } },
  "positions and bias left out": {
    leaveOut: [
      "final_logits_bias",
      "model.encoder.embed_positions.weight",
      "model.decoder.embed_positions.weight",
    ],
    change: (name, values) => {
      if (name === "final_logits_bias") values.fill(0);
    },
  },
  F16: { dtype: "F16" },
  BF16: { dtype: "BF16" },
};

const sentences = [[0], [82, 0], [434, 115, 16, 15, 35, 99, 257, 451, 1942, 20, 0]].flatMap(
  (tokenIds) => [1, 4].map((beams) => ({ tokenIds, settings: { beams, nBest: beams } })),
);

async function translateTwice(dir: string): Promise<string> {
  const model = await openModel(dir);
  const [first, second] = [
    await translateAll(model, sentences),
    await translateAll(model, sentences),
  ];
  await model.release();
  assert.deepEqual(first, second);
  for (const hypotheses of first) {
    for (const { tokenIds, score } of hypotheses) {
      assert.ok(tokenIds.length > 0 && tokenIds.length <= 11);
      assert.ok(Number.isFinite(score) && score < 0, `score ${score}`);
    }
  }
  return JSON.stringify(first);
}

/** Those that are converted a second time, to the same bytes: all in the long run. */
const again = isLong ? Object.keys(variants) : ["swish, all shared", "own vocabularies", "BF16"];

for (const [title, folder] of Object.entries(variants)) {
  test(`converts and translates: ${title}`, async () => {
    await using dir = await TempDir.make();
    await writeMarianFolder(dir.file("in"), folder);
    await writeFile(dir.file("few.txt"), "Good morning.\nWhere is the station?\nIt rains.\n");
    for (const precision of ["f32", "int8"] satisfies Precision[]) {
      const hashes: Readonly<Record<string, string>>[] = [];
      for (const name of again.includes(title) ? ["one", "two"] : ["one"]) {
        const outDir = dir.file(precision, name);
        const calibrationFile = dir.file("few.txt");
        await convertQuietly({ modelDir: dir.file("in"), outDir, precision, calibrationFile });
        const inspection = await inspectFolder(outDir);
        assert.ok(inspection.kind === "millrace");
        assert.equal(inspection.damage, null);
        assert.equal(inspection.manifest.precision, precision);
        hashes.push(inspection.manifest.fileSha256);
      }
      assert.deepEqual(
        hashes,
        hashes.map(() => hashes[0]),
        "a second conversion gave other files",
      );
      await translateTwice(dir.file(precision, "one"));
    }
  });
}

test("F16 and BF16 weights are the same model as their values in F32", async () => {
  await using dir = await TempDir.make();
  // Quarters are exact in all three types.
  const change = (_: string, values: Float32Array) => {
    for (const [index, value] of values.entries()) values[index] = Math.round(4 * value) / 4;
  };
  const results: string[] = [];
  for (const dtype of ["F32", "F16", "BF16"] as const) {
    await writeMarianFolder(dir.file("in", dtype), { dtype, change });
    await convertQuietly({ modelDir: dir.file("in", dtype), outDir: dir.file("out", dtype) });
    results.push(await translateTwice(dir.file("out", dtype)));
  }
  assert.deepEqual(results, [results[0], results[0], results[0]]);
});

test("a product whose input int8 would ruin stays float32, and millrace.json says so", async () => {
  await using dir = await TempDir.make();
  // One channel between the feed-forward products a thousand times as large as the others.
  await writeMarianFolder(dir.file("in"), {
    config: { activation_function: "relu" },
    change: (name, values) => {
      if (name === "model.encoder.layers.0.fc1.bias") values[3] = 3_000;
      if (name !== "model.encoder.layers.0.fc2.weight") return;
      for (let row = 0; row < 16; row += 1) values[row * 24 + 3] = 0;
    },
  });
  const options = { modelDir: dir.file("in"), outDir: dir.file("out"), precision: "int8" } as const;
  const { calibration, manifest } = await convertQuietly(options);
  const floats = Object.entries(manifest.layerPrecision).filter(([, kind]) => kind === "f32");
  const judged = calibration?.products.find(({ product }) => product === "encoder.0.fc2");
  assert.deepEqual(floats, [["encoder.0.fc2", "f32"]], JSON.stringify(judged));
  assert.deepEqual((await readGeneration(dir.file("out"))).layerPrecision, manifest.layerPrecision);
  await translateTwice(dir.file("out"));
});

if (isLong) {
  test("a large model converts in less than half of its size", async (context) => {
    await using dir = await TempDir.make();
    const bytes = await writeSparseModel(dir.file("in"));
    const script = `
    const { convert } = await import(process.argv[1]);
    await convert({ modelDir: process.argv[2], outDir: process.argv[3], precision: "f32",
      calibrationFile: "", force: false, onProgress: () => {}, signal: new AbortController().signal });
    process.stdout.write(String(process.resourceUsage().maxRSS * 1024));`;
    const args = [import.meta.resolve("#src/convert/convert.js"), dir.file("in"), dir.file("out")];
    const child = spawn(process.execPath, ["--input-type=module", "-e", script, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [peak, [code]] = await Promise.all([text(child.stdout), once(child, "close")]);
    assert.equal(code, 0);
    context.diagnostic(
      `${Math.round(bytes / 1e6)} MB with a peak of ${Math.round(Number(peak) / 1e6)} MB`,
    );
    assert.ok(Number(peak) < bytes / 2, `${peak} bytes of memory for a model of ${bytes}`);
    assert.equal((await inspectFolder(dir.file("out"))).kind, "millrace");
  });
}

/** A file of zeros that takes no place on the disk; returns its size. */
async function writeSparseModel(folder: string): Promise<number> {
  await writeMarianFolder(folder);
  const path = join(folder, "config.json");
  const small = JSON.parse(await readFile(path, "utf8")) as object;
  const large = {
    d_model: 1024,
    // 660 MB in the long run, 460 else.
    encoder_layers: 10,
    decoder_layers: 2,
    encoder_attention_heads: 16,
    decoder_attention_heads: 16,
    encoder_ffn_dim: 4096,
    decoder_ffn_dim: 4096,
  };
  await writeFile(path, JSON.stringify({ ...small, ...large }));
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { name, shape } of expectedTensors(await readMarianConfig(folder))) {
    const from = end;
    end += 4 * shape.reduce((product, size) => product * size, 1);
    header[name] = { dtype: "F32", shape, data_offsets: [from, end] };
  }
  const start = safetensorsBytes(JSON.stringify(header), new Uint8Array());
  await using file = await open(weightsOf(folder), "w");
  await file.write(start);
  await file.truncate(start.byteLength + end);
  return start.byteLength + end;
}

if (isLong) {
  test("the bundled model is what convert makes of its source", {
    skip: skipWithout("models", "en-zh"),
  }, async (context) => {
    await using dir = await TempDir.make();
    const outDir = dir.file("en-zh");
    await convertQuietly({ modelDir: sharedPath("models", "en-zh"), outDir, precision: "int8" });
    const [made, bundled] = [await readGeneration(outDir), await readGeneration(bundledModelDir)];
    assert.deepEqual({ ...made, fileSha256: {} }, { ...bundled, fileSha256: {} });
    for (const name of [bundled.files.weights, bundled.files.tokenizer]) {
      assert.equal(made.fileSha256[name], bundled.fileSha256[name], name);
    }
    for (const name of [bundled.files.encoder, bundled.files.decoder]) {
      const same = made.fileSha256[name] === bundled.fileSha256[name];
      context.diagnostic(
        `${name} is ${same ? "the same to the byte" : "not the same to the byte"}`,
      );
      assertSameGraph(await readGraph(outDir, name), await readGraph(bundledModelDir, name));
    }
    const inspection = await inspectFolder(bundledModelDir);
    assert.ok(inspection.kind === "millrace");
    assert.equal(inspection.damage, null);
  });
}

async function readGraph(dir: string, name: string): Promise<ModelMessage["graph"]> {
  return decodeModel(await readFile(join(dir, name))).graph;
}

/**
 * Another kind of processor sums floats in another order, so that a calibrated scale may differ in its last digits
 * there; everything else is the same everywhere.
 */
function assertSameGraph(made: ModelMessage["graph"], bundled: ModelMessage["graph"]): void {
  const isCalibrated = (tensor: TensorMessage) => /\.activation_(scale|zero)$/.test(tensor.name);
  const rest = (graph: ModelMessage["graph"]) => ({
    ...graph,
    initializer: graph.initializer.filter((tensor) => !isCalibrated(tensor)),
  });
  assert.deepEqual(rest(made), rest(bundled));
  const own = made.initializer.filter(isCalibrated);
  const found = new Map(own.map((tensor) => [tensor.name, calibratedValue(tensor)]));
  const calibrated = bundled.initializer.filter(isCalibrated);
  assert.equal(own.length, calibrated.length);
  for (const tensor of calibrated) {
    const [expected, actual] = [calibratedValue(tensor), found.get(tensor.name) ?? Number.NaN];
    const tolerance = tensor.name.endsWith("_zero") ? 1 : 1e-3 * expected;
    assert.ok(Math.abs(actual - expected) <= tolerance, `${tensor.name}: ${actual}, ${expected}`);
  }
}

function calibratedValue({ name, rawData }: TensorMessage): number {
  assert.ok(rawData !== undefined, name);
  const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
  return name.endsWith("_zero") ? view.getUint8(0) : view.getFloat32(0, true);
}
