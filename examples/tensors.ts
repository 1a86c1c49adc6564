/**
 * Named tensors in and out: any ONNX file is a model of task `infer`, as it is. Here it is the graph of the bundled
 * encoder, which a clone has; the same works with a file of yours. Run it from the root of the checkout.
 */
import { createServer } from "millrace";
import { Millrace } from "millrace-client";

const models = "models/en-zh/embeddings.onnx";
await using server = await createServer({ port: 0, logLevel: "warn", models });
await using client = new Millrace(server.url);

// What a graph takes and gives is told by the server; -1 is an axis of any length.
const [model] = (await client.models()).models;
for (const { name, datatype, shape } of model?.inputs ?? []) {
  console.log(`in   ${name} ${datatype} [${shape.join(", ")}]`);
}

// One sentence of four tokens, which are numbers of the vocabulary.
const tokens = Int32Array.of(57, 812, 12, 0);
const places = Int32Array.of(0, 1, 2, 3);
const { outputs } = await client.infer({
  model: "embeddings",
  inputs: {
    ids: { data: tokens, shape: [4] },
    positions: { data: places, shape: [4] },
    mask: { data: new Float32Array(4), shape: [1, 1, 1, 4] },
    place_tokens: { data: places, shape: [4] },
    token_places: { data: places, shape: [4] },
    sentence_shape: { data: BigInt64Array.of(1n, 4n), shape: [2] },
    layer: { data: BigInt64Array.of(6n), shape: [1] },
    pool: { data: new Float32Array(4).fill(1 / 4), shape: [1, 1, 4] },
  },
  outputs: ["pooled", "tokens"],
});
for (const [name, { datatype, shape, data }] of Object.entries(outputs)) {
  console.log(`out  ${name} ${datatype} [${shape.join(", ")}] ${data.slice(0, 4).join(", ")} …`);
}
