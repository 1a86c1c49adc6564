/** int8 weights that every processor multiplies alike, and what is said where they are older. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { GraphBuilder } from "#src/convert/onnx/graph-builder.js";
import { elementType, type TensorMessage } from "#src/convert/onnx/schema.js";
import { addInt8Product, transpose } from "#src/convert/products.js";
import { quantizeWeights } from "#src/convert/quantize.js";
import { WeightsFile } from "#src/convert/weights-file.js";
import {
  needsWideSums,
  neighbourSumExact,
  processorWarning,
  readProcessor,
} from "#src/models/quantization.js";
import { f32, floatsOf, Session } from "#src/runtime/session.js";
import { Random } from "../sim/random.js";
import { bundledModelDir } from "../support/engine.js";
import { decodeModel } from "../support/onnx.js";
import { readGeneration } from "../support/read-generation.js";
import { TempDir } from "../support/temp-dir.js";

const activationMax = 255;
const int16Max = 32_767;

/** The largest 16-bit sum that neighbours along the rows of `[out, in]` can be asked for, whatever the activations. */
function worstSum(values: Int8Array, inputWidth: number): number {
  let worst = 0;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] ?? 0;
    const next = (index + 1) % inputWidth === 0 ? 0 : (values[index + 1] ?? 0);
    // Of two signs, the larger alone is the worst.
    const sum = value * next > 0 ? value + next : Math.max(Math.abs(value), Math.abs(next));
    worst = Math.max(worst, activationMax * Math.abs(sum));
  }
  return worst;
}

test("defect 16: no weight of the bundled model can overflow a 16-bit sum", async () => {
  const { files, layerPrecision, quantization } = await readGeneration(bundledModelDir);
  assert.deepEqual(quantization, { weightBits: 8, neighbourSumMax: neighbourSumExact });
  const bytes = await readFile(join(bundledModelDir, files.weights));
  const products: string[] = [];
  for (const name of [files.encoder, files.decoder]) {
    const { graph } = decodeModel(await readFile(join(bundledModelDir, name)));
    for (const tensor of graph.initializer) {
      if (tensor.dataType !== elementType.i8) continue;
      const [inputs = 0, outputs = 0] = tensor.dims;
      const rows = transpose(externalData(tensor, bytes), outputs);
      const worst = worstSum(rows, inputs);
      assert.ok(worst <= int16Max, `${tensor.name}: ${worst}`);
      products.push(tensor.name.replace(/\.weight$/, ""));
    }
  }
  assert.deepEqual(products.toSorted(), Object.keys(layerPrecision).toSorted());
});

function externalData({ externalData: places = [] }: TensorMessage, bytes: Buffer): Int8Array {
  const [offset = 0, length = 0] = ["offset", "length"].map((key) =>
    Number(places.find((place) => place.key === key)?.value),
  );
  return new Int8Array(bytes.buffer, bytes.byteOffset + offset, length);
}

test("defect 16: weights of every shape stay within the bound, and lose little", () => {
  const random = new Random(16);
  const makers: ((index: number) => number)[] = [
    () => 1,
    () => -1,
    () => random.next() - 0.5,
    (index) => (index % 2 === 0 ? 1 : -1),
    (index) => (index % 7 === 0 ? 3 : 0.01 * random.next()),
    (index) => (index % 5 < 2 ? -2 - random.next() : random.next()),
    () => 0,
    () => 3e38 * (random.next() - 0.5),
    () => 1e-44,
  ];
  for (const width of [1, 2, 3, 16, 257]) {
    for (const make of makers) {
      const rows = Float32Array.from({ length: 4 * width }, (_, index) => make(index));
      const { values, scales } = quantizeWeights(rows, width);
      const worst = worstSum(values, width);
      assert.ok(worst <= int16Max, `${worst}`);
      for (const [index, value] of rows.entries()) {
        const scale = scales[Math.floor(index / width)] ?? Number.NaN;
        const error = Math.abs((values[index] ?? 0) * scale - value);
        assert.ok(error <= 1.6 * scale, `${value} became ${values[index]} × ${scale}`);
      }
    }
  }
});

test("a weight beside small ones uses all eight bits", () => {
  const { values } = quantizeWeights(Float32Array.of(1, 0.001, -1, 0.001), 4);
  assert.deepEqual([...values], [127, 0, -127, 0]);
});

for (const rows of [1, 2, 5, 64]) {
  test(`defect 16: ONNX Runtime's worst product is exact here, ${rows} rows`, async () => {
    const [inputs, outputs] = [64, 32];
    const real = new Float32Array(inputs * outputs).fill(1);
    const { values, scales } = quantizeWeights(real, inputs);
    await using dir = await TempDir.make();
    await writeProduct(dir, { values, scales, inputs, outputs });
    const session = await Session.open(dir.file("product.onnx"), { threads: 1, spin: false });
    const x = new Float32Array(rows * inputs).fill(activationMax);
    const y = floatsOf(await session.run({ x: f32(x, [rows, inputs]) }), "y");
    session.release();
    const exact = activationMax * inputs * (values[0] ?? 0) * (scales[0] ?? 0);
    for (const value of y) assert.ok(Math.abs(value / exact - 1) < 1e-6, `${value}, not ${exact}`);
  });
}

test("defect 16: older weights are exact here as well, in the wide way", async () => {
  const [inputs, outputs, rows] = [64, 32, 3];
  const values = new Int8Array(inputs * outputs).fill(127);
  const scales = new Float32Array(outputs).fill(1);
  await using dir = await TempDir.make();
  await writeProduct(dir, { values, scales, inputs, outputs });
  const options = { threads: 1, spin: false, wideSums: true };
  const session = await Session.open(dir.file("product.onnx"), options);
  const x = new Float32Array(rows * inputs).fill(activationMax);
  const y = floatsOf(await session.run({ x: f32(x, [rows, inputs]) }), "y");
  session.release();
  assert.deepEqual([...new Set(y)], [activationMax * 127 * inputs]);
});

async function writeProduct(
  dir: TempDir,
  product: {
    readonly values: Int8Array;
    readonly scales: Float32Array;
    readonly inputs: number;
    readonly outputs: number;
  },
): Promise<void> {
  const { values, scales, inputs, outputs } = product;
  await using file = await WeightsFile.create(dir.file("weights.bin"), "weights.bin");
  const graph = new GraphBuilder("product");
  const x = graph.input("x", "f32", ["R", inputs]);
  const weight = await file.write(
    { name: "w", type: "i8", shape: [inputs, outputs] },
    transpose(values, inputs),
  );
  const stored = {
    weight,
    scales: await file.write({ name: "s", type: "f32", shape: [outputs] }, scales),
    bias: graph.constant("b", "f32", { shape: [outputs], data: new Float32Array(outputs) }),
  };
  const activation = { scale: 1, zeroPoint: 0 };
  const y = addInt8Product(graph, stored, { name: "p", x, activation });
  graph.output("y", y, { type: "f32", shape: ["R", outputs] });
  await file.finish();
  await writeFile(dir.file("product.onnx"), graph.encode());
}

test("defect 16: which processors have only 16-bit sums", () => {
  const cpuInfo = (flags: string) => `fpu sse4_1 ${flags}`;
  const sums = (architecture: string, text: string | null) =>
    readProcessor(architecture, text).sixteenBitSums;
  assert.equal(sums("x64", cpuInfo("avx2")), true);
  assert.equal(sums("x64", cpuInfo("avx2 avx512f")), true);
  assert.equal(sums("x64", cpuInfo("avx2 avx512f avx512_vnni")), false);
  assert.equal(sums("x64", cpuInfo("avx2 avx_vnni")), false);
  assert.equal(sums("arm64", null), false);
  assert.equal(sums("x64", null), null, "another system does not say");
});

test("defect 16: older int8 weights are named where they are slower, and nowhere else", () => {
  const older = { quantization: { weightBits: 8, neighbourSumMax: 254 } } as const;
  const newer = { quantization: { weightBits: 8, neighbourSumMax: 128 } } as const;
  assert.match(processorWarning(older, { sixteenBitSums: true }) ?? "", /no VNNI/);
  for (const sixteenBitSums of [false, null]) {
    assert.equal(processorWarning(older, { sixteenBitSums }), null);
  }
  assert.equal(processorWarning(newer, { sixteenBitSums: true }), null);
  assert.equal(processorWarning({ quantization: null }, { sixteenBitSums: true }), null);
  assert.equal(needsWideSums(older.quantization), true);
});
