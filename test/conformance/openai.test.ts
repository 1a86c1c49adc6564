/** OpenAI's own client in front of real pipelines, unchanged but for the address; and what it is told when something is wrong. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type EmbedResponse, type ErrorCode, MillraceError } from "millrace-client/wire";
import OpenAI, {
  APIConnectionTimeoutError,
  type APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
  UnprocessableEntityError,
} from "openai";
import { openOpenAiFront } from "#src/front/openai/openai.js";
import { createServer, type MillraceServer } from "#src/index.js";
import { TestFront } from "../support/http-front.js";
import { encoderWidth, encoderWords, writeMadeEncoder } from "../support/made-encoder.js";
import { assertIdle, getStatus, until } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

let temp: TempDir;
let server: MillraceServer;
let client: OpenAI;

before(async () => {
  temp = await TempDir.make();
  const embedding = { pooling: "mean", normalize: true, width: encoderWidth, own: false } as const;
  await writeMadeEncoder(temp.file("words"), { embedding });
  await writeMadeEncoder(temp.file("labels"), { labels: ["x", "y"] });
  server = await createServer({
    models: temp.path,
    port: 0,
    pipelines: 1,
    threads: 1,
    requestInputsMax: 2_048,
    logLevel: "silent",
  });
  client = clientOf(server.url);
});

after(async () => {
  await server.close();
  await temp[Symbol.asyncDispose]();
});

function clientOf(url: string, maxRetries = 0): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-anything", maxRetries });
}

async function native(texts: readonly string[], settings: object = {}): Promise<EmbedResponse> {
  const response = await fetch(`${server.url}/v1/embed`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ texts, ...settings }),
  });
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as EmbedResponse;
}

async function vectorsOf(texts: readonly string[], settings: object = {}): Promise<number[][]> {
  const { results } = await native(texts, settings);
  return results.map((result) =>
    "error" in result ? assert.fail(result.error.message) : (result.embedding as number[]),
  );
}

async function failure(work: Promise<unknown>): Promise<APIError> {
  try {
    await work;
  } catch (error) {
    return error as APIError;
  }
  return assert.fail("it has not failed");
}

describe("vectors", () => {
  const texts = ["hello world", "good bad good", "a", "hello"];

  test("the client's own way, base64, is the native route's numbers bit by bit, in order", async () => {
    const { data, model, object, usage } = await client.embeddings.create({
      model: "words",
      input: texts,
    });
    assert.deepEqual([object, model], ["list", "words"]);
    assert.deepEqual(
      data.map(({ index, object: each }) => [index, each]),
      texts.map((_, index) => [index, "embedding"]),
    );
    assert.deepEqual(
      data.map(({ embedding }) => embedding),
      (await vectorsOf(texts)).map((vector) => [...new Float32Array(vector)]),
    );
    // Two special tokens each.
    assert.deepEqual(usage, { prompt_tokens: 15, total_tokens: 15 });
  });

  test("lists of numbers are those of the native route", async () => {
    const { data } = await client.embeddings.create({
      model: "words",
      input: texts,
      encoding_format: "float",
      user: "somebody",
    });
    assert.deepEqual(
      data.map(({ embedding }) => embedding),
      await vectorsOf(texts),
    );
  });

  test("one text, fewer dimensions", async () => {
    const { data } = await client.embeddings.create({
      model: "words",
      input: "hello world",
      dimensions: 2,
      encoding_format: "float",
    });
    const expected = await vectorsOf(["hello world"], { dimensions: 2 });
    assert.deepEqual(data, [{ object: "embedding", index: 0, embedding: expected[0] }]);
  });

  test("who says nothing of the format gets numbers, and null says nothing", async () => {
    const response = await fetch(`${server.url}/v1/embeddings`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: "Bearer x" },
      body: JSON.stringify({ input: "a", encoding_format: null, dimensions: null, user: null }),
    });
    const body = (await response.json()) as OpenAI.CreateEmbeddingResponse;
    assert.deepEqual(body.data[0]?.embedding, (await vectorsOf(["a"]))[0]);
    assert.match(response.headers.get("openai-processing-ms") ?? "", /^\d+$/);
  });

  test("token ids of one text, and of many, are taken as they are", async () => {
    const ids = ["hello world", "a"].map((text) => [
      encoderWords.indexOf("[CLS]"),
      ...text.split(" ").map((word) => encoderWords.indexOf(word as "a")),
      encoderWords.indexOf("[SEP]"),
    ]);
    const expected = await vectorsOf(["hello world", "a"]);
    const many = { model: "words", input: ids, encoding_format: "float" } as const;
    const { data, usage } = await client.embeddings.create(many);
    assert.deepEqual(
      data.map(({ embedding }) => embedding),
      expected,
    );
    assert.equal(usage.prompt_tokens, 7);
    const one = await client.embeddings.create({ ...many, input: ids[1] ?? [] });
    assert.deepEqual(
      one.data.map(({ embedding }) => embedding),
      expected.slice(1),
    );
  });

  test("two hundred callers at once: each has its own", async () => {
    const expected = await vectorsOf(texts);
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, caller) =>
        client.embeddings.create({
          model: "words",
          input: texts[caller % texts.length] ?? "",
          encoding_format: "float",
        }),
      ),
    );
    for (const [caller, { data }] of answers.entries()) {
      assert.deepEqual(data[0]?.embedding, expected[caller % texts.length]);
    }
    await until(async () => (await getStatus(server.url)).requests.active === 0);
    assertIdle(await getStatus(server.url));
  });
});

describe("models", () => {
  test("the list is read by the client, and has what the native reader looks for", async () => {
    const listed: OpenAI.Model[] = [];
    for await (const model of client.models.list()) listed.push(model);
    assert.deepEqual(listed.map(({ id }) => id).toSorted(), ["labels", "words"]);
    const now = Date.now() / 1_000;
    for (const { object, created, owned_by } of listed) {
      assert.deepEqual([object, owned_by], ["model", "millrace"]);
      assert.ok(Number.isInteger(created) && created > now - 3_600 && created <= now);
    }
    const { models, deployment } = (await (await fetch(`${server.url}/v1/models`)).json()) as {
      readonly models: readonly { readonly name: string; readonly task: string }[];
      readonly deployment: object;
    };
    assert.deepEqual(models.map(({ name, task }) => `${name} ${task}`).toSorted(), [
      "labels classify",
      "words embed",
    ]);
    assert.ok("configHash" in deployment);
  });

  test("one of them, and one that is none", async () => {
    const { id } = await client.models.retrieve("words");
    assert.equal(id, "words");
    const error = await failure(client.models.retrieve("gpt-9"));
    assert.ok(error instanceof NotFoundError);
    assert.deepEqual([error.code, error.type], ["model_not_found", "invalid_request_error"]);
  });
});

describe("what is wrong is told as the client expects it", () => {
  const embed = (body: object): Promise<unknown> =>
    client.embeddings.create({
      model: "words",
      input: "a",
      ...body,
    } as OpenAI.EmbeddingCreateParams);
  const cases: readonly (readonly [
    what: string,
    body: object,
    kind: new (...args: never[]) => APIError,
    code: string,
    param: string | null,
    says: RegExp,
  ])[] = [
    [
      "no such model",
      { model: "gpt-9" },
      NotFoundError,
      "model_not_found",
      "model",
      /no model gpt-9/,
    ],
    [
      "a model of another task",
      { model: "labels" },
      NotFoundError,
      "model_not_found",
      "model",
      /classify/,
    ],
    [
      "one bad input among good ones",
      { input: ["a", "b", "good", "nan"] },
      UnprocessableEntityError,
      "item_failed",
      "input[3]",
      /^422 input\[3\]: .*finite/,
    ],
    [
      "too long, the fourth",
      { input: ["a", "b", "a", "a ".repeat(99)] },
      BadRequestError,
      "context_length_exceeded",
      "input[3]",
      /^400 input\[3\] has 101 tokens/,
    ],
    [
      "too long, alone",
      { input: "a ".repeat(99) },
      BadRequestError,
      "context_length_exceeded",
      "input",
      /^400 input has 101/,
    ],
    ["nothing", { input: [] }, BadRequestError, "input_empty", "input", /`input` is empty/],
    [
      "an object",
      { input: {} },
      BadRequestError,
      "bad_request",
      "input",
      /a text, a list of texts, or token ids/,
    ],
    ["null", { input: null }, BadRequestError, "bad_request", "input", /not null/],
    [
      "texts and ids",
      { input: ["a", 1] },
      BadRequestError,
      "bad_request",
      "input[1]",
      /must be a text/,
    ],
    [
      "a pair, which this protocol has not",
      { input: ["a", ["b", "a"]] },
      BadRequestError,
      "bad_request",
      "input[1]",
      /must be a text/,
    ],
    [
      "an id that the model has not",
      { input: [2, 99, 3] },
      BadRequestError,
      "token_out_of_range",
      "input[1]",
      /^400 .*input\[1\]/,
    ],
    [
      "an id that is none, of the second text",
      {
        input: [
          [2, 3],
          [2, -4],
        ],
      },
      BadRequestError,
      "bad_request",
      "input[1][1]",
      /`input\[1\]\[1\]`: must be a token id/,
    ],
    [
      "no ids",
      { input: [[2, 3], []] },
      BadRequestError,
      "input_empty",
      "input[1]",
      /`input\[1\]` is empty/,
    ],
    [
      "a lone surrogate",
      { input: ["a", "\ud800"] },
      BadRequestError,
      "bad_encoding",
      "input[1]",
      /lone surrogate/,
    ],
    [
      "too many",
      { input: Array(2_049).fill("a") },
      BadRequestError,
      "array_above_max_length",
      "input",
      /2049 inputs; at most 2048/,
    ],
    [
      "more dimensions than there are",
      { dimensions: 5 },
      BadRequestError,
      "bad_request",
      "dimensions",
      /vectors have 4/,
    ],
    ["no dimension", { dimensions: 0 }, BadRequestError, "bad_request", "dimensions", />=1/],
    [
      "another format",
      { encoding_format: "int8" },
      BadRequestError,
      "bad_request",
      "encoding_format",
      /base64/,
    ],
    [
      "a field of somebody else's",
      { input_type: "query" },
      BadRequestError,
      "bad_request",
      null,
      /input_type/,
    ],
  ];
  for (const [what, body, kind, code, param, says] of cases) {
    test(what, async () => {
      const error = await failure(embed(body));
      assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
      assert.equal(error.code, code);
      assert.equal(error.param, param);
      assert.match(error.message, says);
    });
  }

  test("what this server has not: the path is named", async () => {
    const asked = client.chat.completions.create({ model: "words", messages: [] });
    const error = await failure(asked);
    assert.ok(error instanceof NotFoundError);
    assert.equal(error.code, "unknown_url");
    assert.match(error.message, /no route "\/v1\/chat\/completions"/);
  });

  test("a body that is no JSON, or of another type", async () => {
    const send = async (body: string, type: string): Promise<unknown> => {
      const headers = { "content-type": type };
      const response = await fetch(`${server.url}/v1/embeddings`, {
        method: "POST",
        body,
        headers,
      });
      return [response.status, ((await response.json()) as { error: { code: string } }).error.code];
    };
    assert.deepEqual(await send("{", "application/json"), [400, "bad_request"]);
    assert.deepEqual(await send("[".repeat(99_999), "application/json"), [400, "bad_request"]);
    assert.deepEqual(await send("a=1", "application/x-www-form-urlencoded"), [
      415,
      "unsupported_media_type",
    ]);
  });
});

describe("what the server refuses, before an echo", () => {
  const start = (): Promise<TestFront> =>
    TestFront.start({ bodyBytesMax: 2_048 }, {}, [openOpenAiFront]);
  const refusals: readonly (readonly [
    code: ErrorCode,
    kind: new (...args: never[]) => APIError,
    status: number,
    told: string,
    type: string,
  ])[] = [
    ["unauthenticated", AuthenticationError, 401, "invalid_api_key", "invalid_request_error"],
    ["forbidden", PermissionDeniedError, 403, "insufficient_permissions", "permission_error"],
    ["rate_limited", RateLimitError, 429, "rate_limit_exceeded", "rate_limit_error"],
    ["quota_exceeded", RateLimitError, 429, "insufficient_quota", "insufficient_quota"],
    ["queue_full", RateLimitError, 429, "queue_full", "rate_limit_error"],
    ["not_ready", InternalServerError, 503, "not_ready", "server_error"],
    ["draining", InternalServerError, 503, "draining", "server_error"],
    ["deadline_exceeded", InternalServerError, 504, "deadline_exceeded", "server_error"],
    ["worker_lost", InternalServerError, 503, "worker_lost", "server_error"],
    ["internal", InternalServerError, 500, "internal", "server_error"],
  ];

  test("each by its class, and tried again only where that helps", async () => {
    await using front = await start();
    const eager = clientOf(front.url, 1);
    for (const [code, kind, status, told, type] of refusals) {
      const refusal = new MillraceError(code, "no", { retryAfterMs: 1 });
      front.submit.refuseWith = refusal;
      const before = front.submit.seen.length;
      const asker = refusal.retryable ? clientOf(front.url) : eager;
      const error = await failure(asker.embeddings.create({ model: "echo", input: "a" }));
      assert.ok(error instanceof kind, code);
      assert.deepEqual([error.status, error.code, error.type], [status, told, type]);
      assert.equal(front.submit.seen.length, before + 1, `${code} was sent once`);
      const after = error.headers?.get("retry-after") ?? null;
      assert.equal(after, status === 429 || status === 503 ? "1" : null, code);
      assert.equal(error.headers?.get("x-should-retry"), String(refusal.retryable));
      assert.match(error.requestID ?? "", /^[\w-]{36}$/);
    }
  });

  test("draining is refused before the body is read, and so is a body that is too large", async () => {
    await using front = await start();
    const error = await failure(
      clientOf(front.url).embeddings.create({ model: "echo", input: "a".repeat(4_096) }),
    );
    assert.deepEqual([error.status, error.code], [413, "body_too_large"]);
    front.state = "draining";
    const drained = await failure(
      clientOf(front.url).embeddings.create({ model: "echo", input: "a" }),
    );
    assert.deepEqual([drained.status, drained.code], [503, "draining"]);
    assert.equal(front.submit.seen.length, 0);
  });

  test("who leaves, or waits no longer, has their work dropped", async () => {
    await using front = await start();
    front.submit.hold();
    const leaver = new AbortController();
    const left = failure(
      clientOf(front.url).embeddings.create(
        { model: "echo", input: "a" },
        { signal: leaver.signal },
      ),
    );
    await front.submit.arrived(1);
    leaver.abort();
    assert.ok((await left) instanceof APIUserAbortError);
    // On a busy machine who waits for a moment has gone before the request is there.
    for (let timeout = 50; front.submit.seen.length === 1; timeout *= 2) {
      const late = await failure(
        clientOf(front.url).embeddings.create({ model: "echo", input: "a" }, { timeout }),
      );
      assert.ok(late instanceof APIConnectionTimeoutError);
    }
    await until(() => front.submit.seen.every(({ signal }) => signal.aborted));
  });
});
