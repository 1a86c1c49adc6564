/** The Open Inference Protocol v2 over real HTTP, in front of real pipelines: what its clients send, and what nobody should. */
import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import type { InferResponse, ModelsResponse } from "millrace-client/wire";
import { openInferenceV2Front } from "#src/front/inference-v2/inference-v2.js";
import { createServer, type MillraceServer } from "#src/index.js";
import { runTensors, Session } from "#src/runtime/session.js";
import { Random } from "../sim/random.js";
import { TestFront } from "../support/http-front.js";
import { graphBytes } from "../support/onnx-graph.js";
import { assertIdle, getReady, getStatus, until } from "../support/real-server.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { everyType, lookUp, types } from "../support/small-graphs.js";
import { TempDir } from "../support/temp-dir.js";

let dir: TempDir;
let server: MillraceServer;
const skip = skipWithout("models");

/** Four megabytes of weights: a run takes about as long for one row as for many. */
const width = 1024;
const dense = graphBytes({
  nodes: [{ opType: "MatMul", input: ["row", "weights"], output: ["product"] }],
  inputs: [{ name: "row", type: "FP32", shape: ["n", width] }],
  outputs: [{ name: "product", type: "FP32", shape: ["n", width] }],
  initializers: [
    {
      dims: [width, width],
      dataType: 1,
      name: "weights",
      rawData: new Uint8Array(
        Float32Array.from({ length: width * width }, (_, at) => (at % 7) - 3).buffer,
      ),
    },
  ],
});
const nobodys = graphBytes({
  nodes: [{ opType: "Dream", input: ["x"], output: ["y"], domain: "nobody" }],
  inputs: [{ name: "x", type: "FP32", shape: [1] }],
  outputs: [{ name: "y", type: "FP32", shape: [1] }],
  domains: ["nobody"],
});

before(async () => {
  dir = await TempDir.make();
  await writeFile(dir.file("types.onnx"), everyType);
  await writeFile(dir.file("look-up.onnx"), lookUp);
  await writeFile(dir.file("dense.onnx"), dense);
  await mkdir(dir.file("dream"));
  await writeFile(dir.file("dream", "model.onnx"), nobodys);
  await mkdir(dir.file("two"));
  for (const name of ["a.onnx", "b.onnx"]) await writeFile(dir.file("two", name), lookUp);
  if (skip === false) {
    for (const name of ["magika", "squeezenet1.0"])
      await symlink(sharedPath("models", name), dir.file(name));
  }
  server = await createServer({
    models: dir.path,
    port: 0,
    pipelines: 1,
    threads: 1,
    logLevel: "silent",
    bodyBytesMax: 8 * 1024 * 1024,
    // Long enough for what is asked of the model that cannot be loaded, which is tried twice.
    restartBackoffMs: 5_000,
  });
  // All that can start have started; one cannot.
  await until(async () => {
    const { body } = await getReady(server.url);
    return body.models.filter(({ ready }) => ready).length === (skip === false ? 5 : 3);
  });
});

after(async () => {
  await server.close();
  await dir[Symbol.asyncDispose]();
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly body: {
    readonly error?: string;
    readonly id?: string;
    readonly model_name?: string;
    readonly outputs?: readonly {
      name: string;
      shape: number[];
      datatype: string;
      data?: unknown[];
      parameters?: { binary_data_size: number };
    }[];
    readonly [field: string]: unknown;
  };
}

async function ask(path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(`${server.url}${path}`, init);
  const bytes = Buffer.from(await response.arrayBuffer());
  const headLength = Number(
    response.headers.get("inference-header-content-length") ?? bytes.length,
  );
  const body = JSON.parse(bytes.subarray(0, headLength).toString()) as Answer["body"];
  return {
    status: response.status,
    headers: response.headers,
    bytes: bytes.subarray(headLength),
    body,
  };
}

const infer = (model: string, body: object | string, init: RequestInit = {}): Promise<Answer> =>
  ask(`/v2/models/${model}/infer`, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
  });

/** JSON, and the bytes behind it. */
function inferRaw(
  model: string,
  head: object,
  { raw, headLength }: { readonly raw: Buffer; readonly headLength?: string | undefined },
): Promise<Answer> {
  const json = Buffer.from(JSON.stringify(head));
  const headers = { "inference-header-content-length": headLength ?? String(json.length) };
  return ask(`/v2/models/${model}/infer`, {
    method: "POST",
    headers,
    body: Buffer.concat([json, raw]),
  });
}

describe("what is served", () => {
  test("the server, its health and its models", async () => {
    const metadata = await ask("/v2");
    assert.equal(metadata.body["name"], "millrace");
    assert.deepEqual(metadata.body["extensions"], [
      "binary_tensor_data",
      "schedule_policy",
      "statistics",
      "model_configuration",
      "model_repository",
    ]);
    assert.deepEqual((await ask("/v2/health/live")).body, { live: true });
    assert.deepEqual((await ask("/v2/health/ready")).body, { ready: true });
    for (const path of ["/v2/models/look-up", "/v2/models/look-up/versions/1"]) {
      const { status, body } = await ask(path);
      assert.equal(status, 200);
      assert.deepEqual(body, {
        name: "look-up",
        versions: ["1"],
        platform: "onnx_onnxruntime",
        inputs: [{ name: "at", datatype: "INT64", shape: [-1] }],
        outputs: [{ name: "found", datatype: "FP32", shape: [-1] }],
      });
      assert.deepEqual((await ask(`${path}/ready`)).body, { name: "look-up", ready: true });
    }
    const { models } = (await (await fetch(`${server.url}/v1/models`)).json()) as ModelsResponse;
    assert.deepEqual(models.find(({ name }) => name === "look-up")?.inputs, [
      { name: "at", datatype: "INT64", shape: [-1] },
    ]);
  });

  test("a graph that cannot be loaded is named, and a folder of two graphs; the others serve", async () => {
    const { body } = await getReady(server.url);
    const reasons = await until(async () => {
      const { body: now } = await getReady(server.url);
      const found = new Map(now.models.map(({ model, reason }) => [model, reason]));
      return /nobody|Dream/.test(found.get("dream") ?? "") && found;
    });
    assert.equal(body.state, "degraded");
    assert.match(reasons.get("two") ?? "", /^two has 2 \.onnx files/);
    assert.equal((await ask("/v2/models/dream/ready")).status, 503);
    const x = { name: "x", shape: [1], datatype: "FP32", data: [1] };
    const { status, headers, body: refusal } = await infer("dream", { inputs: [x] });
    assert.equal(status, 500);
    assert.equal(headers.get("retry-after"), null, "nobody wins by coming again");
    assert.match(refusal.error ?? "", /dream cannot be loaded: .*(?:nobody|Dream)/);
  });

  const none: readonly [path: string, status: number, says: RegExp][] = [
    ["/v2/models/none", 404, /no model "none"/],
    ["/v2/models/__proto__/ready", 404, /no model "__proto__"/],
    ["/v2/models/look-up/versions/2", 404, /version 1 only/],
    ["/v2/models/look-up/trace", 404, /no route/],
    ["/v2/models/look-up/infer", 405, /takes POST/],
  ];
  for (const [path, status, says] of none) {
    test(`${path} is ${status}`, async () => {
      const answer = await ask(path);
      assert.equal(answer.status, status);
      assert.deepEqual(Object.keys(answer.body), ["error"]);
      assert.match(answer.body.error ?? "", says);
    });
  }
});

describe("tensors of every type", () => {
  const numbers: Readonly<
    Record<(typeof types)[number], readonly [json: string, raw: ArrayBufferView]>
  > = {
    FP32: ["[0.5,-1]", Float32Array.of(0.5, -1)],
    UINT8: ["[0,255]", Uint8Array.of(0, 255)],
    INT8: ["[-128,127]", Int8Array.of(-128, 127)],
    UINT16: ["[0,65535]", Uint16Array.of(0, 65535)],
    INT16: ["[-32768,1]", Int16Array.of(-32768, 1)],
    INT32: ["[-2147483648,7]", Int32Array.of(-2147483648, 7)],
    INT64: [
      "[-9223372036854775807,9007199254740993]",
      BigInt64Array.of(-9223372036854775807n, 9007199254740993n),
    ],
    BYTES: [
      '["","é, 中"]',
      Buffer.from("\x00\x00\x00\x00\x07\x00\x00\x00\xc3\xa9, \xe4\xb8\xad", "latin1"),
    ],
    BOOL: ["[true,false]", Uint8Array.of(1, 0)],
    FP16: ["[0.5,-2]", Uint16Array.of(0x3800, 0xc000)],
    FP64: ["[0.1,1e+300]", Float64Array.of(0.1, 1e300)],
    UINT32: ["[0,4294967295]", Uint32Array.of(0, 4294967295)],
    UINT64: ["[18446744073709551615,1]", BigUint64Array.of(2n ** 64n - 1n, 1n)],
  };
  const bytesOf = (type: (typeof types)[number]): Buffer => {
    const [, { buffer, byteOffset, byteLength }] = numbers[type];
    return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
  };
  const raw = Buffer.concat(types.map(bytesOf));

  test("as JSON come back as JSON, to the last digit", async () => {
    const inputs = types.map(
      (type) =>
        `{"name":"in ${type}","shape":[1,2],"datatype":"${type}","data":${numbers[type][0]}}`,
    );
    const response = await fetch(`${server.url}/v2/models/types/infer`, {
      method: "POST",
      body: `{"id":"me","inputs":[${inputs.join()}]}`,
    });
    const outputs = types.map(
      (type) =>
        `{"name":"out ${type}","datatype":"${type}","shape":[1,2],"data":${numbers[type][0]}}`,
    );
    assert.equal(
      await response.text(),
      `{"model_name":"types","model_version":"1","id":"me","outputs":[${outputs.join()}]}`,
    );
  });

  test("as bytes come back as bytes", async () => {
    const inputs = types.map((type) => ({
      name: `in ${type}`,
      shape: [1, 2],
      datatype: type,
      parameters: { binary_data_size: bytesOf(type).length },
    }));
    const answer = await inferRaw(
      "types",
      { inputs, parameters: { binary_data_output: true } },
      { raw },
    );
    assert.equal(answer.status, 200, answer.body.error);
    assert.equal(answer.headers.get("content-type"), "application/octet-stream");
    assert.deepEqual(answer.bytes, raw);
    assert.deepEqual(
      answer.body.outputs,
      types.map((type) => ({
        name: `out ${type}`,
        datatype: type,
        shape: [1, 2],
        parameters: { binary_data_size: bytesOf(type).length },
      })),
    );
  });

  test("some so and some so, and only the outputs that are wanted, in the order that is wanted", async () => {
    const inputs = types.map((type, at) =>
      at % 2 === 0
        ? {
            name: `in ${type}`,
            shape: [1, 2],
            datatype: type,
            parameters: { binary_data_size: bytesOf(type).length },
          }
        : {
            name: `in ${type}`,
            shape: [1, 2],
            datatype: type,
            data: [
              (JSON.parse(numbers[type][0]) as unknown[]).map((value) =>
                typeof value === "number" ? 1 : value,
              ),
            ],
          },
    );
    const outputs = [
      { name: "out INT8", parameters: { binary_data: true } },
      { name: "out BYTES" },
      { name: "out BOOL", parameters: { binary_data: false } },
    ];
    const part = Buffer.concat(types.filter((_, at) => at % 2 === 0).map(bytesOf));
    const answer = await inferRaw("types", { inputs, outputs }, { raw: part });
    assert.equal(answer.status, 200, answer.body.error);
    assert.deepEqual(
      answer.body.outputs?.map(({ name, data }) => [name, data]),
      [
        ["out INT8", undefined],
        ["out BYTES", ["", "é, 中"]],
        ["out BOOL", [true, false]],
      ],
    );
    assert.deepEqual(answer.bytes, bytesOf("INT8"));
  });

  test("natively they are nested or flat, and come with their types", async () => {
    const inputs = types.map(
      (type, at) =>
        `"in ${type}":${at % 2 === 0 ? `[${numbers[type][0]}]` : `{"shape":[1,2],"data":${numbers[type][0]},"datatype":"${type}"}`}`,
    );
    const response = await fetch(`${server.url}/v1/infer`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{"model":"types","inputs":{${inputs.join()}},"outputs":["out INT64","out BYTES"]}`,
    });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    const outputs = `"outputs":{"out INT64":{"datatype":"INT64","shape":[1,2],"data":${numbers.INT64[0]}},"out BYTES":{"datatype":"BYTES","shape":[1,2],"data":${numbers.BYTES[0]}}}`;
    assert.ok(text.endsWith(`"results":[{${outputs}}]}`), text);
  });
});

describe("what is refused names the tensor", () => {
  const at = { name: "at", shape: [2], datatype: "INT64", data: [1, 2] };
  const refused: readonly [what: string, body: object | string, says: RegExp][] = [
    ["no JSON", "{", /not JSON/],
    ["a list", "[]", /must be a JSON object/],
    ["no inputs", {}, /`inputs`: is missing/],
    ["inputs that are no list", { inputs: {} }, /`inputs`: must be a list/],
    ["an empty list", { inputs: [] }, /tensor "at" is missing/],
    [
      "one more",
      { inputs: [at, { ...at, name: "to" }] },
      /tensor "to": the model has no such input/,
    ],
    ["one twice", { inputs: [at, at] }, /tensor "at": it is there twice/],
    [
      "another type",
      { inputs: [{ ...at, datatype: "INT32" }] },
      /tensor "at": it is INT32, the model takes INT64/,
    ],
    [
      "no type at all",
      { inputs: [{ ...at, datatype: "INT65" }] },
      /tensor "at": its datatype must be one of/,
    ],
    [
      "another rank",
      { inputs: [{ ...at, shape: [2, 1] }] },
      /tensor "at": its shape is \[2, 1\], the model takes \[-1\]/,
    ],
    [
      "too few data",
      { inputs: [{ ...at, shape: [3] }] },
      /tensor "at": its shape \[3\] has 3 elements, its data have 2/,
    ],
    ["a shape of 1e9", { inputs: [{ ...at, shape: [1_000_000_000] }] }, /tensor "at": its shape/],
    [
      "shapes beyond all numbers",
      { inputs: [{ ...at, shape: [2e9, 2e9, 2e9] }] },
      /more elements than there are numbers/,
    ],
    ["a negative size", { inputs: [{ ...at, shape: [-2] }] }, /tensor "at": axis 0 of its shape/],
    ["no rows", { inputs: [{ ...at, shape: [0], data: [] }] }, /tensor "at": it has no rows/],
    ["a fraction", { inputs: [{ ...at, data: [1, 0.5] }] }, /tensor "at": element 1 is no INT64/],
    [
      "a null",
      { inputs: [{ ...at, data: [1, null] }] },
      /tensor "at": element 1 is no INT64: null/,
    ],
    [
      "data and bytes",
      { inputs: [{ ...at, parameters: { binary_data_size: 16 } }] },
      /either `data` or the parameter/,
    ],
    [
      "neither",
      { inputs: [{ name: "at", shape: [2], datatype: "INT64" }] },
      /either `data` or the parameter/,
    ],
    [
      "bytes that are not there",
      {
        inputs: [
          { name: "at", shape: [2], datatype: "INT64", parameters: { binary_data_size: 16 } },
        ],
      },
      /tensor "at": its binary_data_size is 16, of the body 0/,
    ],
    [
      "a negative number of bytes",
      {
        inputs: [
          { name: "at", shape: [2], datatype: "INT64", parameters: { binary_data_size: -16 } },
        ],
      },
      /tensor "at": its binary_data_size must be/,
    ],
    [
      "shared memory",
      {
        inputs: [
          { name: "at", shape: [2], datatype: "INT64", parameters: { shared_memory_region: "r" } },
        ],
      },
      /extension that is not spoken/,
    ],
    [
      "an output that there is not",
      { inputs: [at], outputs: [{ name: "fund" }] },
      /tensor "fund": the model has no such output/,
    ],
    [
      "an output twice",
      { inputs: [at], outputs: [{ name: "found" }, { name: "found" }] },
      /names one twice/,
    ],
    [
      "a class of labels",
      { inputs: [at], outputs: [{ name: "found", parameters: { classification: 3 } }] },
      /extension that is not spoken/,
    ],
    ["a field that there is not", { inputs: [at], output: [] }, /no field "output"/],
    ["an id that is no text", { inputs: [at], id: 7 }, /`id`: must be a text/],
    [
      "a sequence",
      { inputs: [at], parameters: { sequence_id: 7 } },
      /extension that is not spoken/,
    ],
    ["a time that is none", { inputs: [at], parameters: { timeout: -1 } }, /`timeout`/],
    ["a name that is none", { inputs: [{ ...at, name: "" }] }, /`inputs\[0\]\.name`/],
  ];
  for (const [what, body, says] of refused) {
    test(what, async () => {
      const answer = await infer("look-up", body);
      assert.equal(answer.status, 400, answer.body.error);
      assert.deepEqual(Object.keys(answer.body), ["error"]);
      assert.match(answer.body.error ?? "", says);
    });
  }

  test("bytes that are too few, too many or behind a head that lies", async () => {
    const input = {
      name: "at",
      shape: [2],
      datatype: "INT64",
      parameters: { binary_data_size: 16 },
    };
    const cases: readonly [
      head: object,
      raw: Buffer,
      headLength: string | undefined,
      says: RegExp,
    ][] = [
      [
        { inputs: [input] },
        Buffer.alloc(15),
        undefined,
        /"at": its binary_data_size is 16, of the body 15/,
      ],
      [{ inputs: [input] }, Buffer.alloc(17), undefined, /1 bytes of the body belong to no tensor/],
      [
        { inputs: [{ ...input, parameters: { binary_data_size: 8 } }] },
        Buffer.alloc(8),
        undefined,
        /"at": its data have 8 bytes/,
      ],
      [{ inputs: [input] }, Buffer.alloc(16), "100000", /inference-header-content-length/],
      [{ inputs: [input] }, Buffer.alloc(16), "-1", /inference-header-content-length/],
      [{ inputs: [input] }, Buffer.alloc(16), "1e1", /inference-header-content-length/],
      [{ inputs: [input] }, Buffer.alloc(16), "10", /not JSON/],
    ];
    for (const [head, raw, headLength, says] of cases) {
      const answer = await inferRaw("look-up", head, { raw, headLength });
      assert.equal(answer.status, 400);
      assert.match(answer.body.error ?? "", says);
    }
  });

  test("a model of another task, and a server that stops", async () => {
    // One that cannot be told in tensors.
    await using front = await TestFront.start({}, {}, [
      (parts) => {
        const tasks = parts.tasks.map(({ name, fields }) => ({ name, fields }));
        return openInferenceV2Front({ ...parts, tasks });
      },
    ]);
    const at = `${front.url}/v2/models/echo`;
    const say = async (path: string, method: string): Promise<string> => {
      const response = await fetch(`${at}${path}`, { method });
      return `${response.status} ${await response.text()}`;
    };
    const elsewhere = "it is served at /v1/translate";
    assert.equal(
      await say("", "GET"),
      `400 {"error":"model echo has no tensors to tell of: ${elsewhere}"}`,
    );
    assert.equal(
      await say("/infer", "POST"),
      `400 {"error":"model echo takes no tensors: ${elsewhere}"}`,
    );
    front.state = "draining";
    assert.match(await say("/infer", "POST"), /^503 \{"error":"The server is stopping/);
    assert.match(await (await fetch(`${front.url}/v2/health/ready`)).text(), /"ready":false/);
  });

  test("attack: whatever is changed in a body, the answer is JSON and the server serves", async () => {
    const json = Buffer.from(
      JSON.stringify({
        inputs: [{ ...at, data: undefined, parameters: { binary_data_size: 16 } }],
        parameters: { binary_data_output: true },
      }),
    );
    const good = Buffer.concat([json, Buffer.from(BigInt64Array.of(1n, 2n).buffer)]);
    const random = new Random(11);
    for (let seed = 0; seed < 200; seed += 1) {
      const bytes = Buffer.from(good);
      for (let n = random.int(1, 4); n > 0; n -= 1)
        bytes[random.int(0, bytes.length - 1)] = random.int(0, 255);
      const headers = {
        "inference-header-content-length": String(
          json.length + (random.chance(0.1) ? random.int(-9, 9) : 0),
        ),
      };
      const { status, body } = await ask("/v2/models/look-up/infer", {
        method: "POST",
        headers,
        body: bytes,
      });
      assert.ok(
        status === 200 || (typeof body.error === "string" && status < 500),
        `seed ${seed}: ${status} ${body.error}`,
      );
    }
    assert.deepEqual((await infer("look-up", { inputs: [at] })).body.outputs?.[0]?.data, [1, 4]);
  });
});

describe("one row that the model cannot run", () => {
  const rows = (data: readonly number[]): object => ({
    inputs: [{ name: "at", shape: [data.length], datatype: "INT64", data }],
  });

  test("fails its request, and nobody else's", async () => {
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, at) =>
        infer("look-up", rows(at % 6 === 5 ? [1, 99] : [at % 4, 3])),
      ),
    );
    for (const [at, { status, body }] of answers.entries()) {
      if (at % 6 === 5) {
        assert.equal(status, 422);
        assert.match(body.error ?? "", /out of/);
      } else {
        assert.deepEqual(body.outputs?.[0]?.data, [(at % 4) ** 2, 9]);
      }
    }
  });

  test("a request of more rows than a run takes is one answer, whole", async () => {
    const data = Array.from({ length: 100_000 }, (_, at) => at % 4);
    const { status, body } = await infer("look-up", rows(data));
    assert.equal(status, 200, body.error);
    assert.deepEqual(body.outputs?.[0]?.shape, [100_000]);
    assert.deepEqual(
      body.outputs?.[0]?.data,
      data.map((at) => at ** 2),
    );
    assertIdle(await getStatus(server.url));
  });

  test("defect: null stands for what a client leaves out", async () => {
    const inputs = [
      { name: "at", shape: [1], datatype: "INT64", parameters: null, data: [3] },
    ] as const;
    const none = { id: null, parameters: null, outputs: null };
    const { status, body } = await infer("look-up", { ...none, inputs });
    assert.equal(status, 200, body.error);
    assert.deepEqual(body.outputs?.[0]?.data, [9]);
  });

  test("an empty list of outputs wants all", async () => {
    const { body } = await infer("look-up", { ...rows([3]), outputs: [] });
    assert.deepEqual(body.outputs?.[0]?.data, [9]);
  });

  test("a caller's time and priority are heard", async () => {
    const { status, body } = await infer("look-up", { ...rows([1]), parameters: { timeout: 1 } });
    assert.equal(status, 504, body.error);
    // In no other protocol's words.
    assert.match(String(body.error), /not finished before its deadline/);
    assert.equal(
      (
        await infer("look-up", {
          ...rows([1]),
          parameters: { priority: 2, timeout: 60_000_000, anything: "else" },
        })
      ).status,
      200,
    );
  });
});

test("rows of concurrent callers share runs, and each gets its own", async () => {
  const callers = 48;
  const answers = await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      const data = Float32Array.from({ length: width }, (__, at) => (at % (caller + 2)) - 1);
      const row = {
        name: "row",
        shape: [1, width],
        datatype: "FP32",
        parameters: { binary_data_size: data.byteLength },
      };
      const { status, body, bytes } = await inferRaw(
        "dense",
        { inputs: [row], parameters: { binary_data_output: true } },
        { raw: Buffer.from(data.buffer) },
      );
      assert.equal(status, 200, body.error);
      return { data, product: new Float32Array(Uint8Array.from(bytes).buffer) };
    }),
  );
  for (const { data, product } of answers) {
    const wanted = data.reduce((sum, value, at) => sum + value * (((at * width + 5) % 7) - 3), 0);
    assert.ok(Math.abs((product[5] ?? NaN) - wanted) < 1e-2);
  }
  const { stages, batches } = await until(async () => {
    const status = await getStatus(server.url);
    return status.stages.some(({ model, rows }) => model === "dense" && rows === callers) && status;
  });
  const own = stages.find(({ model }) => model === "dense");
  assert.ok((own?.runs ?? callers) < callers, `${own?.runs} runs of ${own?.rows} rows`);
  assert.ok(batches.recent.some(({ model, requests }) => model === "dense" && requests > 1));
});

describe("real models", { skip }, () => {
  const shapes = { magika: [2048], "squeezenet1.0": [3, 227, 227] } as const;
  type Name = keyof typeof shapes;
  const heads = {
    magika: ["bytes", "INT32", "target_label"],
    "squeezenet1.0": ["data", "FP32", "prob"],
  } as const;

  /** What ONNX Runtime gives for the same numbers by itself. */
  const sessions = new Map<Name, Promise<Session>>();
  after(async () => {
    for (const session of sessions.values()) (await session).release();
  });

  async function plain(
    name: Name,
    rows: number,
    data: Int32Array | Float32Array,
  ): Promise<readonly number[]> {
    const path = sharedPath("models", name, "model.onnx");
    const opening = sessions.get(name) ?? Session.open(path, { threads: 1, spin: false });
    sessions.set(name, opening);
    const session = await opening;
    const [input, datatype, output] = heads[name];
    const [answer] = await runTensors(
      session,
      [{ name: input, datatype, shape: [rows, ...shapes[name]], data }],
      [{ name: output, datatype: "FP32" }],
    );
    return [...(answer?.data ?? [])].map(Number);
  }

  function made(name: Name, rows: number, seed = 0): Int32Array | Float32Array {
    const elements = shapes[name].reduce<number>((product, size) => product * size, rows);
    const numbers = Array.from(
      { length: elements },
      (_, at) => (Math.imul(at + 1, 31) + 7 * seed) % 257,
    );
    return name === "magika" ? Int32Array.from(numbers) : Float32Array.from(numbers);
  }

  async function served(
    name: Name,
    rows: number,
    data: Int32Array | Float32Array,
  ): Promise<readonly number[]> {
    const [input, datatype] = heads[name];
    const shape = [rows, ...shapes[name]];
    const head = {
      inputs: [{ name: input, datatype, shape, parameters: { binary_data_size: data.byteLength } }],
      parameters: { binary_data_output: true },
    };
    const { status, body, bytes } = await inferRaw(name, head, { raw: Buffer.from(data.buffer) });
    assert.equal(status, 200, body.error);
    return [...new Float32Array(Uint8Array.from(bytes).buffer)];
  }

  function assertNear(found: readonly number[], wanted: readonly number[]): void {
    assert.equal(found.length, wanted.length);
    for (const [at, value] of found.entries())
      assert.ok(Math.abs(value - (wanted[at] ?? NaN)) <= 1e-5, `element ${at}`);
  }

  for (const name of Object.keys(shapes) as Name[]) {
    for (const rows of [1, 7]) {
      test(`${name} of ${rows} rows answers as ONNX Runtime does`, async () => {
        const data = made(name, rows);
        assertNear(await served(name, rows, data), await plain(name, rows, data));
      });
    }
  }

  test("the same natively, as nested lists", async () => {
    const data = [...made("magika", 2)].map(Number);
    const response = await fetch(`${server.url}/v1/infer`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model: "magika",
        inputs: { bytes: [data.slice(0, 2048), data.slice(2048)] },
      }),
    });
    const { results } = (await response.json()) as InferResponse;
    const [result] = results;
    assert.ok(result !== undefined && "outputs" in result, JSON.stringify(result));
    assertNear(
      (result.outputs["target_label"]?.data ?? []).map(Number),
      await plain("magika", 2, Int32Array.from(data)),
    );
  });
});
