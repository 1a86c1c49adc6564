/** A classifier of pictures whose answer anybody can reckon: the mean of each colour. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { graphBytes } from "./onnx-graph.js";

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
};

/** `settings` go into its manifest. */
export function writeColourClassifier(dir: string, settings: object = {}): void {
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "model.onnx"), graph);
  writeFileSync(join(dir, "millrace.json"), JSON.stringify({ ...manifest, ...settings }));
}
