/** The description of all routes: every route is in it, every schema compiles, and live replies of every route are as it says. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import type { OpenFront } from "#src/front/front.js";
import type { MillraceServer } from "#src/index.js";
import { tasks } from "#src/tasks/table.js";
import { isJsonObject, type JsonObject, type JsonValue } from "#src/work/payload.js";
import { TestFront } from "../support/http-front.js";
import { writeMadeEncoder } from "../support/made-encoder.js";
import { bundledModels, startReady } from "../support/real-server.js";
import { lookUp } from "../support/small-graphs.js";
import { TempDir } from "../support/temp-dir.js";

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content: Content }>>;
}

type Content = Readonly<Record<string, { readonly schema: JsonObject }>>;

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: JsonObject };
}

interface Call {
  /** Where it is not the path itself. */
  readonly at?: string;
  readonly body?: JsonObject | string | Uint8Array;
  readonly type?: string;
  readonly accept?: string;
  /** Default: 200. */
  readonly status?: number;
}

/** One call of every operation at least; one that fails where there is a way to. */
const calls: Readonly<Record<string, readonly Call[]>> = {
  "POST /v1/translate": [
    { body: { model: "en-zh", texts: ["Yes.", "x".repeat(50_000)], beams: 2, nBest: 2 } },
    { body: { texts: ["Yes.", "No."], truncate: true }, accept: "application/x-ndjson" },
    { body: { texts: [] }, status: 422 },
  ],
  "POST /v1/embed": [
    { body: { model: "words", texts: ["a b", "nan"] } },
    { body: { model: "words", texts: [["a b", "a"]], pooling: "none", returnTokens: true } },
    { body: { model: "words", tokenIds: [[2, 9, 3]] } },
    { body: { model: "words", texts: "a", encoding: "base64" }, accept: "application/x-ndjson" },
    { body: { model: "words", texts: "a" }, accept: "application/octet-stream" },
    { body: { model: "nobody", texts: "a" }, status: 404 },
  ],
  "POST /v1/classify": [
    { body: { texts: ["a", ["a", "b"]], raw: true, topK: 1 } },
    { body: { texts: ["a"] }, accept: "application/x-ndjson" },
    { body: "{", status: 400 },
  ],
  "POST /v1/rerank": [
    { body: { query: "a", texts: ["b", "a ".repeat(100)], raw: true, truncate: true } },
    { body: { texts: "a" }, status: 400 },
  ],
  "POST /v1/infer": [
    { body: { inputs: { at: [3, 1] }, outputs: ["found"] } },
    { body: { inputs: { at: { datatype: "INT64", shape: [1], data: [0] } } } },
    { body: { inputs: { at: ["x"] } } },
    { body: {}, status: 400 },
  ],
  "POST /v1/tokenize": [
    { body: { model: "words", texts: ["a b"] } },
    { body: { model: "words", texts: 7 }, status: 400 },
  ],
  "POST /v1/detokenize": [
    { body: { model: "words", tokenIds: [[2, 9, 3]] } },
    { body: { model: "words", tokenIds: [[]] }, status: 422 },
  ],
  "POST /v1/ocr": [{ body: { images: ["/9j/"] }, status: 404 }],
  "GET /v1/models": [{}],
  "POST /v1/models/reload": [{}],
  // With jobs: http-jobs.test.ts.
  "POST /v1/jobs": [{ body: { task: "translate", texts: ["Yes."] }, status: 501 }],
  "GET /v1/jobs": [{ status: 501 }],
  "GET /v1/jobs/{id}": [{ at: "/v1/jobs/none", status: 501 }],
  "DELETE /v1/jobs/{id}": [{ at: "/v1/jobs/none", status: 501 }],
  "POST /v1/jobs/{id}/cancel": [{ at: "/v1/jobs/none/cancel", status: 501 }],
  "GET /v1/jobs/{id}/results": [{ at: "/v1/jobs/none/results", status: 501 }],
  "GET /v1/jobs/{id}/events": [{ at: "/v1/jobs/none/events", status: 501 }],
  "GET /live": [{}],
  "GET /ready": [{}],
  "GET /status": [{}],
  "GET /status/events": [
    { at: "/status/events?looks=1" },
    { at: "/status/events?looks=0", status: 400 },
  ],
  "POST /v1/profile": [
    { at: "/v1/profile?seconds=1" },
    { at: "/v1/profile?seconds=0", status: 400 },
  ],
  "DELETE /v1/profile": [{}],
  "GET /v1/record": [{ at: "/v1/record?seconds=1" }, { at: "/v1/record?seconds=0", status: 400 }],
  "GET /metrics": [{}],
  "GET /openapi.json": [{}],
  "GET /v2": [{}],
  "GET /v2/health/live": [{}],
  "GET /v2/health/ready": [{}],
  "GET /v2/models/{model}": [
    { at: "/v2/models/look-up" },
    { at: "/v2/models/nobody", status: 404 },
  ],
  "GET /v2/models/stats": [{}],
  "GET /v2/models/{model}/stats": [
    { at: "/v2/models/look-up/stats" },
    { at: "/v2/models/nobody/stats", status: 404 },
  ],
  "GET /v2/models/{model}/config": [{ at: "/v2/models/look-up/config" }],
  "GET /v2/models/{model}/versions/{version}/stats": [
    { at: "/v2/models/look-up/versions/1/stats" },
  ],
  "GET /v2/models/{model}/versions/{version}/config": [
    { at: "/v2/models/look-up/versions/1/config" },
  ],
  "POST /v2/repository/index": [{ body: {} }, { body: { ready: true } }],
  "POST /v2/repository/models/{model}/unload": [
    { at: "/v2/repository/models/rank/unload", body: {} },
    { at: "/v2/repository/models/nobody/unload", body: {}, status: 404 },
  ],
  "POST /v2/repository/models/{model}/load": [
    { at: "/v2/repository/models/rank/load", body: {} },
    { at: "/v2/repository/models/rank/load", body: { parameters: { config: "{}" } }, status: 400 },
  ],
  "GET /v2/models/{model}/ready": [{ at: "/v2/models/look-up/ready" }],
  "POST /v2/models/{model}/infer": [
    { at: "/v2/models/look-up/infer", body: inferBody([3, 1]) },
    { at: "/v2/models/look-up/infer", body: inferBody([9]), status: 422 },
  ],
  "GET /v2/models/{model}/versions/{version}": [{ at: "/v2/models/look-up/versions/1" }],
  "GET /v2/models/{model}/versions/{version}/ready": [
    { at: "/v2/models/look-up/versions/1/ready" },
  ],
  "POST /v2/models/{model}/versions/{version}/infer": [
    { at: "/v2/models/look-up/versions/1/infer", body: { id: "me", ...inferBody([2]) } },
  ],
  "POST /v1/embeddings": [
    { body: { model: "words", input: ["a", "b"], encoding_format: "base64" } },
    { body: { model: "words", input: "a", dimensions: 2 } },
    { body: { model: "words", input: ["a", "nan"] }, status: 422 },
    { body: { model: "nobody", input: "a" }, status: 404 },
  ],
  // With a folder for jobs: openai-batches.test.ts.
  "POST /v1/files": [{ type: "multipart/form-data; boundary=B", body: "--B--", status: 501 }],
  "GET /v1/files": [{ at: "/v1/files?limit=1&purpose=batch", status: 501 }],
  "GET /v1/files/{file_id}": [{ at: "/v1/files/file-1", status: 501 }],
  "DELETE /v1/files/{file_id}": [{ at: "/v1/files/file-1", status: 501 }],
  "GET /v1/files/{file_id}/content": [{ at: "/v1/files/file-1/content", status: 501 }],
  "POST /v1/batches": [
    { body: { input_file_id: "f", endpoint: "e", completion_window: "24h" }, status: 501 },
  ],
  "GET /v1/batches": [{ status: 501 }],
  "GET /v1/batches/{batch_id}": [{ at: "/v1/batches/batch_1", status: 501 }],
  "POST /v1/batches/{batch_id}/cancel": [{ at: "/v1/batches/batch_1/cancel", status: 501 }],
  "GET /v1/models/{model}": [{ at: "/v1/models/words" }, { at: "/v1/models/nobody", status: 404 }],
  "POST /v2/translate": [
    { body: { text: ["Yes."], target_lang: "ZH", show_billed_characters: true } },
    { body: "text=Yes.&target_lang=ZH", type: "application/x-www-form-urlencoded" },
    { body: { text: ["Yes."], target_lang: "XX" }, status: 400 },
  ],
  "GET /v2/languages": [{}, { at: "/v2/languages?type=target" }],
  "GET /v2/usage": [{}],
  "GET /v2/glossary-language-pairs": [{}],
  "POST /embed": [
    { body: { inputs: ["a b", "b"], normalize: true } },
    { body: { inputs: "nan" }, status: 424 },
  ],
  "POST /embed_all": [{ body: { inputs: "a b" } }],
  "POST /embed_sparse": [{ body: { inputs: "a" }, status: 424 }],
  "POST /similarity": [{ body: { inputs: { source_sentence: "a", sentences: ["b", "a"] } } }],
  "POST /predict": [{ body: { inputs: "a" }, status: 424 }],
  "POST /rerank": [{ body: { query: "a", texts: ["b"] }, status: 424 }],
  "POST /tokenize": [{ body: { inputs: ["a b"] } }, { body: { inputs: [] }, status: 400 }],
  "POST /decode": [{ body: { ids: [[2, 9, 3]] } }],
  "POST /": [{ body: { inputs: "a" } }],
  "POST /invocations": [{ body: { inputs: "a" } }],
  "POST /vertex": [{ body: { instances: [{ inputs: "a" }, { inputs: ["b", "c"] }] } }],
  "GET /info": [{}],
  "GET /health": [{}],
  "GET /ping": [{}],
  "GET /": [{}],
  "GET /page/{file}": [{ at: "/page/index.html" }],
  "POST /encode": [
    { body: { id: 1, texts: ["a b"] } },
    { body: { id: 1, texts: ["a b", "nan"] }, status: 422 },
  ],
  "GET /status/server": [{}],
  "GET /status/client": [{}],
  "GET /v1/stream": [{ status: 426 }],
  "GET /feed": [{ status: 426 }],
  "GET /rev": [{ status: 426 }],
  "POST /models/{rest}": [
    { at: "/models/words", body: { inputs: "a b" } },
    { at: "/models/labels", body: { inputs: "a b" } },
    { at: "/models/nobody", body: { inputs: "a" }, status: 404 },
  ],
  "POST /pipeline/{rest}": [
    { at: "/pipeline/feature-extraction/words", body: { inputs: ["a b", "b"] } },
  ],
};

function inferBody(data: readonly number[]): JsonObject {
  return { inputs: [{ name: "at", datatype: "INT64", shape: [data.length], data }] };
}

let temp: TempDir;
let server: MillraceServer;
let document: Document;

before(async () => {
  temp = await TempDir.make();
  const models = temp.file("models");
  await mkdir(models);
  await symlink(`${bundledModels}/en-zh`, `${models}/en-zh`);
  await writeFile(`${models}/look-up.onnx`, lookUp);
  await writeMadeEncoder(`${models}/words`);
  await writeMadeEncoder(`${models}/labels`, { labels: ["x", "y"] });
  const rank = { labels: ["LABEL_0"], scores: "sigmoid", task: "rerank" } as const;
  await writeMadeEncoder(`${models}/rank`, rank);
  server = await startReady({
    models,
    teiModel: "words",
    bertHttp: true,
    bertModel: "words",
    // Of the made encoder, which has one layer.
    bertPoolingLayer: -1,
    inputCharactersMax: 10_000,
  });
  document = (await (await fetch(`${server.url}/openapi.json`)).json()) as Document;
});

after(async () => {
  await server.close();
  await temp[Symbol.asyncDispose]();
});

function operations(): readonly (readonly [key: string, operation: Operation])[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const,
    ),
  );
}

/** One for all: to know the language itself takes it the longest. */
const ajv = new Ajv2020({ allowUnionTypes: true, strict: true, strictRequired: false });
ajv.addVocabulary(["components"]);
ajv.addFormat("binary", true);

/** `closed`: what a schema does not name is wrong, so that a field that nobody described is found. */
function compiled(schema: JsonValue, closed: boolean): ValidateFunction {
  const whole = { ...(schema as JsonObject), components: document.components as JsonValue };
  return ajv.compile((closed ? closedSchema(whole) : whole) as JsonObject);
}

function closedSchema(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return (value as JsonValue[]).map(closedSchema);
  if (!isJsonObject(value)) return value;
  const inner = Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, closedSchema(each)]),
  );
  const isClosed =
    "additionalProperties" in value || !isJsonObject(value["properties"] as JsonValue);
  return isClosed ? inner : { ...inner, additionalProperties: false };
}

function check(validate: ValidateFunction, value: unknown, what: string): void {
  assert.ok(
    validate(value),
    `${what}: ${JSON.stringify(validate.errors)} of ${JSON.stringify(value)?.slice(0, 500)}`,
  );
}

/** Every front that there is, whether or not somebody put it into the server's list. */
async function openers(): Promise<readonly OpenFront[]> {
  const root = new URL("./", import.meta.resolve("#src/front/front.js"));
  const folders = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const found: OpenFront[] = [];
  for (const { name } of folders) {
    const files = readdirSync(new URL(`${name}/`, root)).filter((file) => file.endsWith(".js"));
    for (const file of files) {
      const path = pathToFileURL(`${root.pathname}${name}/${file}`).href;
      const exported = (await import(path)) as Record<string, unknown>;
      for (const [each, value] of Object.entries(exported)) {
        if (/^open\w+Front$/.test(each)) found.push(value as OpenFront);
      }
    }
  }
  return found;
}

test("every route of every front says what it takes and gives", async () => {
  const silent: string[] = [];
  const seen: string[] = [];
  const spy: OpenFront = (parts) => {
    const real = [...tasks].map(([name, form]) => ({ ...form, name }));
    for (const open of all) {
      const { http } = open({
        ...parts,
        tasks: real,
        openApi: () => "{}",
        reload: () => assert.fail(),
      });
      for (const { method, path, doc } of http?.routes ?? []) {
        seen.push(path);
        // What a browser asks before it asks is no operation.
        if (doc === undefined && String(method) !== "OPTIONS") silent.push(`${method} ${path}`);
      }
    }
    return {};
  };
  const all = await openers();
  assert.ok(all.length >= 6);
  await using _front = await TestFront.start({}, {}, [spy]);
  assert.ok(
    seen.includes("/v1/infer") && seen.includes("/v2/translate") && seen.includes("/openapi.json"),
  );
  assert.deepEqual(silent, []);
});

test("the document names every operation once, with its parameters", () => {
  assert.equal(document.openapi, "3.1.0");
  const ids = operations().map(([, { operationId }]) => operationId);
  assert.deepEqual(ids.toSorted(), [...new Set(ids)].toSorted());
  assert.deepEqual(
    operations()
      .map(([key]) => key)
      .toSorted(),
    Object.keys(calls).toSorted(),
  );
  for (const [key, { parameters = [], summary }] of operations()) {
    assert.ok(summary !== "");
    const inPath = parameters.filter((each) => each.in === "path").map(({ name }) => `{${name}}`);
    assert.deepEqual(inPath, key.match(/\{[^}]+\}/g) ?? []);
  }
});

test("every schema compiles, and its examples are as it says", () => {
  const compile = (schema: JsonObject): ValidateFunction =>
    ajv.compile({ ...schema, components: document.components as JsonValue });
  for (const [key, { requestBody, responses }] of operations()) {
    // What becomes a WebSocket has nothing more to say over HTTP.
    const { "101": upgrade, ...replies } = responses;
    assert.equal(upgrade === undefined, replies["200"] !== undefined, key);
    for (const { content } of [...(requestBody ? [requestBody] : []), ...Object.values(replies)]) {
      assert.ok(Object.keys(content).length > 0, key);
      for (const { schema } of Object.values(content)) compile(schema);
    }
  }
  for (const [title, schema] of Object.entries(document.components.schemas)) {
    const { examples = [] } = schema as { readonly examples?: readonly JsonValue[] };
    for (const example of examples) check(compile(schema as JsonObject), example, title);
  }
});

for (const [key, each] of Object.entries(calls)) {
  test(`${key}: live replies are as the document says`, async () => {
    const [method = "", path = ""] = key.split(" ");
    const operation = document.paths[path]?.[method.toLowerCase()];
    assert.ok(operation !== undefined);
    for (const call of each) await checkCall({ method, path, operation }, call);
  });
}

async function checkCall(
  {
    method,
    path,
    operation,
  }: { readonly method: string; readonly path: string; readonly operation: Operation },
  { at = path, body, type = "application/json", accept, status = 200 }: Call,
): Promise<void> {
  const sent = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  const response = await fetch(`${server.url}${at}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": type }),
      ...(accept === undefined ? {} : { accept }),
    },
    ...(sent === undefined ? {} : { body: sent }),
  });
  const text = await response.text();
  assert.equal(response.status, status, text);
  const { content } =
    operation.responses[String(status)] ?? operation.responses["default"] ?? assert.fail();
  const given = (response.headers.get("content-type") ?? "").split(";", 1)[0] ?? "";
  const said = content[given];
  assert.ok(said !== undefined, `${at}: the document says nothing of ${given}`);
  if (status === 200 && isJsonObject(body as JsonValue)) {
    const asked = operation.requestBody?.content[type] ?? assert.fail();
    check(compiled(asked.schema, false), body, `${at}, request`);
  }
  if (given === "application/json") {
    check(compiled(said.schema, at !== "/openapi.json"), JSON.parse(text), at);
  }
  if (given !== "application/x-ndjson") return;
  const validate = compiled(said.schema, true);
  const lines = text.split("\n").filter((line) => line !== "");
  assert.ok(lines.length >= 2);
  for (const line of lines) check(validate, JSON.parse(line), `${at}, line`);
}

describe("a task's schema and what the task reads", () => {
  /** Right by itself, and not beside the query of the example. */
  const onlyByTheReader = ['rerank texts=[["a","b"]]'];
  const probes: readonly JsonValue[] = [
    null,
    true,
    {},
    [],
    "",
    "x",
    -2,
    0,
    1,
    1.5,
    3,
    1e9,
    ["a"],
    [["a", "b"]],
    [[1, 2]],
    [7],
  ];
  for (const [name, task] of tasks) {
    const { fields, schema } = task;
    test(`${name}: the same fields, and the same values of each`, () => {
      assert.ok(schema !== undefined);
      assert.deepEqual(Object.keys(schema.fields), fields);
      const required = new Set(schema.required);
      const limits = { requestInputsMax: 100 };
      task.read(schema.example, limits);
      const differ: string[] = [];
      for (const [field, each] of Object.entries(schema.fields)) {
        const validate = ajv.compile(each as JsonObject);
        // Without what cannot stand beside it.
        const others = schema.oneOf?.includes(field) === true ? schema.oneOf : [field];
        const rest = Object.fromEntries(
          Object.entries(schema.example).filter(([name]) => !others.includes(name)),
        );
        if (required.has(field) || others.length > 1)
          assert.throws(() => task.read(rest, limits), { code: "bad_request" });
        for (const probe of probes) {
          let refusedFor: string | null = null;
          try {
            task.read({ ...rest, [field]: probe }, limits);
          } catch (error) {
            refusedFor = String((error as { param?: unknown }).param);
          }
          // What is said of another field is that the two do not go together.
          const isRefused = refusedFor?.startsWith(field) === true;
          if (validate(probe) === isRefused) {
            differ.push(`${name} ${field}=${JSON.stringify(probe)}`);
          }
        }
      }
      assert.deepEqual(
        differ,
        onlyByTheReader.filter((each) => each.startsWith(`${name} `)),
      );
    });
  }
});
