/** `client.infer` against the server's own reader and writer of the protocol. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { Millrace, type TensorInput } from "millrace-client";
import { readInferBody } from "#src/front/inference-v2/infer-body.js";
import { inferReply } from "#src/front/inference-v2/infer-reply.js";
import type { InferBody } from "#src/front/inference-v2/infer-request.js";
import type { Options } from "#src/options/options.js";
import { deploymentHeader } from "../support/http-server.js";

const options = { requestTimeoutMsDefault: 1_000, requestTimeoutMsMax: 60_000 } as Options;
const direct = { retry: { delayMs: 0 } } as const;

interface Asked {
  readonly url: string;
  readonly read: InferBody;
}

/** Answers each input as an output of its name; `fail` may answer in its place. */
async function serveTensors(
  fail: (number: number, response: ServerResponse) => boolean = () => false,
) {
  const asked: Asked[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const read = await readInferBody(await buffer(request), request.headers, options);
    asked.push({ url: request.url ?? "", read });
    response.setHeader("x-millrace-deployment", deploymentHeader);
    response.setHeader("x-request-id", "request-1");
    if (fail(asked.length - 1, response)) return;
    const wanted = read.inputs.list.filter(
      ({ name }) => read.outputs === undefined || read.outputs.some((each) => each.name === name),
    );
    const reply = await inferReply(wanted, { model: "echo", version: "1", read });
    response.writeHead(reply.status, { "content-type": reply.contentType, ...reply.headers });
    response.end(reply.body);
  };
  const server = createServer((request, response) => void handle(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return {
    url: `http://127.0.0.1:${address.port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

test("every datatype goes there and comes back bit by bit, in the names and shapes that it had", async () => {
  await using server = await serveTensors();
  await using client = new Millrace(server.url, direct);
  const inputs: Readonly<Record<string, TensorInput>> = {
    fp32: { data: Float32Array.of(0.1, Number.NaN, Infinity, -0), shape: [2, 2] },
    odd: { data: new Uint8Array([9, 1, 2, 3]).subarray(1), shape: [3] },
    fp64: { data: Float64Array.of(Math.PI), shape: [] },
    int8: { data: Int8Array.of(-1), shape: [1, 1] },
    int16: { data: Int16Array.of(-300, 2), shape: [2] },
    int32: { data: Int32Array.of(2 ** 31 - 1), shape: [1] },
    int64: { data: BigInt64Array.of(-(2n ** 63n), 2n ** 53n + 1n), shape: [2] },
    uint16: { data: Uint16Array.of(65_535), shape: [1] },
    uint32: { data: Uint32Array.of(2 ** 32 - 1), shape: [1] },
    uint64: { data: BigUint64Array.of(2n ** 64n - 1n), shape: [1] },
    fp16: { data: Uint16Array.of(0x3c00), shape: [1], datatype: "FP16" },
    bf16: { data: Uint16Array.of(0x3f80), shape: [1], datatype: "BF16" },
    bool: { data: Uint8Array.of(1, 0), shape: [2], datatype: "BOOL" },
    bytes: { data: ["", "你好", "a"], shape: [3, 1] },
    none: { data: new Float32Array(), shape: [0, 8] },
  };
  const { outputs, id, deployment } = await client.infer({
    model: "a model/1",
    inputs,
    class: "bulk",
    timeoutMs: 5_000,
  });
  assert.deepEqual(Object.keys(outputs), Object.keys(inputs));
  for (const [name, { data, shape }] of Object.entries(inputs)) {
    assert.deepEqual(outputs[name]?.data, Array.isArray(data) ? data : data.slice());
    assert.deepEqual(outputs[name]?.shape, shape);
  }
  const types = [
    "FP32",
    "UINT8",
    "FP64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "UINT16",
    "UINT32",
    "UINT64",
    "FP16",
    "BF16",
    "BOOL",
    "BYTES",
    "FP32",
  ];
  assert.deepEqual(
    Object.values(outputs).map(({ datatype }) => datatype),
    types,
  );
  assert.deepEqual([id, deployment?.environment], ["request-1", "test"]);
  const [asked] = server.asked;
  assert.deepEqual([asked?.url, asked?.read.class], ["/v2/models/a%20model%2F1/infer", "bulk"]);
  assert.ok((asked?.read.timeoutMs ?? 0) <= 5_000);
  const { fp32, bytes } = inputs;
  assert.ok(fp32 !== undefined && bytes !== undefined);
  const some = await client.infer({ model: "m", inputs: { fp32, bytes }, outputs: ["bytes"] });
  assert.deepEqual(Object.keys(some.outputs), ["bytes"]);
});

test("a tensor that is none is named before anything is sent", async () => {
  await using client = new Millrace("http://nowhere.invalid", direct);
  const data = new Float32Array(4);
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{ data, shape: [3] }, /^Tensor x: its data have 4 elements, and its shape 3\.$/],
    [{ data, shape: [-2, -2] }, /shape must be a list of whole numbers/],
    [{ data, shape: [4], datatype: "INT32" }, /its data are no array of INT32/],
    [{ data, shape: [4], datatype: "FP8" }, /there is no datatype FP8/],
    [{ data: "abcd", shape: [4] }, /its data must be a typed array/],
    [{ data: ["a", 1], shape: [2] }, /its data are no array of BYTES/],
  ];
  for (const [x, message] of cases) {
    const inputs = { x: x as TensorInput };
    await assert.rejects(client.infer({ model: "m", inputs }), { code: "tensor_invalid", message });
  }
  await assert.rejects(client.infer({ model: "", inputs: {} }), { code: "bad_request" });
});

test("errors have a code by their status; what may pass is tried again, and a lying reply is found out", async () => {
  const lies = [
    ["application/json", "{}", {}],
    ["application/octet-stream", "{}", {}],
    ["application/octet-stream", "{}", { "inference-header-content-length": "9" }],
    ["application/octet-stream", '{"outputs":[{}]}', { "inference-header-content-length": "16" }],
    [
      "application/octet-stream",
      '{"outputs":[{"name":"x","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":4}}]}1234',
      { "inference-header-content-length": "92" },
    ],
    [
      "application/octet-stream",
      '{"outputs":[{"name":"x","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":4}}]}\u0001234',
      { "inference-header-content-length": "93" },
    ],
  ] as const;
  await using server = await serveTensors((number, response) => {
    const refuse = (status: number): boolean => {
      response.writeHead(status, { "content-type": "application/json", "retry-after": "0" });
      response.end('{"error":"said so"}');
      return true;
    };
    if (number < 2) return refuse(503);
    if (number === 3) return refuse(400);
    if (number === 4) return refuse(429);
    const lie = lies[number - 5];
    if (lie === undefined) return false;
    const [type, body, headers] = lie;
    response.writeHead(200, { "content-type": type, ...headers });
    response.end(body);
    return true;
  });
  const inputs = { x: { data: Float32Array.of(1), shape: [1] } } as const;
  await using client = new Millrace(server.url, direct);
  assert.deepEqual(
    (await client.infer({ model: "m", inputs })).outputs["x"]?.data,
    Float32Array.of(1),
  );
  assert.equal(server.asked.length, 3);
  const failing = client.infer({ model: "m", inputs });
  await assert.rejects(failing, { code: "tensor_invalid", message: "said so" });
  await using single = new Millrace(server.url, { retry: { attemptsMax: 1 } });
  await assert.rejects(single.infer({ model: "m", inputs }), { code: "queue_full" });
  for (const [, body] of lies) {
    await assert.rejects(client.infer({ model: "m", inputs }), { code: "response_invalid" }, body);
  }
  await using wrong = new Millrace(server.url, { expect: { environment: "prod" } });
  await assert.rejects(wrong.infer({ model: "m", inputs }), { code: "deployment_mismatch" });
});

test("a caller who leaves ends the request", async () => {
  let arrived: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  let gone: Promise<unknown> = Promise.resolve();
  await using server = await serveTensors((_, response) => {
    gone = once(response, "close");
    arrived();
    return true;
  });
  await using client = new Millrace(server.url, direct);
  const controller = new AbortController();
  const inputs = { x: { data: Float32Array.of(1), shape: [1] } } as const;
  const asked = client.infer({ model: "m", inputs, signal: controller.signal });
  await held;
  controller.abort();
  await assert.rejects(asked, { code: "cancelled" });
  await gone;
  client.close();
  await assert.rejects(client.infer({ model: "m", inputs }), { code: "cancelled" });
});
