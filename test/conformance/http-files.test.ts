/** Files over HTTP: a body that is one, forms with several, and everything that a form can do wrong. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ErrorResponse } from "millrace-client/wire";
import { TestFront } from "../support/http-front.js";

const KiB = 1024;
const imageBodyBytesMax = 2 * KiB * KiB;
let front: TestFront;

before(async () => {
  front = await TestFront.start({
    imageBodyBytesMax,
    bodyBytesMax: 64 * KiB,
    requestInputsMax: 5,
    queuedItemsMax: 5,
  });
});
after(() => front[Symbol.asyncDispose]());

async function look(
  body: NonNullable<RequestInit["body"]>,
  contentType: string | null,
  query = "",
): Promise<{ readonly status: number; readonly text: string; readonly sizes: unknown }> {
  const response = await fetch(`${front.url}/v1/look${query}`, {
    method: "POST",
    body,
    headers: contentType === null ? {} : { "content-type": contentType },
  });
  const text = await response.text();
  const { results } = JSON.parse(text) as { results?: readonly { bytes: number }[] };
  return { status: response.status, text, sizes: results?.map(({ bytes }) => bytes) };
}

function fieldsSeen(): Readonly<Record<string, unknown>> {
  const { request } = front.submit.seen.at(-1) ?? assert.fail("nothing was submitted");
  const { fields, model, class: workClass, tenant } = request;
  return { ...fields, images: undefined, model, class: workClass, tenant };
}

test("a body that is a file is one input; the query has the fields", async () => {
  const { status, sizes } = await look(
    new Uint8Array(100_000),
    "image/jpeg",
    "?model=m&class=bulk&tenant=12&timeoutMs=5000&raw=true&note=1.50",
  );
  assert.deepEqual([status, sizes], [200, [100_000]]);
  const wanted = { model: "m", class: "bulk", tenant: "12", raw: true, note: 1.5 };
  assert.deepEqual(fieldsSeen(), { ...wanted, images: undefined });
});

test("JSON has files in base64, within the limit of JSON", async () => {
  const images = [Buffer.alloc(10).toString("base64"), Buffer.alloc(7).toString("base64url")];
  const { sizes } = await look(JSON.stringify({ images }), "application/json");
  assert.deepEqual(sizes, [10, 7]);
  const large = JSON.stringify({ images: Buffer.alloc(60 * KiB).toString("base64") });
  assert.equal((await look(large, "application/json")).status, 413);
});

test("a form's files come in order, whatever they hold; its texts are fields", async () => {
  const form = new FormData();
  const lines = "\r\n--\r\n-".repeat(50_000);
  for (const [index, part] of ["a", lines, "c".repeat(300_000)].entries()) {
    form.append(index === 1 ? "other" : "images", new Blob([part]), `${index}.jpg`);
  }
  form.append("raw", "false");
  form.append("tenant", "me");
  const { status, sizes } = await look(form, null);
  assert.deepEqual([status, sizes], [200, [1, lines.length, 300_000]]);
  assert.deepEqual([fieldsSeen()["raw"], fieldsSeen()["tenant"]], [false, "me"]);
});

/** A form by hand. */
function form(...parts: readonly string[]): string {
  return [...parts.map((part) => `--b\r\n${part}\r\n`), "--b--\r\n"].join("");
}

function file(name: string, value: string): string {
  return `content-disposition: form-data; name="images"; filename="${name}"\r\n\r\n${value}`;
}

function field(name: string, value: string): string {
  return `content-disposition: form-data; name="${name}"\r\n\r\n${value}`;
}

const multipart = "multipart/form-data; boundary=b";

test("what a form can do wrong is told, and harms nobody", async () => {
  const good = file("a.jpg", "123");
  const bad: readonly (readonly [what: string, body: string, type: string, status: number])[] = [
    ["no boundary", form(good), "multipart/form-data", 400],
    ["another boundary", form(good), "multipart/form-data; boundary=x", 400],
    ["a long boundary", form(good), `multipart/form-data; boundary=${"b".repeat(300)}`, 400],
    ["no end", `--b\r\n${good}`, multipart, 400],
    ["no end of the headers", "--b\r\ncontent-disposition: form-data", multipart, 400],
    ["nothing", "", multipart, 400],
    ["no parts", "--b--\r\n", multipart, 422],
    ["no form", "hello", multipart, 400],
    ["a head without end", form(`x: ${"y".repeat(200_000)}\r\n\r\n`), multipart, 422],
    ["a long field", form(good, field("note", "x".repeat(5_000))), multipart, 400],
    ["a long name", form(good, field("n".repeat(300), "x")), multipart, 400],
    ["a field twice", form(good, field("note", "1"), field("note", "2")), multipart, 400],
    ["an unknown field", form(good, field("beams", "1")), multipart, 400],
    ["a prototype", form(good, field("__proto__", "1")), multipart, 400],
    ["files as text", form(field("images", "abc")), multipart, 400],
    ["an empty file", form(file("a.jpg", "")), multipart, 422],
    ["too many files", form(...Array.from({ length: 6 }, () => good)), multipart, 413],
    [
      "too many fields",
      form(good, ...Array.from({ length: 90 }, (_, at) => field(`f${at}`, ""))),
      multipart,
      400,
    ],
    ["a class that is none", form(good, field("class", "fast")), multipart, 400],
    ["another type", "x", "video/mp4", 415],
    ["no type of a file", "x", "application/octet-stream", 415],
  ];
  for (const [what, body, type, status] of bad) {
    const reply = await look(body, type);
    assert.equal(reply.status, status, `${what}: ${reply.text}`);
    const { error } = JSON.parse(reply.text) as ErrorResponse;
    assert.ok(error.message.length < 600, what);
  }
  assert.deepEqual((await look(form(good), multipart)).sizes, [3]);
});

test("defect: a boundary is as long as the parser can look for, or its length is told", async () => {
  for (const [length, status] of [
    [70, 200],
    [250, 200],
    [251, 400],
    [1_000, 400],
  ] as const) {
    const boundary = "b".repeat(length);
    const body = `--${boundary}\r\n${file("a.jpg", "123")}\r\n--${boundary}--\r\n`;
    const reply = await look(body, `multipart/form-data; boundary=${boundary}`);
    assert.equal(reply.status, status, reply.text);
    if (status === 400) {
      assert.match(reply.text, new RegExp(`boundary .* has ${length} characters, at most 250`));
    }
  }
});

test("files are bounded in bytes, declared or not, and routes without files take none", async () => {
  const large = new Uint8Array(imageBodyBytesMax + 1);
  assert.equal((await look(large, "image/png")).status, 413);
  const stream = new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(256 * KiB));
    },
  });
  const response = await fetch(`${front.url}/v1/look`, {
    method: "POST",
    body: stream,
    headers: { "content-type": "image/png" },
    duplex: "half",
  });
  assert.equal(response.status, 413);
  const refused = await front.translate("x", { headers: { "content-type": "image/png" } });
  assert.equal(refused.status, 415);
});

test("forms of many slices leave turns to others, and many at once are whole", async () => {
  const sizes = Array.from({ length: 12 }, (_, at) => 100_000 + at * 7_919);
  const replies = await Promise.all(
    sizes.map(async (size) => {
      const data = new FormData();
      data.append("images", new Blob(["\r\n--".repeat(size).slice(0, size)]), "a.png");
      return await look(data, null);
    }),
  );
  assert.deepEqual(
    replies.map((reply) => reply.sizes),
    sizes.map((size) => [size]),
  );
});
