/** OpenAI's own client asks for files and batches, unchanged but for the address, of a real server with a folder for jobs. */
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Ajv2020 } from "ajv/dist/2020.js";
import OpenAI, {
  type APIError,
  BadRequestError,
  ConflictError,
  NotFoundError,
  toFile,
} from "openai";
import type { Batch, BatchCreateParams } from "openai/resources/batches";
import type { FileObject } from "openai/resources/files";
import { openOpenAiFront } from "#src/front/openai/openai.js";
import type { MillraceServer } from "#src/index.js";
import { accessFor, TestFront } from "../support/http-front.js";
import { startWithJobs } from "../support/job-server.js";
import { made } from "../support/job-work.js";
import { isLong, longTest } from "../support/long.js";
import { encoderWidth, writeMadeEncoder } from "../support/made-encoder.js";
import { TempDir } from "../support/temp-dir.js";

let temp: TempDir;
let server: MillraceServer;
let client: OpenAI;

before(async () => {
  temp = await TempDir.make();
  const embedding = { pooling: "mean", normalize: true, width: encoderWidth, own: false } as const;
  await writeMadeEncoder(temp.file("models/words"), { embedding });
  await writeMadeEncoder(temp.file("models/labels"), { labels: ["x", "y"] });
  server = await startWithJobs({ models: temp.file("models"), data: temp.file("data") });
  client = clientOf(server.url);
});

after(async () => {
  await server.close();
  await temp[Symbol.asyncDispose]();
});

function clientOf(url: string): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-anything", maxRetries: 0 });
}

const embeddings = "/v1/embeddings";
const request = (custom_id: string, body: object, more: object = {}): string =>
  JSON.stringify({ custom_id, method: "POST", url: embeddings, body, ...more });
const words = (custom_id: string, input: unknown = "hello world"): string =>
  request(custom_id, { model: "words", input });

async function upload(lines: readonly string[], name = "in.jsonl"): Promise<FileObject> {
  const file = await toFile(Buffer.from(`${lines.join("\n")}\n`), name);
  return await client.files.create({ file, purpose: "batch" });
}

/** Windows other than a day are ours. */
async function create(
  file: Pick<FileObject, "id">,
  more: { readonly endpoint?: string; readonly completion_window?: string } & Partial<
    Omit<BatchCreateParams, "endpoint" | "completion_window">
  > = {},
): Promise<Batch> {
  return await client.batches.create({
    input_file_id: file.id,
    endpoint: embeddings,
    completion_window: "24h",
    ...more,
  } as BatchCreateParams);
}

const over = ["completed", "failed", "expired", "cancelled"];

async function ended({ id }: Batch): Promise<Batch> {
  for (;;) {
    const batch = await client.batches.retrieve(id);
    if (over.includes(batch.status)) return batch;
    await delay(20);
  }
}

interface Document {
  readonly components: object;
  readonly paths: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          {
            readonly responses: Readonly<
              Record<
                string,
                { readonly content: Readonly<Record<string, { readonly schema: object }>> }
              >
            >;
          }
        >
      >
    >
  >;
}

interface OutputLine {
  readonly id: string;
  readonly custom_id: string;
  readonly response: {
    readonly status_code: number;
    readonly request_id: string;
    readonly body: { readonly [name: string]: unknown; readonly error?: { readonly code: string } };
  } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

async function linesOf(fileId: string | undefined | null): Promise<OutputLine[]> {
  assert.ok(fileId);
  const text = await (await client.files.content(fileId)).text();
  const { bytes } = await client.files.retrieve(fileId);
  assert.equal(Buffer.byteLength(text), bytes);
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as OutputLine);
}

async function failure(work: Promise<unknown>): Promise<APIError> {
  try {
    await work;
  } catch (error) {
    return error as APIError;
  }
  return assert.fail("it has not failed");
}

describe("files", () => {
  test("an upload from a stream is kept to the byte, its purpose before or behind it", async () => {
    const text = Array.from({ length: isLong ? 20_000 : 2_000 }, (_, at) =>
      words(`r-${at}`, "é "),
    ).join("\r\n");
    await writeFile(temp.file("large.jsonl"), text);
    const bytes = Buffer.byteLength(text);
    for (const parts of [
      { file: createReadStream(temp.file("large.jsonl")), purpose: "batch" },
      { purpose: "batch", file: createReadStream(temp.file("large.jsonl")) },
    ] as const) {
      const made = await client.files.create(parts);
      const { id, created_at, expires_at = 0, ...rest } = made;
      assert.deepEqual(rest, {
        object: "file",
        bytes,
        filename: "large.jsonl",
        purpose: "batch",
        status: "processed",
        status_details: null,
      });
      assert.equal(expires_at - created_at, 30 * 86_400);
      assert.deepEqual(await client.files.retrieve(id), made);
      assert.equal(await (await client.files.content(id)).text(), text);
      assert.deepEqual(await client.files.delete(id), { id, object: "file", deleted: true });
      assert.ok((await failure(client.files.retrieve(id))) instanceof NotFoundError);
    }
  });

  test("when it expires and what it is for may be said behind it", async () => {
    const file = await toFile(Buffer.from(words("a")), "a.jsonl");
    const expires_after = { anchor: "created_at", seconds: 7_200 } as const;
    const made = await client.files.create({ file, purpose: "user_data", expires_after });
    assert.equal(made.purpose, "user_data");
    assert.equal((made.expires_at ?? 0) - made.created_at, 7_200);
    const error = await failure(create(made));
    assert.ok(error instanceof BadRequestError);
    assert.equal(error.param, "input_file_id");
    assert.match(error.message, /purpose/);
    await client.files.delete(made.id);
  });

  test("lists page themselves, newest first, and by purpose", async () => {
    const made: string[] = [];
    for (let at = 0; at < 5; at += 1) made.push((await upload([words(`l-${at}`)])).id);
    const seen: string[] = [];
    for await (const { id } of client.files.list({ limit: 2 })) seen.push(id);
    assert.deepEqual(seen.slice(0, 5), made.toReversed());
    const first = await client.files.list({ limit: 2, order: "asc", after: made[1] ?? "" });
    assert.deepEqual(
      first.data.map(({ id }) => id),
      made.slice(2, 4),
    );
    assert.equal(first.has_more, true);
    assert.deepEqual((await client.files.list({ purpose: "vision" })).data, []);
    for (const id of made) await client.files.delete(id);
    const error = await failure(client.files.list({ after: "file-nobodys" }));
    assert.equal(error.param, "after");
  });

  test("defect: who deletes each file as they list it was refused the second page", async () => {
    const made: string[] = [];
    for (let at = 0; at < 5; at += 1) made.push((await upload([words(`d-${at}`)])).id);
    for await (const { id } of client.files.list({ limit: 2, purpose: "batch" })) {
      if (made.includes(id)) await client.files.delete(id);
    }
    for (const id of made) await assert.rejects(client.files.retrieve(id), NotFoundError);
    const again = await client.files.list({ order: "asc", after: made[4] ?? "" });
    assert.deepEqual(again.data, []);
  });

  test("what is wrong with an upload leaves nothing of it", async () => {
    const url = `${server.url}/v1/files`;
    const part = (name: string, value: string, more = ""): string =>
      `--B\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`;
    const file = part("file", words("a"), '; filename="a.jsonl"');
    const batch = part("purpose", "batch");
    const type = "multipart/form-data; boundary=B";
    const cases: readonly (readonly [body: string, status: number, said: RegExp, type?: string])[] =
      [
        [`${file}--B--\r\n`, 400, /Missing required parameter: 'purpose'/],
        [`${batch}--B--\r\n`, 400, /Missing required parameter: 'file'/],
        [`${file}${part("purpose", "fun")}--B--\r\n`, 400, /'fun' is not one of/],
        [`${part("purpose", "fun")}${file}--B--\r\n`, 400, /'fun' is not one of/],
        [`${file}${batch}${part("size", "1")}--B--\r\n`, 400, /Unknown parameter: 'size'/],
        [`${file}${batch}${batch}--B--\r\n`, 400, /"purpose\\?" twice/],
        [`${file}${file}${batch}--B--\r\n`, 400, /more than one file/],
        [`${batch}${part("files", "x", '; filename="x"')}--B--\r\n`, 400, /parameter: 'file'/],
        [
          `${file}${batch}${part("expires_after[seconds]", "60")}--B--\r\n`,
          400,
          /from 3600 to 2592000/,
        ],
        [`${file}${batch}`, 400, /multipart body is broken/],
        [`${batch}${file.slice(0, -20)}`, 400, /multipart body is broken/],
        [
          `${batch}${part("file", "{}\n\xff{", '; filename="a"')}--B--\r\n`,
          400,
          /Line 2 is not UTF-8/,
        ],
        ["{}", 415, /multipart/, "application/json"],
      ];
    const before = await client.files.list();
    for (const [body, status, said, contentType = type] of cases) {
      const response = await fetch(url, {
        method: "POST",
        body: Buffer.from(body, "latin1"),
        headers: { "content-type": contentType },
      });
      const text = await response.text();
      assert.equal(response.status, status, `${body} ${text}`);
      assert.match(text, said);
      assert.match(text, /^\{"error":\{"message":.*"type":"invalid_request_error"/);
    }
    assert.deepEqual((await client.files.list()).data, before.data);
  });

  test("a file that is not there is told in their words", async () => {
    for (const work of [
      client.files.retrieve("file-nobody"),
      client.files.delete("file-nobody"),
      client.files.content("file-nobody"),
    ]) {
      const error = await failure(work);
      assert.ok(error instanceof NotFoundError);
      assert.match(error.message, /No such File object: file-nobody/);
      assert.equal(error.type, "invalid_request_error");
    }
  });
});

describe("batches", () => {
  test("each line has the reply of its route; what the route refuses is in the file of errors", async () => {
    const file = await upload([
      words("one"),
      words("none", ["hello", 7]),
      "",
      words("two", ["good", "bad"]),
      request("nobody", { model: "nobody", input: "a" }),
    ]);
    const metadata = { project: "p", empty: "" };
    const made = await create(file, { metadata });
    assert.match(made.status, /validating|in_progress/);
    const batch = await ended(made);
    assert.deepEqual(
      [batch.status, batch.request_counts, batch.metadata, batch.errors],
      ["completed", { total: 4, completed: 2, failed: 2 }, metadata, null],
    );
    assert.equal((batch.expires_at ?? 0) - batch.created_at, 86_400);
    const { in_progress_at = 0, finalizing_at = 0, completed_at = 0 } = batch;
    assert.ok(batch.created_at <= in_progress_at && finalizing_at <= completed_at);
    const output = await linesOf(batch.output_file_id);
    assert.deepEqual(
      output.map(({ custom_id }) => custom_id),
      ["one", "two"],
    );
    const direct = await client.embeddings.create({
      model: "words",
      input: ["good", "bad"],
      encoding_format: "float",
    });
    assert.deepEqual(output[1]?.response?.body, JSON.parse(JSON.stringify(direct)));
    assert.equal(output[1]?.error, null);
    assert.match(`${output[1]?.id} ${output[1]?.response?.request_id}`, /^batch_req_\w+ req_\w+$/);
    const errors = await linesOf(batch.error_file_id);
    assert.deepEqual(
      errors.map(({ custom_id, response }) => [
        custom_id,
        response?.status_code,
        response?.body.error?.code,
      ]),
      [
        ["none", 400, "bad_request"],
        ["nobody", 404, "model_not_found"],
      ],
    );
    const results = await client.files.retrieve(batch.output_file_id ?? "");
    assert.equal(results.purpose, "batch_output");
  });

  test("the native routes too, each line as that route has it", async () => {
    for (const [endpoint, body] of [
      ["/v1/embed", { model: "words", texts: ["hello"] }],
      ["/v1/classify", { texts: ["a", "b"], topK: 1 }],
      ["/v1/tokenize", { model: "words", texts: ["hello world"] }],
    ] as const) {
      const file = await upload([request("a", body, { url: endpoint })]);
      const batch = await ended(await create(file, { endpoint }));
      assert.equal(batch.status, "completed", JSON.stringify(batch));
      const [line] = await linesOf(batch.output_file_id);
      const direct = await fetch(`${server.url}${endpoint}`, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      });
      const { results } = (await direct.json()) as { readonly results: unknown };
      assert.deepEqual(line?.response?.body["results"], results, endpoint);
    }
  });

  test("lines that cannot be run fail the batch, with their numbers; nothing of it is run", async () => {
    const file = await upload([
      words("a"),
      "",
      "{",
      words("a"),
      request("b", {}, { url: "/v1/embed" }),
      request("c", {}, { method: "GET" }),
      JSON.stringify({ custom_id: "d", method: "POST", url: embeddings }),
    ]);
    const batch = await ended(await create(file));
    assert.equal(batch.status, "failed");
    assert.ok(batch.failed_at);
    assert.deepEqual(
      batch.errors?.data?.map(({ line, code, param }) => [line, code, param]),
      [
        [3, "invalid_json_line", null],
        [4, "duplicate_custom_id", "custom_id"],
        [5, "invalid_url", "url"],
        [6, "invalid_method", "method"],
        [7, "missing_required_parameter", "body"],
      ],
    );
    assert.equal(batch.output_file_id, null);
    const empty = await ended(await create(await upload(["", ""])));
    assert.deepEqual(
      empty.errors?.data?.map(({ code }) => code),
      ["empty_file"],
    );
  });

  test("thousands of lines: the last one has the id of the first", async () => {
    const count = isLong ? 50_000 : 5_000;
    const lines = Array.from({ length: count }, (_, at) => words(`r-${at % (count - 1)}`));
    const batch = await ended(await create(await upload(lines)));
    assert.equal(batch.request_counts?.total, count);
    assert.deepEqual(
      batch.errors?.data?.map(({ line, code }) => [line, code]),
      [[count, "duplicate_custom_id"]],
    );
  });

  test("what is wrong with a batch itself is refused at once", async () => {
    const file = await upload([words("a")]);
    const pairs = Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`k${at}`, "v"]));
    const cases: readonly (readonly [more: Parameters<typeof create>[1], param: string])[] = [
      [{ endpoint: "/v1/chat/completions" }, "endpoint"],
      [{ completion_window: "soon" }, "completion_window"],
      [{ completion_window: "31d" }, "completion_window"],
      [{ metadata: pairs }, "metadata"],
      [{ metadata: { ["k".repeat(65)]: "v" } }, "metadata"],
      [{ metadata: { k: "v".repeat(513) } }, "metadata.k"],
      [
        { output_expires_after: { anchor: "created_at", seconds: 60 } },
        "output_expires_after.seconds",
      ],
    ];
    for (const [more, param] of cases) {
      const error = await failure(create(file, more));
      assert.ok(error instanceof BadRequestError, `${JSON.stringify(more)}: ${error.message}`);
      assert.equal(error.param, param);
    }
    const nobody = await failure(create({ id: "file-nobody" }));
    assert.ok(nobody instanceof NotFoundError);
    assert.match(nobody.message, /No such File object: file-nobody/);
    for (const work of [
      client.batches.retrieve("batch_nobody"),
      client.batches.cancel("batch_nobody"),
    ]) {
      const error = await failure(work);
      assert.ok(error instanceof NotFoundError);
      assert.match(error.message, /No batch found with id 'batch_nobody'/);
    }
  });

  test("lists page themselves; results expire when they shall; a native job is no batch", async () => {
    const file = await upload([words("a")]);
    const made: string[] = [];
    for (let at = 0; at < 5; at += 1) made.push((await create(file)).id);
    const native = await fetch(`${server.url}/v1/jobs`, {
      method: "POST",
      body: JSON.stringify({ task: "embed", model: "words", texts: ["a"] }),
      headers: { "content-type": "application/json" },
    });
    const { job } = (await native.json()) as { readonly job: { readonly id: string } };
    assert.ok((await failure(client.batches.retrieve(job.id))) instanceof NotFoundError);
    const seen: string[] = [];
    for await (const { id } of client.batches.list({ limit: 2 })) seen.push(id);
    assert.deepEqual(seen.slice(0, 5), made.toReversed());
    const output_expires_after = { anchor: "created_at", seconds: 3_600 } as const;
    const batch = await ended(await create(file, { output_expires_after }));
    const results = await client.files.retrieve(batch.output_file_id ?? "");
    assert.equal((results.expires_at ?? 0) - results.created_at, 3_600);
    assert.equal((await client.batches.cancel(batch.id)).status, "completed");
  });

  test("a batch that is cancelled keeps what was done; its file cannot be deleted before", async () => {
    const lines = Array.from({ length: 4_000 }, (_, at) => words(`c-${at}`, "a good bad a"));
    const file = await upload(lines);
    const made = await create(file);
    const error = await failure(client.files.delete(file.id));
    assert.ok(error instanceof ConflictError, error.message);
    while ((await client.batches.retrieve(made.id)).request_counts?.completed === 0)
      await delay(10);
    assert.match((await client.batches.cancel(made.id)).status, /^cancell/);
    const batch = await ended(made);
    assert.equal(batch.status, "cancelled");
    assert.ok(batch.cancelling_at && batch.cancelled_at);
    const output = await linesOf(batch.output_file_id);
    const rest = await linesOf(batch.error_file_id);
    assert.ok(output.length > 0);
    assert.equal(output.length + rest.length, lines.length);
    assert.deepEqual([...new Set(rest.map((line) => line.error?.code))], ["batch_cancelled"]);
    // Its file of errors tells of lines of it.
    assert.ok((await failure(client.files.delete(file.id))) instanceof ConflictError);
    await client.files.delete(batch.error_file_id ?? "");
    await client.files.delete(file.id);
  });

  longTest(
    "a batch whose window is over has expired, and its results are those until then",
    {},
    async () => {
      // More than any machine does in a second.
      const lines = Array.from({ length: 40_000 }, (_, at) => words(`e-${at}`, "a good bad a"));
      const batch = await ended(await create(await upload(lines), { completion_window: "1s" }));
      assert.equal(batch.status, "expired");
      assert.ok(batch.expired_at);
      const rest = await linesOf(batch.error_file_id);
      const done = batch.output_file_id === null ? [] : await linesOf(batch.output_file_id);
      assert.equal(done.length + rest.length, lines.length);
      assert.deepEqual([...new Set(rest.map((line) => line.error?.code))], ["batch_expired"]);
    },
  );
});

test("live replies are as the document of the routes says", async () => {
  const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as Document;
  const ajv = new Ajv2020({ allowUnionTypes: true, strict: true, strictRequired: false });
  ajv.addVocabulary(["components"]);
  const { components } = document;
  const check = async (method: string, path: string, at = path): Promise<void> => {
    const response = await fetch(`${server.url}${at}`, { method });
    const said = document.paths[path]?.[method.toLowerCase()];
    const schema = said?.responses["200"]?.content["application/json"]?.schema;
    const validate = ajv.compile({ ...schema, components });
    const value: unknown = await response.json();
    assert.equal(response.status, 200, JSON.stringify(value));
    assert.ok(validate(value), `${at}: ${JSON.stringify(validate.errors)}`);
  };
  const file = await upload([words("a")]);
  const failed = await ended(await create(await upload(["{"])));
  const batch = await ended(await create(file, { metadata: { a: "b" } }));
  await check("GET", "/v1/files");
  await check("GET", "/v1/files/{file_id}", `/v1/files/${file.id}`);
  await check("GET", "/v1/batches");
  for (const { id } of [failed, batch]) {
    await check("GET", "/v1/batches/{batch_id}", `/v1/batches/${id}`);
    await check("POST", "/v1/batches/{batch_id}/cancel", `/v1/batches/${id}/cancel`);
  }
  await check("DELETE", "/v1/files/{file_id}", `/v1/files/${file.id}`);
});

test("with keys each sees its own, and nothing of others", async () => {
  await using work = await made();
  const access = accessFor("one", "other");
  await using front = await TestFront.start({}, { access, jobs: work.jobs }, [
    (parts) => openOpenAiFront({ ...parts, jobs: work.jobs }),
  ]);
  const [one, other] = ["one", "other"].map(
    (apiKey) => new OpenAI({ baseURL: `${front.url}/v1`, apiKey, maxRetries: 0 }),
  );
  assert.ok(one && other);
  const file = await toFile(Buffer.from(words("a")), "a.jsonl");
  const { id } = await one.files.create({ file, purpose: "batch" });
  const body = { input_file_id: id, endpoint: embeddings, completion_window: "24h" } as const;
  const batch = await one.batches.create(body);
  assert.equal((await one.files.list()).data.length, 1);
  assert.equal((await one.batches.list()).data.length, 1);
  assert.deepEqual((await other.files.list()).data, []);
  assert.deepEqual((await other.batches.list()).data, []);
  for (const asked of [
    () => other.files.retrieve(id),
    () => other.files.content(id),
    () => other.files.delete(id),
    () => other.batches.create(body),
    () => other.batches.retrieve(batch.id),
    () => other.batches.cancel(batch.id),
  ]) {
    assert.ok((await failure(asked())) instanceof NotFoundError);
  }
});

test("a server without a folder for jobs says so", async () => {
  await using front = await TestFront.start({}, {}, [openOpenAiFront]);
  const without = clientOf(front.url);
  for (const work of [
    without.files.list(),
    without.batches.list(),
    without.batches.retrieve("batch_1"),
  ]) {
    const error = await failure(work);
    assert.equal(error.status, 501);
    assert.equal(error.code, "batches_not_supported");
    assert.match(error.message, /--data/);
  }
});
