/** The snippets of the pages in docs/clients, run as they stand there, before the bundled models. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { MillraceServer } from "#src/index.js";
import { runPage } from "../support/client-page.js";
import { startReal } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

let temp: TempDir;
let server: MillraceServer;

before(async () => {
  temp = await TempDir.make();
  server = await startReal({ pipelines: 1, data: temp.file("data") });
});

after(async () => {
  await server.close();
  await temp[Symbol.asyncDispose]();
});

test("openai.md", { timeout: 60_000 }, async () => {
  assert.match(await runPage("openai", server.url), /^256 numbers, \d+ tokens, cosine 0\.\d\d\n$/);
});

test("openai.md, batches", { timeout: 60_000 }, async () => {
  assert.equal(
    await runPage("openai", server.url, "batches"),
    "completed: 2 of 3 requests\ncat 256 numbers\nroof 256 numbers\nnothing 400 bad_request\n",
  );
});

test("deepl.md", { timeout: 60_000 }, async () => {
  assert.match(
    await runPage("deepl", server.url),
    /^\p{Script=Han}.*\n.*\p{Script=Han}.*\n\p{Script=Han}.* 10\n$/u,
  );
});

test("tei.md", { timeout: 60_000 }, async () => {
  assert.equal(await runPage("tei", server.url), "256 numbers; nearer is the first\n21 tokens\n");
});

test("huggingface.md", { timeout: 60_000 }, async () => {
  assert.match(
    await runPage("huggingface", server.url),
    /^\p{Script=Han}.*\n2 vectors of 256 numbers\n$/u,
  );
});
