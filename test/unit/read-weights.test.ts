/** What was read of a model's weights, once a session has its own copy of them. */
import assert from "node:assert/strict";
import { truncate, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { NativeSession } from "#src/runtime/native/native-session.js";
import { Session } from "#src/runtime/session.js";
import { graphBytes } from "../support/onnx-graph.js";
import { TempDir } from "../support/temp-dir.js";

const floats = 2 ** 22;
const options = { threads: 1, spin: false, data: ["plus.bin"] };
let dir: TempDir;

// As in a pipeline, whose collector has no threads of its own: what it gives back is counted at once.
setFlagsFromString("--no-concurrent-array-buffer-sweeping");

before(async () => {
  dir = await TempDir.make();
  const plus = {
    name: "plus",
    dims: [floats],
    dataType: 1,
    dataLocation: 1,
    externalData: [{ key: "location", value: "plus.bin" }],
  };
  const row = { type: "FP32", shape: [floats] } as const;
  const graph = graphBytes({
    nodes: [{ opType: "Add", input: ["x", "plus"], output: ["sum"] }],
    inputs: [{ name: "x", ...row }],
    outputs: [{ name: "sum", ...row }],
    initializers: [plus],
  });
  await writeFile(dir.file("plus.onnx"), graph);
  // Made without an array, which would be collected meanwhile and counted against what is kept.
  await writeFile(dir.file("plus.bin"), "");
  await truncate(dir.file("plus.bin"), 4 * floats);
});

after(() => dir[Symbol.asyncDispose]());

const openers = {
  "one on memory that stays": (path: string) => NativeSession.open(path, options),
  "one whose runs make their outputs": (path: string) => Session.open(path, options),
};

for (const [name, open] of Object.entries(openers)) {
  test(`defect: weights that were read are gone once the session is open, by ${name}`, async () => {
    const before = process.memoryUsage().arrayBuffers;
    const session = await open(dir.file("plus.onnx"));
    const kept = process.memoryUsage().arrayBuffers - before;
    assert.ok(kept < floats, `${kept} of ${4 * floats} bytes are still there`);
    session.release();
  });
}
