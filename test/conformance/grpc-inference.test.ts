/** The Open Inference Protocol over gRPC, in front of real pipelines, with gRPC's own client. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { type ServiceError, status } from "@grpc/grpc-js";
import { createServer, type MillraceServer } from "#src/index.js";
import { GrpcClient } from "../support/grpc-client.js";
import { graphBytes, onnxTypes } from "../support/onnx-graph.js";
import { assertIdle, getReady, getStatus, until } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

let dir: TempDir;
let server: MillraceServer;
let client: GrpcClient;
let health: GrpcClient;

const types = Object.keys(onnxTypes).filter((type) => type !== "BF16") as Exclude<
  keyof typeof onnxTypes,
  "BF16"
>[];
/** Each input is an output. */
const everyType = graphBytes({
  nodes: types.map((type) => ({
    opType: "Identity",
    input: [`in ${type}`],
    output: [`out ${type}`],
  })),
  inputs: types.map((type) => ({ name: `in ${type}`, type, shape: ["n", 2] })),
  outputs: types.map((type) => ({ name: `out ${type}`, type, shape: ["n", 2] })),
});
/** A look-up among four numbers: an index that is none of theirs breaks the run. */
const lookUp = graphBytes({
  nodes: [{ opType: "Gather", input: ["table", "at"], output: ["found"] }],
  inputs: [{ name: "at", type: "INT64", shape: ["n"] }],
  outputs: [{ name: "found", type: "FP32", shape: ["n"] }],
  initializers: [
    {
      dims: [4],
      dataType: 1,
      name: "table",
      rawData: new Uint8Array(new Float32Array([0, 1, 4, 9]).buffer),
    },
  ],
});

before(async () => {
  dir = await TempDir.make();
  await writeFile(dir.file("types.onnx"), everyType);
  await writeFile(dir.file("look-up.onnx"), lookUp);
  server = await createServer({
    models: dir.path,
    port: 0,
    grpcPort: 0,
    pipelines: 1,
    threads: 1,
    logLevel: "silent",
    grpcMessageBytesMax: 1024 * 1024,
  });
  await until(async () => (await getReady(server.url)).body.models.every(({ ready }) => ready));
  const [url = ""] = server.otherUrls;
  client = new GrpcClient(url);
  health = new GrpcClient(url, { service: "grpc.health.v1.Health" });
});

after(async () => {
  client[Symbol.dispose]();
  health[Symbol.dispose]();
  await server.close();
  await dir[Symbol.asyncDispose]();
});

const int64 = (values: readonly (number | bigint)[]): Buffer =>
  Buffer.from(BigInt64Array.from(values, BigInt).buffer);
const lookUpOf = (at: readonly number[], id = ""): Record<string, unknown> => ({
  model_name: "look-up",
  id,
  inputs: [{ name: "at", datatype: "INT64", shape: [at.length] }],
  raw_input_contents: [int64(at)],
});

async function refused(work: Promise<unknown>): Promise<ServiceError> {
  try {
    await work;
  } catch (error) {
    return error as ServiceError;
  }
  return assert.fail("it was answered");
}

describe("what is served", () => {
  test("the server, its readiness and its models", async () => {
    assert.deepEqual((await client.call("ServerLive", {})).reply, { live: true });
    assert.deepEqual((await client.call("ServerReady", {})).reply, { ready: true });
    const { reply, headers } = await client.call(
      "ServerMetadata",
      {},
      { metadata: { "x-request-id": "me" } },
    );
    assert.equal(reply["name"], "millrace");
    assert.deepEqual(headers.get("x-request-id"), ["me"]);
    assert.match(String(headers.get("x-millrace-deployment")[0]), /^name=.*config=/);
    for (const version of ["", "1"]) {
      const asked = { name: "look-up", version };
      assert.deepEqual((await client.call("ModelReady", asked)).reply, { ready: true });
      assert.deepEqual((await client.call("ModelMetadata", asked)).reply, {
        name: "look-up",
        versions: ["1"],
        platform: "onnx_onnxruntime",
        inputs: [{ name: "at", datatype: "INT64", shape: ["-1"] }],
        outputs: [{ name: "found", datatype: "FP32", shape: ["-1"] }],
      });
    }
  });

  test("raw in, raw out", async () => {
    const { reply } = await client.call("ModelInfer", lookUpOf([3, 1], "mine"));
    assert.equal(reply["id"], "mine");
    assert.equal(reply["model_name"], "look-up");
    assert.equal(reply["model_version"], "1");
    const [raw] = reply["raw_output_contents"] as Buffer[];
    assert.deepEqual([...new Float32Array(Uint8Array.from(raw ?? []).buffer)], [9, 1]);
    assertIdle(await getStatus(server.url));
  });

  test("what is too large is refused by its length, either way", async () => {
    const large = Array.from({ length: 200_000 }, () => 1);
    const tooLong = await refused(client.call("ModelInfer", lookUpOf(large)));
    assert.equal(tooLong.code, status.RESOURCE_EXHAUSTED);
    assert.match(tooLong.details, /larger than max/);
    // It says that there is more to come than may be.
    const lying = await refused(
      client.call("ModelInfer", { ...lookUpOf([1]), id: "x".repeat(2_000_000) }),
    );
    assert.equal(lying.code, status.RESOURCE_EXHAUSTED);
    // Small where it only asks.
    const question = await refused(client.call("ModelReady", { name: "x".repeat(100_000) }));
    assert.equal(question.code, status.RESOURCE_EXHAUSTED);
    assert.deepEqual(question.metadata.get("millrace-code"), ["body_too_large"]);
    assertIdle(await getStatus(server.url));
  });
});
