import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { HashTable } from "#src/jobs/hash-table.js";
import {
  customIdCharactersMax,
  noResponseLine,
  RequestCheck,
  readRequestLine,
  requestLinesMax,
  responseLine,
} from "#src/jobs/request-lines.js";

const endpoint = "/v1/embeddings";
const good = (customId: unknown, more: object = {}): object => ({
  custom_id: customId,
  method: "POST",
  url: endpoint,
  body: { model: "m", input: "hello" },
  ...more,
});
const textOf = (line: unknown): string => (typeof line === "string" ? line : JSON.stringify(line));

function check(lines: readonly unknown[], linesMax?: number): RequestCheck {
  const checked = new RequestCheck(endpoint, linesMax);
  for (const [at, line] of lines.entries()) checked.add(textOf(line), at + 1);
  return checked;
}

function told(lines: readonly unknown[], linesMax?: number): readonly string[] {
  return check(lines, linesMax)
    .finish()
    .map(({ line = "-", word = "?", param = "-", code }) => `${line} ${word} ${param} ${code}`);
}

test("a line is its request; what else stands in it is left", () => {
  const line = good("a", { body: { model: "m", input: [[1, 2]], deep: { x: null } }, more: 1 });
  assert.deepEqual(readRequestLine(textOf(line), { line: 1, endpoint }), {
    request: {
      customId: "a",
      endpoint,
      body: { model: "m", input: [[1, 2]], deep: { x: null } },
    },
  });
});

test("what is wrong with a line is told in OpenAI's words, with its number from 1", () => {
  const cases: readonly (readonly [line: unknown, told: string])[] = [
    ["{", "invalid_json_line -"],
    ["{} {}", "invalid_json_line -"],
    [`{"custom_id":"a","body":${"[".repeat(50_000)}`, "invalid_json_line -"],
    [[good("a")], "invalid_request -"],
    ["null", "invalid_request -"],
    [good(undefined), "missing_required_parameter custom_id"],
    [good("a", { method: undefined }), "missing_required_parameter method"],
    [good("a", { url: null }), "missing_required_parameter url"],
    [good("a", { body: undefined }), "missing_required_parameter body"],
    [good(7), "invalid_type custom_id"],
    [good(""), "invalid_type custom_id"],
    [
      '{"custom_id":"\\ud800","method":"POST","url":"/v1/embeddings","body":{}}',
      "invalid_type custom_id",
    ],
    [good("x".repeat(customIdCharactersMax + 1)), "string_above_max_length custom_id"],
    [good("a", { method: "GET" }), "invalid_method method"],
    [good("a", { url: "/v1/embed" }), "invalid_url url"],
    [good("a", { body: [] }), "invalid_type body"],
    [good("a", { body: "text" }), "invalid_type body"],
  ];
  for (const [line, expected] of cases) {
    assert.deepEqual(told([good("first"), line]), [`2 ${expected} bad_request`], String(line));
  }
  assert.deepEqual(told([good("x".repeat(customIdCharactersMax))]), []);
});

test("a file of no line is empty", () => {
  assert.deepEqual(told([]), ["- empty_file input_file_id input_empty"]);
});

test("a custom_id that was there before is told at its second place, also far behind it", () => {
  const many = Array.from({ length: 5_000 }, (_, at) => good(`id-${at}`));
  assert.deepEqual(told([...many, good("id-7"), good("ID-7")]), [
    "5001 duplicate_custom_id custom_id bad_request",
  ]);
  const [error] = check([good("é"), good("é")]).finish();
  assert.match(
    error?.message ?? "",
    /^The custom_id 'é' for this request is a duplicate of another/,
  );
});

test("a hundred errors are told, and no line behind them is needed", () => {
  const bad = Array.from({ length: 99 }, () => "{");
  assert.equal(check(bad).isEnough, false);
  const enough = check([...bad, "{", "{", good("a")]);
  assert.equal(enough.isEnough, true);
  assert.equal(enough.finish().length, 100);
});

test("more lines than a batch may have are refused", () => {
  assert.equal(requestLinesMax, 1_000_000);
  assert.deepEqual(told([good("a"), good("b")], 2), []);
  assert.equal(check([good("a"), good("b"), good("c")], 2).isEnough, true);
  assert.deepEqual(told([good("a"), good("b"), good("c"), good("c")], 2), [
    "- too_many_tasks input_file_id too_many_items",
  ]);
});

test("two hundred thousand ids are all new, and all there afterwards", () => {
  const table = new HashTable(Buffer.from("seed"));
  const count = 200_000;
  for (let at = 0; at < count; at += 1) assert.ok(table.add(`request-${at}`));
  for (let at = 0; at < count; at += 97) assert.equal(table.add(`request-${at}`), false);
});

test("results are lines in OpenAI's form: replies, refusals of the route, and what was not run", () => {
  const of = { requestId: "req_1", customId: 'a"b' };
  const id = "batch_req_1";
  assert.deepEqual(JSON.parse(responseLine(of, { status: 200, text: '{"data":[1]}\n' })), {
    id,
    custom_id: 'a"b',
    response: { status_code: 200, request_id: "req_1", body: { data: [1] } },
    error: null,
  });
  const refused = responseLine(of, { status: 400, text: '{\n"error": {}}' });
  assert.doesNotMatch(refused, /\n/);
  assert.deepEqual((JSON.parse(refused) as { response: unknown }).response, {
    status_code: 400,
    request_id: "req_1",
    body: { error: {} },
  });
  for (const [ours, theirs] of [
    ["job_cancelled", "batch_cancelled"],
    ["job_expired", "batch_expired"],
    ["worker_lost", "worker_lost"],
  ] as const) {
    const line = noResponseLine(of, new MillraceError(ours, "why").toWire());
    const { error, ...rest } = JSON.parse(line) as { error: { code: string; message: string } };
    assert.deepEqual(rest, { id, custom_id: 'a"b', response: null });
    assert.equal(error.code, theirs);
    assert.equal(error.message === "why", ours === "worker_lost");
  }
});
