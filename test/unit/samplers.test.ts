/** What trials of speed run models on: every program takes its own samples, and a server that has no texts has a trial too. */
import assert from "node:assert/strict";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { convertOcr } from "#src/convert/ocr/convert-ocr.js";
import type { FrameOutcome } from "#src/frames/messages.js";
import { createLog } from "#src/log.js";
import { engineTable } from "#src/models/engine-table.js";
import { readModel } from "#src/models/read-manifest.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { loadEngine } from "#src/runtime/engines.js";
import { keptPath } from "#src/trial/kept-trial.js";
import { measureLayout } from "#src/trial/measure.js";
import { withTrial } from "#src/trial/trial.js";
import type { Payload } from "#src/work/payload.js";
import { takeTensor } from "#src/work/tensors.js";
import { readTextLines } from "#src/work/text-lines.js";
import { writeColourClassifier } from "../support/colour-classifier.js";
import { ocrFiles } from "../support/ocr-reference.js";
import { identityGraph } from "../support/onnx-graph.js";
import { childrenOf } from "../support/processes.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

async function answersTo(modelDir: string, indexes: readonly number[]): Promise<Payload[]> {
  const { manifest } = await readModel(modelDir);
  const sample = engineTable[manifest.engine].sampler?.(manifest);
  assert.ok(sample !== null && sample !== undefined, "it is not tried");
  const outcomes: FrameOutcome[] = [];
  const engine = await loadEngine(
    { modelDir, threads: 1, rowsMax: 64, weightsCache: null },
    { onRun: () => {}, onOutcomes: (some) => outcomes.push(...some) },
  );
  engine.admit(
    "bulk",
    indexes.map((itemId) => ({ itemId, payload: sample(itemId) })),
  );
  while (!engine.idle) await engine.step();
  await engine.release();
  outcomes.sort((left, right) => left.itemId - right.itemId);
  return outcomes.map((outcome) => {
    assert.ok(outcome.ok, outcome.ok ? "" : outcome.message);
    return outcome.value;
  });
}

test("samples of a graph's own types and sizes", async () => {
  await using dir = await TempDir.make();
  const types = ["FP32", "FP16", "INT64", "INT32", "UINT8", "BOOL", "BYTES"] as const;
  for (const type of types) {
    await mkdir(dir.file(type));
    await writeFile(dir.file(type, "g.onnx"), identityGraph(type, ["n", "wide", 3]));
    const [one, other] = await answersTo(dir.file(type), [0, 1]);
    const answer = one === undefined ? null : takeTensor(one, 0, { name: "y", datatype: type });
    assert.deepEqual(answer?.shape, [1, 32, 3], type);
    assert.notDeepEqual(one?.tensors["0"]?.data, other?.tensors["0"]?.data, "each is another");
  }
  await mkdir(dir.file("huge"));
  await writeFile(dir.file("huge", "g.onnx"), identityGraph("FP32", [4_096, 4_096]));
  const { manifest } = await readModel(dir.file("huge"));
  assert.equal(engineTable[manifest.engine].sampler?.(manifest), null, "nobody makes up so much");
});

test("samples of pages have lines on them", { skip: skipWithout("models", "ocr") }, async () => {
  await using dir = await TempDir.make();
  const { signal } = new AbortController();
  await convertOcr({ ...ocrFiles, outDir: dir.file("pages"), force: false, signal });
  const lines = (await answersTo(dir.file("pages"), [3])).map(
    (answer) => readTextLines(answer)?.lines.length ?? 0,
  );
  assert.ok(
    lines.every((count) => count >= 3),
    lines.join(),
  );
});

test("magika takes its samples", { skip: skipWithout("models", "magika") }, async () => {
  await using dir = await TempDir.make();
  await mkdir(dir.file("magika"));
  await copyFile(sharedPath("models", "magika", "model.onnx"), dir.file("magika", "model.onnx"));
  assert.equal((await answersTo(dir.file("magika"), [0, 1, 2])).length, 3);
});

test("a server that has only a classifier of pictures has a trial", async () => {
  await using dir = await TempDir.make();
  writeColourClassifier(dir.file("models", "colours"));
  const given = resolveConfiguration({
    machine: {
      cores: 2,
      coresFrom: "a test",
      memoryBytes: 2 ** 34,
      memoryFrom: "a test",
      openFilesMax: null,
      hostName: "here",
      bundledModelsDir: dir.file("models"),
      cacheDir: "/nowhere",
    },
    code: { cacheDir: dir.file("cache"), models: dir.file("models"), trial: "auto" },
  });
  const lines: string[] = [];
  const destination = { write: (line: string) => lines.push(line) };
  const log = createLog({ log: "json", logLevel: "info", destination });
  // Begun with this model; that a whole one comes to its end is trial.test.ts's.
  await withTrial(given, { log, load: 0, entry: "/no/such/script.js" });
  assert.ok(
    lines.some((line) => line.includes('"model":"colours"')),
    lines.join(""),
  );
  const { manifest: read } = await readModel(dir.file("models", "colours"));
  const other = { ...read, name: "others" };
  assert.notEqual(
    keptPath(given, read),
    keptPath(given, other),
    "what nobody hashed is told apart",
  );
  const sample = engineTable[read.engine].sampler?.(read);
  assert.ok(sample !== null && sample !== undefined);
  const perSecond = await measureLayout(
    { pipelines: 1, threads: 1 },
    { modelDir: dir.file("models", "colours"), sample },
    {
      entry: fileURLToPath(import.meta.resolve("#src/runtime/entry.js")),
      entryArguments: [],
      rowsMax: 8,
      log,
      windowMs: 100,
      signal: new AbortController().signal,
    },
  );
  assert.ok(perSecond > 0);
  assert.deepEqual(childrenOf(process.pid), []);
});
