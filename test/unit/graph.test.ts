/** What a converted model's graphs are made of, node by node. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  elementType,
  type ModelMessage,
  type NodeMessage,
  type TensorMessage,
} from "#src/convert/onnx/schema.js";
import { convertQuietly } from "../support/converted.js";
import { bundledModelDir } from "../support/engine.js";
import { writeMarianFolder } from "../support/marian-folder.js";
import { decodeModel } from "../support/onnx.js";
import { readGeneration } from "../support/read-generation.js";
import { TempDir } from "../support/temp-dir.js";

interface Graphs {
  readonly encoder: ModelMessage["graph"];
  readonly decoder: ModelMessage["graph"];
  readonly products: Readonly<Record<string, string>>;
}

async function readGraphs(dir: string): Promise<Graphs> {
  const read = async (name: string) => decodeModel(await readFile(join(dir, name))).graph;
  const { files, layerPrecision } = await readGeneration(dir);
  return {
    encoder: await read(files.encoder),
    decoder: await read(files.decoder),
    products: layerPrecision,
  };
}

let temp: TempDir;
const graphs = new Map<string, Graphs>();

before(async () => {
  temp = await TempDir.make();
  const modelDir = await writeMarianFolder(temp.file("made"));
  await convertQuietly({ modelDir, outDir: temp.file("f32") });
  graphs.set("f32, made", await readGraphs(temp.file("f32")));
  await convertQuietly({ modelDir, outDir: temp.file("unfused"), attention: "unfused" });
  graphs.set("f32, made, unfused", await readGraphs(temp.file("unfused")));
  graphs.set("int8, bundled", await readGraphs(bundledModelDir));
});

after(() => temp[Symbol.asyncDispose]());

function graphsOf(name: string): Graphs {
  const found = graphs.get(name);
  assert.ok(found !== undefined);
  return found;
}

const isCache = (name: string) => /^(past|cross)_[kv]\.\d+$/.test(name);
const presents = ["present_k.0", "present_v.0", "present_k.1", "present_v.1"];

for (const name of ["f32, made", "f32, made, unfused", "int8, bundled"]) {
  const [ofPast, ofInput] = name.endsWith("unfused")
    ? ["ScatterND", "Unsqueeze"]
    : ["GroupQueryAttention", "MultiHeadAttention"];
  describe(name, () => {
    test("a cache is read by one node, and by none that copies it", () => {
      const { decoder } = graphsOf(name);
      const caches = decoder.input.map((input) => input.name).filter(isCache);
      assert.equal(caches.length, 8, "two layers have four caches each");
      for (const cache of caches) {
        const readers = decoder.node.filter((node) => node.input.includes(cache));
        assert.deepEqual(
          readers.map(({ opType }) => opType),
          // What gives the cross cache another shape does not copy it.
          [cache.startsWith("past") ? ofPast : ofInput],
          cache,
        );
      }
    });

    test("a past leaves with a token more by the node that reads it, and goes to one product at most", () => {
      const { decoder } = graphsOf(name);
      for (const present of presents) {
        const producer = producerOf(decoder, present);
        assert.equal(producer?.opType, ofPast);
        // In the same place, so that the caller may give one memory for both.
        assert.ok(producer?.input.includes(present.replace("present", "past")));
        const readers = decoder.node.filter(({ input }) => input.includes(present));
        const product = present.startsWith("present_k") ? "FusedMatMul" : "MatMul";
        assert.deepEqual(
          readers.map(({ opType }) => opType),
          ofPast === "ScatterND" ? [product] : [],
        );
      }
    });

    test("nothing is split and nothing transposed on the way to attention", () => {
      const { encoder, decoder } = graphsOf(name);
      for (const { opType } of [...encoder.node, ...decoder.node]) {
        assert.doesNotMatch(opType, /^(Split|Transpose|Concat)/);
      }
    });

    test("what leaves the decoder is small but for the presents: no dimension is the vocabulary or a cache's width", () => {
      const { decoder } = graphsOf(name);
      assert.deepEqual(
        decoder.output.map((output) => output.name),
        [...presents, "top_ids", "top_scores", "bad_scores"],
      );
      for (const output of decoder.output) {
        if (presents.includes(output.name)) continue;
        const { dim } = output.type.tensorType.shape;
        assert.equal(dim.length, 2, output.name);
        for (const each of dim) {
          // Protobuf's defaults: a dimension with a name has the value 0, one with a value no name.
          const named = "dimParam" in each ? each.dimParam : "";
          // Those that vary are rows, and candidates of a row.
          assert.ok(["", "R", "K"].includes(named), `${output.name} has the dimension ${named}`);
          const fixed = "dimValue" in each ? each.dimValue : 0;
          assert.ok(fixed < 1_200, `${output.name} is ${fixed} wide`);
        }
      }
    });
  });
}

function producerOf(graph: Graphs["decoder"], value: string | undefined): NodeMessage | undefined {
  return graph.node.find((node) => node.output.includes(value ?? "-"));
}

function initializerOf(graph: Graphs["decoder"], name: string | undefined): TensorMessage {
  const found = graph.initializer.find((tensor) => tensor.name === name);
  assert.ok(found !== undefined, `${name} is not constant`);
  return found;
}

test("every weight product of an int8 model is static: constant scale, signed weights, a scale a channel", () => {
  const { encoder, decoder, products } = graphsOf("int8, bundled");
  assert.ok(Object.values(products).every((precision) => precision === "int8"));
  const names: string[] = [];
  for (const graph of [encoder, decoder]) {
    const outside = new Set(graph.initializer.map((tensor) => tensor.name));
    for (const node of graph.node) {
      // Attention's products multiply activations only.
      if (["MatMul", "FusedMatMul", "Gemm"].includes(node.opType)) {
        assert.ok(
          !node.input.some((input) => outside.has(input)),
          `${node.name} has float weights`,
        );
      }
      assert.doesNotMatch(node.opType, /^Dynamic/);
      if (node.opType !== "MatMulIntegerToFloat") continue;
      names.push(checkInt8Product(graph, node));
    }
  }
  assert.deepEqual(names.toSorted(), Object.keys(products).toSorted());
});

/** Returns the product's name. */
function checkInt8Product(graph: Graphs["decoder"], node: NodeMessage): string {
  const [activation, weight, activationScale, weightScales, activationZero, weightZero] =
    node.input;
  const quantize = producerOf(graph, activation);
  assert.equal(quantize?.opType, "QuantizeLinear");
  assert.deepEqual(quantize?.input.slice(1), [activationScale, activationZero]);
  const scale = initializerOf(graph, activationScale);
  assert.deepEqual([scale.dims, scale.dataType], [[], elementType.f32]);
  const zero = initializerOf(graph, activationZero);
  assert.deepEqual([zero.dims, zero.dataType], [[], elementType.u8]);
  const weights = initializerOf(graph, weight);
  assert.equal(weights.dataType, elementType.i8);
  const [, outputs] = weights.dims;
  assert.deepEqual(initializerOf(graph, weightScales).dims, [outputs]);
  assert.equal(weightZero, "", "weights are symmetric");
  return weight?.replace(/\.weight$/, "") ?? "";
}

test("float32 has no quantised node", () => {
  const { encoder, decoder, products } = graphsOf("f32, made");
  assert.ok(Object.values(products).every((precision) => precision === "f32"));
  for (const node of [...encoder.node, ...decoder.node]) {
    assert.doesNotMatch(node.opType, /Integer|Quantize/);
  }
});
