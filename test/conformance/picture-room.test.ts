/** A robot's pictures, and a person's one that comes after them, on one real pipeline. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { ClassifyResponse } from "millrace-client/wire";
import { graphBytes } from "../support/onnx-graph.js";
import { quarters } from "../support/pictures.js";
import { getStatus, pidsOf, startReal, until } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

/** The mean of each colour. */
const graph = graphBytes({
  nodes: [
    { opType: "GlobalAveragePool", input: ["x"], output: ["mean"] },
    { opType: "Flatten", input: ["mean"], output: ["y"] },
  ],
  inputs: [{ name: "x", type: "FP32", shape: ["N", 3, 8, 8] }],
  outputs: [{ name: "y", type: "FP32", shape: ["N", 3] }],
});
const manifest = {
  manifestVersion: 2,
  task: "classify",
  engine: "staged",
  program: "image-classifier",
  files: { graph: "model.onnx" },
  labels: ["red", "green", "blue"],
  resize: { to: "exact", width: 8, height: 8 },
  rowsMax: 4,
};

const limit = { timeout: 60_000 };

test(
  "defect: a robot's 96 pictures are not all given to a pipeline before a person's",
  limit,
  async () => {
    await using dir = await TempDir.make();
    mkdirSync(dir.file("models", "colours"), { recursive: true });
    writeFileSync(dir.file("models", "colours", "model.onnx"), graph);
    writeFileSync(dir.file("models", "colours", "millrace.json"), JSON.stringify(manifest));
    await using server = await startReal({ models: dir.file("models"), pipelines: 1 });
    const { url } = server;
    const image = (await quarters(16, 16).png().toBuffer()).toString("base64");
    const served: string[] = [];
    const ask = async (tenant: string, count: number): Promise<void> => {
      const images = Array.from({ length: count }, () => image);
      const response = await fetch(`${url}/v1/classify`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ images, class: "realtime", tenant }),
      });
      assert.equal(response.status, 200, await response.clone().text());
      const { results } = (await response.json()) as ClassifyResponse;
      for (const result of results) assert.ok("labels" in result, JSON.stringify(result));
      served.push(tenant);
    };
    const seen = async (): Promise<{ readonly inFlight: number; readonly all: number }> => {
      const { pipelines, queues } = await getStatus(url);
      const inFlight = pipelines.reduce((sum, { items }) => sum + items.inFlight, 0);
      return { inFlight, all: queues.reduce((sum, { items }) => sum + items, inFlight) };
    };
    const [pid = 0] = pidsOf(await getStatus(url));
    process.kill(pid, "SIGSTOP");
    let both: Promise<unknown>;
    try {
      const robot = ask("robot", 96);
      await until(async () => (await seen()).all === 96);
      const { inFlight } = await seen();
      assert.equal(
        inFlight,
        8,
        "two of the model's largest runs; the rest is still to be chosen from",
      );
      both = Promise.all([robot, ask("person", 1)]);
      await until(async () => (await seen()).all === 97);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await both;
    assert.deepEqual(served, ["person", "robot"]);
  },
);
