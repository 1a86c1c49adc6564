/** Bodies that protocols over HTTP must take, or refuse, whatever they have in them; before real pipelines. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { MillraceServer } from "#src/index.js";
import { writeMadeEncoder } from "../support/made-encoder.js";
import { startReady } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

let temp: TempDir;
let server: MillraceServer;
const json = "application/json";
const form = "application/x-www-form-urlencoded";

before(async () => {
  temp = await TempDir.make();
  await writeMadeEncoder(temp.file("plain"));
  const rank = { labels: ["LABEL_0"], scores: "sigmoid", task: "rerank" } as const;
  await writeMadeEncoder(temp.file("rank"), rank);
  server = await startReady({ models: temp.path, bertHttp: true });
});

after(async () => {
  await server.close();
  await temp[Symbol.asyncDispose]();
});

async function send(path: string, type: string, body: string | object) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const init = { method: "POST", headers: { "content-type": type }, body: text };
  const response = await fetch(`${server.url}${path}`, init);
  return { status: response.status, told: (await response.json()) as unknown };
}

test("defect: bert-as-service over HTTP: a body that nests without end, or a form of a million fields, is the caller's mistake", async () => {
  const encode = async (type: string, body: string): Promise<readonly [number, unknown]> => {
    const { status, told } = await send("/encode", type, body);
    return [status, (told as { type?: string }).type];
  };
  const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
  assert.deepEqual(await encode(json, `{"id":${deep},"texts":["a"]}`), [400, "bad_request"]);
  assert.deepEqual(await encode(json, `{"id":1,"texts":${deep}}`), [400, "bad_request"]);
  const fields = `id=1${"&texts=a".repeat(400_000)}`;
  assert.deepEqual(await encode(form, fields), [413, "too_many_items"]);
  assert.deepEqual(await encode(form, "id=1&texts=%zz"), [400, "bad_request"]);
  assert.deepEqual(await encode(form, "id=1&texts=a+b&texts=%61"), [200, undefined]);
  assert.deepEqual(await encode(json, '{"id":[1,{"a":2}],"texts":["a",["b"]]}'), [
    400,
    "bad_request",
  ]);
});

test("defect: Hugging Face's API takes as many pairs as inputs, each of them an object", async () => {
  const inputs = Array.from({ length: 100 }, () => ({ text: "hello", text_pair: "a b" }));
  const { status, told } = await send("/models/rank", json, { inputs });
  assert.equal(status, 200, JSON.stringify(told).slice(0, 200));
  assert.equal((told as unknown[]).length, 100);
});

test("attack: text-embeddings-inference's tokens of several texts, in their order", async () => {
  const { told } = await send("/tokenize", json, { inputs: ["a", "hello world", "b"] });
  const words = (told as { text: string; special: boolean }[][]).map((tokens) =>
    tokens.filter(({ special }) => !special).map(({ text }) => text),
  );
  assert.deepEqual(words, [["a"], ["hello", "world"], ["b"]]);
});

test("attack: pages of any origin may use bert-as-service, as the original's may, and nothing else", async () => {
  const init = (body: object): RequestInit => ({
    method: "POST",
    headers: { "content-type": json, origin: "https://evil.example" },
    body: JSON.stringify(body),
  });
  const encoded = await fetch(`${server.url}/encode`, init({ id: 1, texts: ["a"] }));
  assert.equal(encoded.status, 200);
  assert.equal(encoded.headers.get("access-control-allow-origin"), "*");
  assert.equal((await fetch(`${server.url}/embed`, init({ inputs: "a" }))).status, 403);
});
