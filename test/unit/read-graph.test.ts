/** What is read of an ONNX file, and of one that lies. */
import assert from "node:assert/strict";
import { open, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { type GraphFacts, readGraph, readWeightPlace } from "#src/models/onnx/read-graph.js";
import { graphBytes } from "../support/onnx-graph.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const bytes = graphBytes({
  nodes: [{ opType: "Add", input: ["x", "w"], output: ["y"] }],
  inputs: [
    { name: "x", type: "FP32", shape: ["batch", 3, ""] },
    // Graphs of former days list their weights as inputs too.
    { name: "w", type: "FP32", shape: [3] },
    { name: "scalar", type: "INT64", shape: [] },
  ],
  outputs: [{ name: "y", type: "BYTES", shape: ["batch"] }],
  initializers: [
    { dims: [3], dataType: 1, name: "w", rawData: new Uint8Array(12) },
    {
      dims: [1],
      dataType: 1,
      name: "v",
      dataLocation: 1,
      externalData: [
        { key: "location", value: "weights.bin" },
        { key: "offset", value: "8" },
      ],
    },
  ],
  domains: ["com.microsoft"],
});

async function read(content: Uint8Array): Promise<GraphFacts> {
  await using dir = await TempDir.make();
  await writeFile(dir.file("g.onnx"), content);
  return await readGraph(dir.file("g.onnx"));
}

const refusal = { code: "model_folder_invalid", message: /g\.onnx/ };

test("inputs without weights, outputs, sizes with and without names, opsets, files of weights", async () => {
  assert.deepEqual(await read(bytes), {
    name: "made",
    inputs: [
      { name: "x", elementType: 1, shape: ["batch", 3, ""] },
      { name: "scalar", elementType: 7, shape: [] },
    ],
    outputs: [{ name: "y", elementType: 8, shape: ["batch"] }],
    dataFiles: ["weights.bin"],
    opsets: [
      { domain: "", version: 17 },
      { domain: "com.microsoft", version: 1 },
    ],
  });
});

test("where a weight lies in a file beside the graph, and that another has none", async () => {
  await using dir = await TempDir.make();
  await writeFile(dir.file("g.onnx"), bytes);
  const place = async (name: string) => await readWeightPlace(dir.file("g.onnx"), name);
  assert.deepEqual(await place("v"), { file: "weights.bin", byteOffset: 8, byteLength: 0 });
  for (const name of ["w", "nobody"]) assert.equal(await place(name), null);
});

test("the shared models say what ONNX Runtime says of them", {
  skip: skipWithout("models"),
}, async () => {
  const magika = await readGraph(sharedPath("models", "magika", "model.onnx"));
  assert.deepEqual(magika.inputs, [{ name: "bytes", elementType: 6, shape: ["unk__214", 2048] }]);
  assert.deepEqual(magika.outputs, [
    { name: "target_label", elementType: 1, shape: ["unk__215", 214] },
  ]);
  const squeeze = await readGraph(sharedPath("models", "squeezenet1.0", "model.onnx"));
  assert.deepEqual(squeeze.inputs, [{ name: "data", elementType: 1, shape: ["N", 3, 227, 227] }]);
});

test("weights are passed over: of 8 GiB of them nothing is read", async () => {
  await using dir = await TempDir.make();
  const rawBytes = 8 * 2 ** 30;
  const input = Buffer.from("5a050a01781200", "hex");
  const tensor = Buffer.concat([Buffer.from([0x42, 1, 0x77, 0x4a]), varint(rawBytes)]);
  const initializer = Buffer.concat([
    Buffer.from([0x2a]),
    varint(tensor.length + rawBytes),
    tensor,
  ]);
  const graphLength = initializer.length + rawBytes + input.length;
  const head = Buffer.concat([Buffer.from([0x3a]), varint(graphLength), initializer]);
  await using file = await open(dir.file("g.onnx"), "w");
  await file.write(head, 0, head.length, 0);
  await file.write(input, 0, input.length, head.length + rawBytes);
  const { inputs } = await readGraph(dir.file("g.onnx"));
  assert.deepEqual(inputs, [{ name: "x", elementType: null, shape: null }]);
});

test("a file that is cut anywhere is refused by name, or is whole already", async () => {
  await using dir = await TempDir.make();
  const path = dir.file("g.onnx");
  let whole = 0;
  for (let length = 0; length < bytes.length; length += 1) {
    await writeFile(path, bytes.subarray(0, length));
    try {
      await readGraph(path);
      whole += 1;
    } catch (error) {
      assert.ok(error instanceof Error && "code" in error, String(error));
      assert.equal(error.code, refusal.code);
      assert.match(error.message, /g\.onnx is no ONNX graph that can be read/);
    }
  }
  // Between the graph and the opsets, and between these.
  assert.ok(whole <= 2, `${whole} cuts passed`);
});

const lies: readonly [what: string, content: readonly number[], says: RegExp][] = [
  ["nothing", [], /no graph/],
  ["text", [...Buffer.from("{}")], /unknown kind/],
  ["a length over the end", [0x3a, 0x7f, 0x12], /truncated/],
  ["a length of 2^63", [0x3a, ...Array<number>(9).fill(0xff), 0x7f], /truncated/],
  ["a number without an end", [0x08, ...Array<number>(12).fill(0xff)], /more than ten bytes/],
  ["two graphs", [0x3a, 0, 0x3a, 0], /two graphs/],
  ["a field that is numbered 0", [0x02, 0], /numbered 0/],
  [
    "a name that is longer than any",
    [0x3a, 0x83, 0x10, 0x12, 0x80, 0x10, ...Array<number>(2048).fill(0x61)],
    /2048 bytes/,
  ],
  ["a name that is no UTF-8", [0x3a, 3, 0x12, 1, 0xff], /not UTF-8/],
  [
    "a field inside that ends behind the graph",
    [0x3a, 2, 0x12, 5, 0x61, 0x61, 0x61, 0x61, 0x61],
    /truncated/,
  ],
];

for (const [what, content, says] of lies) {
  test(`${what} is refused`, async () => {
    await assert.rejects(read(Uint8Array.from(content)), { code: refusal.code, message: says });
  });
}

test("a file that is not there, and a folder, are named", async () => {
  await using dir = await TempDir.make();
  await assert.rejects(readGraph(dir.file("g.onnx")), {
    ...refusal,
    message: /g\.onnx is missing/,
  });
  await assert.rejects(readGraph(dir.path), { code: refusal.code, message: /cannot be read/ });
});

test("attack: whatever bytes change, it is read or refused", async () => {
  await using dir = await TempDir.make();
  const path = dir.file("g.onnx");
  for (let seed = 1; seed <= 200; seed += 1) {
    const content = Uint8Array.from(bytes);
    for (let n = 0; n < 1 + (seed % 4); n += 1) {
      const at = Math.imul(seed + 31 * n, 2_654_435_761) >>> 0;
      content[at % content.length] = (at >>> 13) & 0xff;
    }
    await writeFile(path, content);
    await readGraph(path).catch((error: unknown) => {
      assert.ok(error instanceof Error && "code" in error, `seed ${seed}: ${String(error)}`);
      assert.equal(error.code, refusal.code, `seed ${seed}`);
    });
  }
});

function varint(value: number): Buffer {
  const list: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) list.push((rest % 128) + 128);
  return Buffer.from([...list, rest]);
}
