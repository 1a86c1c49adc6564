/** The Open Inference Protocol over gRPC, in front of real pipelines, with gRPC's own client. */
import assert from "node:assert/strict";
import { readFile, rename, writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { type ServiceError, status } from "@grpc/grpc-js";
import { inferenceProto } from "#src/front/inference-v2/inference-proto.js";
import { createServer, type MillraceServer } from "#src/index.js";
import { GrpcClient } from "../support/grpc-client.js";
import { encoderWidth, writeMadeEncoder } from "../support/made-encoder.js";
import { assertIdle, getReady, getStatus, until } from "../support/real-server.js";
import { everyType, lookUp, types } from "../support/small-graphs.js";
import { TempDir } from "../support/temp-dir.js";

let dir: TempDir;
let server: MillraceServer;
let client: GrpcClient;
let health: GrpcClient;

before(async () => {
  dir = await TempDir.make();
  await writeFile(dir.file("types.onnx"), everyType);
  await writeFile(dir.file("look-up.onnx"), lookUp);
  await writeMadeEncoder(dir.file("embed"), { inputTokensMax: 64 });
  await writeMadeEncoder(dir.file("labels"), { labels: ["x", "y", "z"] });
  const rank = { labels: ["LABEL_0"], scores: "sigmoid", task: "rerank" } as const;
  await writeMadeEncoder(dir.file("rank"), rank);
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

describe("tensors of every type", () => {
  const [low, high] = ["-9223372036854775808", "9007199254740993"];
  const most = "18446744073709551615";
  /** As the client sends them typed, and the same raw; null: there is no such list. */
  const values: Readonly<
    Record<(typeof types)[number], readonly [typed: object | null, raw: ArrayBufferView]>
  > = {
    FP32: [{ fp32_contents: [0.5, -1] }, Float32Array.of(0.5, -1)],
    FP64: [{ fp64_contents: [0.1, 1e300] }, Float64Array.of(0.1, 1e300)],
    UINT8: [{ uint_contents: [0, 255] }, Uint8Array.of(0, 255)],
    UINT16: [{ uint_contents: [0, 65_535] }, Uint16Array.of(0, 65_535)],
    UINT32: [{ uint_contents: [0, 4_294_967_295] }, Uint32Array.of(0, 4_294_967_295)],
    UINT64: [{ uint64_contents: [most, "1"] }, BigUint64Array.of(BigInt(most), 1n)],
    INT8: [{ int_contents: [-128, 127] }, Int8Array.of(-128, 127)],
    INT16: [{ int_contents: [-32_768, 1] }, Int16Array.of(-32_768, 1)],
    INT32: [{ int_contents: [-2_147_483_648, 7] }, Int32Array.of(-2_147_483_648, 7)],
    INT64: [{ int64_contents: [low, high] }, BigInt64Array.of(BigInt(low), BigInt(high))],
    BOOL: [{ bool_contents: [true, false] }, Uint8Array.of(1, 0)],
    FP16: [null, Uint16Array.of(0x3800, 0xc000)],
    BYTES: [
      { bytes_contents: [Buffer.from(""), Buffer.from("é, 中")] },
      Buffer.from("\x00\x00\x00\x00\x07\x00\x00\x00\xc3\xa9, \xe4\xb8\xad", "latin1"),
    ],
  };
  const rawOf = (type: (typeof types)[number]): Buffer => {
    const [, { buffer, byteOffset, byteLength }] = values[type];
    return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
  };
  const inputOf = (type: string): object => ({ name: `in ${type}`, datatype: type, shape: [1, 2] });

  test("raw come back raw, bit by bit", async () => {
    const raw = types.map(rawOf);
    const inputs = types.map(inputOf);
    const asked = { model_name: "types", inputs, raw_input_contents: raw };
    const { reply } = await client.call("ModelInfer", asked);
    assert.deepEqual(reply["raw_output_contents"], raw);
    const outputs = reply["outputs"] as { name: string; datatype: string; shape: string[] }[];
    assert.deepEqual(
      outputs.map(({ name, datatype, shape }) => [name, datatype, shape]),
      types.map((type) => [`out ${type}`, type, ["1", "2"]]),
    );
  });

  test("typed come back typed, to the last digit", async () => {
    const typed = types.filter((type) => values[type][0] !== null);
    // The one that has no list is a model's input too: the others are asked for without it.
    const inputs = types.map((type) => ({ ...inputOf(type), contents: values[type][0] ?? {} }));
    const whole = await refused(client.call("ModelInfer", { model_name: "types", inputs }));
    assert.equal(whole.code, status.INVALID_ARGUMENT);
    assert.match(whole.details, /tensor "in FP16": FP16 has no contents/);
    for (const type of typed) {
      const raw = types.map(rawOf);
      const outputs = [{ name: `out ${type}`, parameters: {} }];
      const parameters = { binary_data_output: { bool_param: false } };
      const asked = { model_name: "types", inputs: types.map(inputOf), outputs, parameters };
      const { reply } = await client.call("ModelInfer", { ...asked, raw_input_contents: raw });
      const [output] = reply["outputs"] as { contents: Record<string, unknown> }[];
      const [list = "", wanted] = Object.entries(values[type][0] ?? {})[0] ?? [];
      assert.deepEqual(output?.contents[list], wanted, type);
    }
  });

  test("typed are read as they are written, packed or one by one", async () => {
    const at = { name: "at", datatype: "INT64", shape: [3] };
    const packed = { ...at, contents: { int64_contents: ["3", "0", "2"] } };
    const { reply } = await client.call("ModelInfer", { model_name: "look-up", inputs: [packed] });
    const [output] = reply["outputs"] as { contents: { fp32_contents: number[] } }[];
    assert.deepEqual(output?.contents.fp32_contents, [9, 0, 4]);
    // The same by hand, each element by itself: field 3 of the contents, as a varint.
    const contents = Buffer.from([0x18, 3, 0x18, 0, 0x18, 2]);
    const text = (field: number, bytes: Buffer | string): Buffer => {
      const own = Buffer.from(bytes as string);
      return Buffer.concat([Buffer.from([(field << 3) | 2, own.length]), own]);
    };
    const parts = [text(1, "at"), text(2, "INT64"), Buffer.from([0x18, 3]), text(5, contents)];
    const bytes = Buffer.concat([text(1, "look-up"), text(5, Buffer.concat(parts))]);
    const again = await client.callBytes("ModelInfer", bytes);
    assert.deepEqual(again.reply["outputs"], reply["outputs"]);
  });

  const at = { name: "at", datatype: "INT64", shape: [1] };
  const wrongs: readonly [what: string, message: object, says: RegExp][] = [
    [
      "both ways at once",
      { inputs: [{ ...at, contents: { int64_contents: [1] } }], raw_input_contents: [int64([1])] },
      /one of them is too much/,
    ],
    ["neither", { inputs: [at] }, /fewer elements/],
    [
      "another list",
      { inputs: [{ ...at, contents: { fp32_contents: [1, 2] } }] },
      /whose contents are int64_contents, not fp32_contents|fewer/,
    ],
    [
      "too many elements",
      { inputs: [{ ...at, contents: { int64_contents: [1, 2] } }] },
      /more elements/,
    ],
    [
      "a shape that no message has",
      { inputs: [{ ...at, shape: [2 ** 31], contents: { int64_contents: [1] } }] },
      /axis 0 of its shape/,
    ],
    [
      "a large shape with little in it",
      { inputs: [{ ...at, shape: [2 ** 30], contents: { int64_contents: [1] } }] },
      /fewer elements/,
    ],
    [
      "raw of another length",
      { inputs: [at], raw_input_contents: [Buffer.alloc(7)] },
      /its data have 7 bytes/,
    ],
    [
      "more raw than inputs",
      { inputs: [at], raw_input_contents: [int64([1]), int64([1])] },
      /2 tensors, there are 1 inputs/,
    ],
    [
      "an output that there is not",
      { inputs: [at], outputs: [{ name: "no" }], raw_input_contents: [int64([1])] },
      /no/,
    ],
    [
      "another datatype",
      {
        inputs: [{ name: "at", datatype: "FP32", shape: [1] }],
        raw_input_contents: [Buffer.alloc(4)],
      },
      /it is FP32, the model takes INT64/,
    ],
    [
      "shared memory",
      {
        inputs: [{ ...at, parameters: { shared_memory_region: { string_param: "r" } } }],
        raw_input_contents: [int64([1])],
      },
      /extension that is not spoken/,
    ],
    ["an index that breaks the run", { inputs: [at], raw_input_contents: [int64([9])] }, /./],
  ];
  for (const [what, message, says] of wrongs) {
    test(`${what} is told`, async () => {
      const error = await refused(client.call("ModelInfer", { model_name: "look-up", ...message }));
      assert.equal(error.code, status.INVALID_ARGUMENT, error.details);
      assert.match(error.details, says);
    });
  }
});

describe("health and reflection", () => {
  test("health of the server, the service and each model", async () => {
    for (const service of ["", "inference.GRPCInferenceService", "look-up"]) {
      assert.deepEqual((await health.call("Check", { service })).reply, { status: "SERVING" });
    }
    const none = await refused(health.call("Check", { service: "none" }));
    assert.equal(none.code, status.NOT_FOUND);
  });

  test("reflection tells of every service and every message, as protoc would", async () => {
    using asked = new GrpcClient(server.otherUrls[0] ?? "", {
      service: "grpc.reflection.v1.ServerReflection",
    });
    const stream = asked.stream("ServerReflectionInfo");
    const answers: Record<string, unknown>[] = [];
    stream.on("data", (answer: Record<string, unknown>) => answers.push(answer));
    const ended = new Promise<void>((resolve, reject) => {
      stream.on("end", resolve);
      stream.on("error", reject);
    });
    stream.write({ list_services: "*" });
    stream.write({ file_containing_symbol: "inference.GRPCInferenceService" });
    stream.end();
    await ended;
    const listed = answers[0]?.["list_services_response"] as
      | { service: { name: string }[] }
      | undefined;
    const names = listed?.service.map(({ name }) => name) ?? [];
    assert.deepEqual(names.toSorted(), ["grpc.health.v1.Health", "inference.GRPCInferenceService"]);
    const found = answers[1]?.["file_descriptor_response"] as
      | { file_descriptor_proto: Buffer[] }
      | undefined;
    const text = String(found?.file_descriptor_proto[0]);
    for (const name of [
      ".inference.ModelInferRequest",
      "ParametersEntry",
      ".inference.InferParameter",
    ]) {
      assert.ok(text.includes(name), name);
    }
  });

  test("the definition that is published is the one that is served", async () => {
    assert.equal(await readFile("docs/clients/inference.proto", "utf8"), inferenceProto);
  });

  test("what is not spoken is UNIMPLEMENTED", async () => {
    const error = await refused(client.callBytes("SystemSharedMemoryStatus", Buffer.alloc(0)));
    assert.equal(error.code, status.UNIMPLEMENTED);
  });
});

describe("text models in tensors, over gRPC and over HTTP", () => {
  const rest = async (
    model: string,
    body: object,
  ): Promise<{ outputs: { name: string; shape: number[]; data: unknown[] }[]; error?: string }> => {
    const init = { method: "POST", body: JSON.stringify(body) };
    return (await (await fetch(`${server.url}/v2/models/${model}/infer`, init)).json()) as never;
  };
  const native = async (task: string, body: object): Promise<Record<string, unknown>[]> => {
    const headers = { "content-type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify(body) };
    const { results } = (await (await fetch(`${server.url}/v1/${task}`, init)).json()) as {
      results: Record<string, unknown>[];
    };
    return results;
  };
  const text = (texts: readonly string[], name = "text"): object => ({
    name,
    datatype: "BYTES",
    shape: [texts.length],
    data: texts,
  });

  test("metadata tells their tensors", async () => {
    const { reply } = await client.call("ModelMetadata", { name: "embed" });
    assert.deepEqual(reply["inputs"], [{ name: "text", datatype: "BYTES", shape: ["-1"] }]);
    assert.deepEqual(reply["outputs"], [
      { name: "embedding", datatype: "FP32", shape: ["-1", String(encoderWidth)] },
    ]);
  });

  test("vectors are the native route's, over both", async () => {
    const texts = ["hello world", "good", "a b a"];
    const results = await native("embed", { model: "embed", texts });
    const wanted = results.flatMap(({ embedding }) => embedding as number[]);
    const { outputs } = await rest("embed", { inputs: [text(texts)] });
    assert.deepEqual(outputs[0]?.shape, [3, encoderWidth]);
    assert.deepEqual(outputs[0]?.data, wanted);
    const lengths = texts.map((each) => Buffer.from([each.length, 0, 0, 0]));
    const raw = Buffer.concat(
      texts.flatMap((each, at) => [lengths[at] ?? Buffer.alloc(0), Buffer.from(each)]),
    );
    const { reply } = await client.call("ModelInfer", {
      model_name: "embed",
      inputs: [{ name: "text", datatype: "BYTES", shape: [3, 1] }],
      raw_input_contents: [raw],
    });
    const [bytes] = reply["raw_output_contents"] as Buffer[];
    const numbers = new Float32Array(Uint8Array.from(bytes ?? []).buffer);
    assert.deepEqual([...numbers], [...Float32Array.from(wanted)]);
  });

  test("settings of the task are parameters; labels and scores come best first", async () => {
    const normal = await rest("embed", {
      inputs: [text(["good"])],
      parameters: { normalize: true, dimensions: 2 },
    });
    assert.deepEqual(normal.outputs[0]?.shape, [1, 2]);
    const [result] = await native("classify", { model: "labels", texts: [["hello", "bad"]] });
    const labels = result?.["labels"] as { label: string; score: number }[];
    const pair = [text(["hello"]), text(["bad"], "text_pair")];
    const { outputs } = await rest("labels", { inputs: pair });
    assert.deepEqual(
      outputs.map(({ name, shape }) => [name, shape]),
      [
        ["label", [1, 3]],
        ["score", [1, 3]],
      ],
    );
    assert.deepEqual(
      outputs[0]?.data,
      labels.map(({ label }) => label),
    );
    const best = await rest("labels", {
      inputs: [text(["hello", "bad"])],
      parameters: { topK: 1 },
      outputs: [{ name: "label" }],
    });
    assert.deepEqual(
      best.outputs.map(({ shape }) => shape),
      [[2, 1]],
    );
    const scores = await native("rerank", {
      model: "rank",
      query: "hello",
      texts: ["good", "bad"],
    });
    const ranked = await rest("rank", {
      inputs: [text(["hello"], "query"), text(["good", "bad"])],
    });
    assert.deepEqual(
      ranked.outputs[0]?.data.map((value) => Math.fround(Number(value))),
      scores.map(({ score }) => Math.fround(Number(score))),
    );
  });

  const wrongs: readonly [model: string, body: object, says: RegExp][] = [
    ["embed", { inputs: [text(["good"], "texts")] }, /no such input.*it has: text/],
    ["embed", { inputs: [text([])] }, /no rows/],
    [
      "embed",
      { inputs: [{ name: "text", datatype: "FP32", shape: [1], data: [1] }] },
      /takes BYTES/,
    ],
    [
      "embed",
      { inputs: [text(["good"])], parameters: { pooling: "none" } },
      /vector of each token/,
    ],
    ["embed", { inputs: [text(["good", "nan"])] }, /row 1: /],
    [
      "embed",
      { inputs: [text(["good"])], outputs: [{ name: "vector" }] },
      /no output "vector".*embedding/,
    ],
    ["rank", { inputs: [text(["good"])] }, /tensor "query": it is missing/],
    ["rank", { inputs: [text(["a", "b"], "query"), text(["good"])] }, /one query/],
  ];
  for (const [model, body, says] of wrongs) {
    test(`${model} refuses ${String(says)}`, async () => {
      assert.match((await rest(model, body)).error ?? "", says);
    });
  }
});

describe("Triton's extensions, over gRPC and over HTTP", () => {
  const get = async (path: string): Promise<unknown> =>
    (await fetch(`${server.url}${path}`)).json();
  const post = async (path: string, body = ""): Promise<{ status: number; body: unknown }> => {
    const response = await fetch(`${server.url}${path}`, { method: "POST", body });
    return { status: response.status, body: await response.json() };
  };

  test("statistics count what was done, and what failed", async () => {
    interface Page {
      name: string;
      inference_count: number;
      execution_count: number;
      last_inference: number;
      inference_stats: Record<string, { count: number; ns: number }>;
      batch_stats: { batch_size: number; compute_infer: { count: number; ns: number } }[];
      memory_usage: { byte_size: number }[];
    }
    const page = async (): Promise<Page> => {
      const { model_stats: pages } = (await get("/v2/models/look-up/stats")) as {
        model_stats: Page[];
      };
      return pages[0] ?? assert.fail("no page");
    };
    const before = await page();
    await client.call("ModelInfer", lookUpOf([1, 2, 3]));
    await client.call("ModelInfer", lookUpOf([1]));
    await refused(client.call("ModelInfer", lookUpOf([99])));
    // Runs are reported within a second.
    const after = await until(async () => {
      const now = await page();
      return now.execution_count >= before.execution_count + 2 ? now : null;
    });
    const [was, is] = [before.inference_stats, after.inference_stats];
    assert.equal((is["success"]?.count ?? 0) - (was["success"]?.count ?? 0), 2);
    assert.equal((is["fail"]?.count ?? 0) - (was["fail"]?.count ?? 0), 1);
    assert.equal(is["queue"]?.count, is["success"]?.count);
    assert.ok((is["success"]?.ns ?? 0) > (was["success"]?.ns ?? 0));
    assert.equal(after.inference_count - before.inference_count, 2);
    assert.ok(after.last_inference > Date.now() - 60_000);
    const runs = after.batch_stats.reduce((sum, { compute_infer: { count } }) => sum + count, 0);
    assert.equal(runs, after.execution_count);
    assert.ok((after.memory_usage[0]?.byte_size ?? -1) >= 0);
    const { reply } = await client.call("ModelStatistics", { name: "look-up" });
    const [told] = reply["model_stats"] as { inference_count: string; inference_stats: object }[];
    assert.equal(told?.inference_count, String(after.inference_count));
    const all = (await get("/v2/models/stats")) as { model_stats: Page[] };
    assert.equal(all.model_stats.length, 5);
  });

  test("a configuration is told in Triton's words", async () => {
    const config = {
      name: "look-up",
      platform: "onnx_onnxruntime",
      backend: "onnxruntime",
      max_batch_size: 0,
      input: [{ name: "at", data_type: "TYPE_INT64", dims: [-1] }],
      output: [{ name: "found", data_type: "TYPE_FP32", dims: [-1] }],
    };
    assert.deepEqual(await get("/v2/models/look-up/config"), config);
    const { reply } = await client.call("ModelConfig", { name: "look-up", version: "1" });
    const told = reply["config"] as typeof config;
    assert.equal(told.input[0]?.data_type, "TYPE_INT64");
    assert.deepEqual(told.output[0]?.dims, ["-1"]);
  });

  test("a model is unloaded until it is loaded again, as its folder is then", async () => {
    const stateOf = async (name: string): Promise<unknown> => {
      const { body } = await post("/v2/repository/index");
      return (body as { name: string; state: string; reason: string }[]).find(
        (each) => each.name === name,
      );
    };
    assert.deepEqual(await stateOf("look-up"), {
      name: "look-up",
      version: "1",
      state: "READY",
      reason: "",
    });
    assert.equal((await post("/v2/repository/models/look-up/unload")).status, 200);
    assert.deepEqual(await stateOf("look-up"), {
      name: "look-up",
      version: "1",
      state: "UNAVAILABLE",
      reason: "unloaded",
    });
    const gone = await refused(client.call("ModelInfer", lookUpOf([1])));
    assert.equal(gone.code, status.NOT_FOUND);
    // Whoever has the folder read again does not bring it back.
    await server.reload();
    assert.equal(
      (await refused(client.call("ModelReady", { name: "look-up" }))).code,
      status.NOT_FOUND,
    );
    const ready = (await post("/v2/repository/index", '{"ready":true}')).body as { name: string }[];
    assert.ok(!ready.some(({ name }) => name === "look-up"));
    await client.call("RepositoryModelLoad", { model_name: "look-up" });
    assert.deepEqual((await client.call("ModelReady", { name: "look-up" })).reply, { ready: true });
    assert.ok((await client.call("ModelInfer", lookUpOf([1]))).reply["outputs"]);
    const { reply } = await client.call("RepositoryIndex", { ready: true });
    assert.equal((reply["models"] as object[]).length, 5);
    await client.call("RepositoryModelUnload", { model_name: "rank" });
    await rename(dir.file("rank"), dir.file(".rank"));
    const none = await post("/v2/repository/models/rank/load", "{}");
    assert.equal(none.status, 404);
    await rename(dir.file(".rank"), dir.file("rank"));
    assert.equal(
      (await post("/v2/repository/models/rank/load", '{"parameters":{"config":"{}"}}')).status,
      400,
    );
    assert.equal((await post("/v2/repository/models/rank/load")).status, 200);
    assert.equal((await post("/v2/repository/models/none/unload")).status, 404);
    assertIdle(await getStatus(server.url));
  });
});
