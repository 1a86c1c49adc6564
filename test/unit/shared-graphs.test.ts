/** Graphs that are somebody else's, opened with weights that processes share: the same bits, or openly a copy of their own. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { FrameOutcome } from "#src/frames/messages.js";
import { loadEngine } from "#src/runtime/engines.js";
import type { WeightsCache } from "#src/runtime/weights-cache.js";
import type { Payload, Tensor } from "#src/work/payload.js";
import { picturePayload } from "#src/work/picture.js";
import { putTensor } from "#src/work/tensors.js";
import { graphBytes } from "../support/onnx-graph.js";
import { encoded, quarters } from "../support/pictures.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const cacheIn = (dir: string): WeightsCache => ({ dir, bytesMax: 2 ** 30, makeMsMax: 60_000 });

/** The model's answer, to the bit. */
async function answerOf(
  modelDir: string,
  weightsCache: WeightsCache | null,
  payload: Payload,
): Promise<string> {
  const outcomes: FrameOutcome[] = [];
  const events = {
    onRun: () => {},
    onOutcomes: (some: readonly FrameOutcome[]) => outcomes.push(...some),
  };
  const engine = await loadEngine({ modelDir, threads: 1, rowsMax: 8, weightsCache }, events);
  engine.admit("realtime", [{ itemId: 1, payload }]);
  while (!engine.idle) await engine.step();
  const [outcome] = outcomes;
  assert.ok(outcome?.ok === true, JSON.stringify(outcome));
  const bytes = Object.entries(outcome.value.tensors).map(([name, { shape, data }]) => {
    return [
      name,
      shape,
      Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("hex"),
    ];
  });
  await engine.release();
  return JSON.stringify([outcome.value.values, bytes]);
}

/** What the cache holds: entries, and what could not be made. */
function keptIn(dir: string): { readonly entries: number; readonly failures: readonly string[] } {
  const root = join(dir, "weights-v1");
  const names = existsSync(root) ? readdirSync(root) : [];
  const failed = names.filter((name) => name.endsWith(".failed"));
  return {
    entries: names.filter((name) => /^[0-9a-f]{32}$/.test(name)).length,
    failures: failed.map((name) => readFileSync(join(root, name), "utf8")),
  };
}

test("an image classifier's weights are shared, and its answer is the same to the bit", {
  skip: skipWithout("models", "squeezenet1.0"),
}, async () => {
  await using dir = await TempDir.make();
  await mkdir(dir.file("photos"));
  await copyFile(sharedPath("models", "squeezenet1.0", "model.onnx"), dir.file("photos", "g.onnx"));
  const labels = Array.from({ length: 1_000 }, (_, at) => `${at}`);
  const resize = { to: "exact", width: 227, height: 227 };
  const of = {
    manifestVersion: 2,
    task: "classify",
    engine: "staged",
    program: "image-classifier",
  };
  const manifest = { ...of, files: { graph: "g.onnx" }, labels, resize };
  await writeFile(dir.file("photos", "millrace.json"), JSON.stringify(manifest));
  const payload = picturePayload(encoded(await quarters(100, 80).png().toBuffer()));
  const alone = await answerOf(dir.file("photos"), null, payload);
  assert.equal(await answerOf(dir.file("photos"), cacheIn(dir.file("cache")), payload), alone);
  assert.deepEqual(keptIn(dir.file("cache")), { entries: 1, failures: [] });
});

/** Numbers that differ, small enough that sums of a thousand do not overflow. */
function weights(name: string, dims: number[]) {
  const count = dims.reduce((product, size) => product * size, 1);
  const values = Float32Array.from(
    { length: count },
    (_, at) => ((at * 7_919) % 101) / 5_000 - 0.01,
  );
  return { name, dims, dataType: 1, rawData: new Uint8Array(values.buffer) };
}

function rowOf(width: number, shape: readonly number[]): Payload {
  const tensors: Record<string, Tensor> = {};
  const data = Float32Array.from({ length: width }, (_, at) => (at % 17) / 17);
  putTensor(tensors, 0, { name: "x", datatype: "FP32", shape, data });
  return { values: { outputs: [0] }, tensors };
}

test("weights in a file beside the graph are shared as well", async () => {
  await using dir = await TempDir.make();
  await mkdir(dir.file("m"));
  const { rawData, ...w } = weights("w", [1_024, 1_100]);
  const graph = graphBytes({
    nodes: [{ opType: "MatMul", input: ["x", "w"], output: ["y"] }],
    inputs: [{ name: "x", type: "FP32", shape: ["n", 1_024] }],
    outputs: [{ name: "y", type: "FP32", shape: ["n", 1_100] }],
    initializers: [{ ...w, dataLocation: 1, externalData: [{ key: "location", value: "w.bin" }] }],
  });
  await writeFile(dir.file("m", "g.onnx"), graph);
  await writeFile(dir.file("m", "w.bin"), rawData);
  const payload = rowOf(1_024, [1, 1_024]);
  const alone = await answerOf(dir.file("m"), null, payload);
  assert.equal(await answerOf(dir.file("m"), cacheIn(dir.file("cache")), payload), alone);
  assert.deepEqual(keptIn(dir.file("cache")), { entries: 1, failures: [] });
});

test("a graph whose kernels cannot use mapped weights (LSTM ends its process) has a copy of its own", async () => {
  await using dir = await TempDir.make();
  await mkdir(dir.file("m"));
  const size = 384;
  const graph = graphBytes({
    nodes: [
      {
        opType: "LSTM",
        input: ["x", "w", "r"],
        output: ["y"],
        attribute: [{ name: "hidden_size", i: size, type: 2 }],
      },
    ],
    inputs: [{ name: "x", type: "FP32", shape: [2, 1, size] }],
    outputs: [{ name: "y", type: "FP32", shape: [2, 1, 1, size] }],
    initializers: [weights("w", [1, 4 * size, size]), weights("r", [1, 4 * size, size])],
  });
  await writeFile(dir.file("m", "g.onnx"), graph);
  const payload = rowOf(2 * size, [2, 1, size]);
  const alone = await answerOf(dir.file("m"), null, payload);
  assert.equal(await answerOf(dir.file("m"), cacheIn(dir.file("cache")), payload), alone);
  const { entries, failures } = keptIn(dir.file("cache"));
  assert.equal(entries + failures.length, 1, "it was tried, and is there or is known not to be");
});
