/** Bad inputs: each is answered with its status and code, and harms nobody beside it. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import type { ErrorCode, ErrorResponse, TranslateResponse } from "millrace-client/wire";
import { TestFront } from "../support/http-front.js";

interface BadInput {
  readonly what: string;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status: number;
  readonly code: ErrorCode;
  readonly param?: string;
  readonly message?: RegExp;
}

const bad = { status: 400, code: "bad_request" } as const;
const bytesMax = 1024 * 1024;

const badInputs: readonly BadInput[] = [
  { what: "no body", body: "", ...bad },
  { what: "not JSON", body: "texts=hello", ...bad },
  { what: "half of JSON", body: '{"texts": ["a', ...bad },
  { what: "null", body: "null", ...bad, message: /not null/ },
  { what: "a list", body: "[]", ...bad, message: /not a list/ },
  { what: "a byte order mark", body: '\ufeff{"texts":"a"}', ...bad },
  { what: "no input", body: {}, ...bad, param: "texts" },
  { what: "both inputs", body: { texts: "a", tokenIds: [[1]] }, ...bad, param: "texts" },
  { what: "texts is a number", body: { texts: 1 }, ...bad, param: "texts" },
  { what: "texts is null", body: { texts: null }, ...bad, param: "texts" },
  { what: "a text is null", body: { texts: ["a", null] }, ...bad, param: "texts[1]" },
  { what: "a text is a list", body: { texts: ["a", "b", ["c"]] }, ...bad, param: "texts[2]" },
  { what: "no texts", body: { texts: [] }, status: 422, code: "input_empty", param: "texts" },
  { what: "no token lists", body: { tokenIds: [] }, status: 422, code: "input_empty" },
  {
    what: "a list without tokens",
    body: { tokenIds: [[1], []] },
    status: 422,
    code: "input_empty",
    param: "tokenIds[1]",
  },
  { what: "a token is a text", body: { tokenIds: [[1, "2"]] }, ...bad, param: "tokenIds[0][1]" },
  { what: "a token is negative", body: { tokenIds: [[-1]] }, ...bad, param: "tokenIds[0][0]" },
  { what: "a token is a fraction", body: { tokenIds: [[1.5]] }, ...bad, param: "tokenIds[0][0]" },
  { what: "a token is huge", body: { tokenIds: [[2 ** 40]] }, ...bad, param: "tokenIds[0][0]" },
  {
    what: "a lone surrogate",
    body: '{"texts":["fine","\\ud800"]}',
    status: 400,
    code: "bad_encoding",
    param: "texts[1]",
  },
  {
    what: "bytes that are no UTF-8",
    body: Buffer.concat([Buffer.from('{"texts":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]),
    status: 400,
    code: "bad_encoding",
  },
  {
    what: "100,000 items",
    body: { texts: Array.from({ length: 100_000 }, () => "a") },
    status: 413,
    code: "too_many_items",
    param: "texts",
  },
  {
    what: "a body over the limit, declared",
    body: { texts: "a".repeat(bytesMax) },
    status: 413,
    code: "body_too_large",
  },
  { what: "deep nesting", body: "[".repeat(500_000), ...bad, message: /deeper/ },
  {
    what: "deep nesting that is valid JSON",
    body: `{"texts":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
    ...bad,
    message: /deeper/,
  },
  {
    what: "thousands of keys",
    body: `{${Array.from({ length: 50_000 }, (_, i) => `"k${i}":1`).join(",")}}`,
    ...bad,
    message: /keys/,
  },
  {
    what: "a field with a typing mistake",
    body: { texts: "a", beam: 4 },
    ...bad,
    param: "beam",
    message: /did you mean `beams`/,
  },
  {
    what: "a field in another spelling",
    body: { texts: "a", max_length: 4 },
    ...bad,
    message: /did you mean `maxLength`/,
  },
  { what: "__proto__", body: '{"texts":"a","__proto__":{"beams":2}}', ...bad, param: "__proto__" },
  { what: "beams 0", body: { texts: "a", beams: 0 }, ...bad, param: "beams" },
  { what: "beams 9", body: { texts: "a", beams: 9 }, ...bad, param: "beams" },
  { what: "beams 1.5", body: { texts: "a", beams: 1.5 }, ...bad, param: "beams" },
  { what: "beams as text", body: { texts: "a", beams: "4" }, ...bad, param: "beams" },
  { what: "nBest over beams", body: { texts: "a", beams: 2, nBest: 3 }, ...bad, param: "nBest" },
  { what: "endless penalty", body: '{"texts":"a","lengthPenalty":1e999}', ...bad },
  { what: "maxLength 1", body: { texts: "a", maxLength: 1 }, ...bad, param: "maxLength" },
  { what: "timeoutMs 0", body: { texts: "a", timeoutMs: 0 }, ...bad, param: "timeoutMs" },
  { what: "timeoutMs huge", body: { texts: "a", timeoutMs: 1e12 }, ...bad, param: "timeoutMs" },
  { what: "another class", body: { texts: "a", class: "batch" }, ...bad, param: "class" },
  { what: "an empty tenant", body: { texts: "a", tenant: "" }, ...bad, param: "tenant" },
  { what: "a long tenant", body: { texts: "a", tenant: "t".repeat(65) }, ...bad, param: "tenant" },
  { what: "model is a number", body: { texts: "a", model: 1 }, ...bad, param: "model" },
  { what: "truncate is a text", body: { texts: "a", truncate: "yes" }, ...bad, param: "truncate" },
  { what: "split is null", body: { texts: "a", split: null }, ...bad, param: "split" },
  {
    what: "another media type",
    body: { texts: "a" },
    headers: { "content-type": "text/plain" },
    status: 415,
    code: "unsupported_media_type",
    param: "content-type",
  },
  {
    what: "another charset",
    body: { texts: "a" },
    headers: { "content-type": "application/json; charset=latin1" },
    status: 415,
    code: "unsupported_media_type",
  },
  {
    what: "an encoding that we do not read",
    body: { texts: "a" },
    headers: { "content-encoding": "zstd" },
    status: 415,
    code: "unsupported_media_type",
    param: "content-encoding",
  },
  {
    what: "gzip that is none",
    body: { texts: "a" },
    headers: { "content-encoding": "gzip" },
    ...bad,
    param: "content-encoding",
  },
  {
    what: "half of gzip",
    body: gzipSync(JSON.stringify({ texts: "a".repeat(1000) })).subarray(0, 20),
    headers: { "content-encoding": "gzip" },
    ...bad,
    param: "content-encoding",
  },
  ...[
    ["gzip", gzipSync],
    ["br", brotliCompressSync],
    ["deflate", deflateSync],
  ].map(([encoding, compress]) => ({
    what: `a bomb in ${String(encoding)}`,
    body: (compress as typeof gzipSync)(Buffer.alloc(64 * 1024 * 1024, "a")),
    headers: { "content-encoding": String(encoding) },
    status: 413,
    code: "body_too_large" as const,
  })),
];

describe("bad inputs of POST /v1/translate", () => {
  let front: TestFront;
  before(async () => {
    front = await TestFront.start({ bodyBytesMax: bytesMax });
  });
  after(async () => await front[Symbol.asyncDispose]());

  for (const input of badInputs) {
    test(`${input.what} → ${input.status} ${input.code}`, async () => {
      const seen = front.submit.seen.length;
      front.submit.hold();
      const neighbour = front.translate({ texts: "neighbour" });
      const response = await front.translate(
        input.body,
        input.headers === undefined ? {} : { headers: input.headers },
      );
      assert.equal(response.status, input.status);
      assert.match(response.headers.get("x-millrace-deployment") ?? "", /environment=test/);
      const body = (await response.json()) as ErrorResponse;
      assert.equal(body.error.code, input.code, body.error.message);
      assert.equal(body.id, response.headers.get("x-request-id"));
      assert.equal(body.deployment.name, "echo");
      if (input.param !== undefined) assert.equal(body.error.param, input.param);
      if (input.message !== undefined) assert.match(body.error.message, input.message);
      assert.ok(body.error.message.length < 400, "a message quotes no more than it needs");

      front.submit.release();
      const reply = (await (await neighbour).json()) as TranslateResponse;
      assert.deepEqual(reply.results.map(textOf), ["ruobhgien"]);
      assert.equal(front.submit.seen.length, seen + 1, "nothing of a bad request is submitted");
    });
  }
});

describe("unusual inputs that are good", () => {
  let front: TestFront;
  before(async () => {
    front = await TestFront.start();
  });
  after(async () => await front[Symbol.asyncDispose]());

  const cases: readonly (readonly [what: string, text: string])[] = [
    ["null characters", "a\u0000b"],
    ["an empty text", ""],
    ["characters beyond the basic plane", "𝔪𝔦𝔩𝔩 😀"],
    ["a megabyte of one character", "a".repeat(1024 * 1024)],
    ["quotes and backslashes", '\\"\\\\" [{:'],
    ["brackets inside a text", "[".repeat(1000)],
    ["colons inside a text", ":".repeat(1000)],
  ];
  for (const [what, text] of cases) {
    test(what, async () => {
      const response = await front.translate({ texts: [text] });
      const { results } = (await response.json()) as TranslateResponse;
      assert.equal(response.status, 200);
      assert.deepEqual(results.map(textOf), [Array.from(text).reverse().join("")]);
    });
  }

  for (const [encoding, compress] of [
    ["gzip", gzipSync],
    ["br", brotliCompressSync],
    ["deflate", deflateSync],
  ] as const) {
    test(`a body in ${encoding}`, async () => {
      const body = compress(JSON.stringify({ texts: ["abc"] }));
      const response = await front.translate(body, { headers: { "content-encoding": encoding } });
      const { results } = (await response.json()) as TranslateResponse;
      assert.deepEqual(results.map(textOf), ["cba"]);
    });
  }

  test("every field reaches submit", async () => {
    const response = await front.translate({
      tokenIds: [[1, 2], [3]],
      model: "m",
      class: "bulk",
      beams: 4,
      lengthPenalty: 0.6,
      maxLength: 50,
      nBest: 2,
      timeoutMs: 1000,
      tenant: "t",
      truncate: true,
      split: false,
    });
    await response.text();
    const { request } = front.submit.seen.at(-1) ?? assert.fail();
    const { id, deadlineAtMs, payloadBytes, ...rest } = request;
    assert.match(id, /^[0-9a-f-]{36}$/);
    assert.ok(deadlineAtMs !== null && deadlineAtMs <= performance.now() + 1000);
    assert.ok(payloadBytes > 100);
    assert.deepEqual(rest, {
      task: "translate",
      model: "m",
      class: "bulk",
      isDeadlineNamed: true,
      tenant: "t",
      span: null,
      fields: {
        tokenIds: [[1, 2], [3]],
        beams: 4,
        lengthPenalty: 0.6,
        maxLength: 50,
        nBest: 2,
        truncate: true,
        split: false,
      },
    });
  });

  test("an item that fails does so alone", async () => {
    const response = await front.translate({ texts: ["ab", "!", "cd"] });
    assert.equal(response.status, 200);
    const { results } = (await response.json()) as TranslateResponse;
    assert.deepEqual(results.map(textOf), ["ba", "item_failed", "dc"]);
  });
});

function textOf(item: TranslateResponse["results"][number]): string {
  return "error" in item ? item.error.code : item.text;
}
