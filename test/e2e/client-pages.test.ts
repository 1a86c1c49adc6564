/** The snippets of the pages in docs/clients, run as they stand there, before the bundled models. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { MillraceServer } from "#src/index.js";
import { runPage } from "../support/client-page.js";
import { startReal } from "../support/real-server.js";

let server: MillraceServer;

before(async () => {
  server = await startReal({ pipelines: 1 });
});

after(() => server.close());

test("openai.md", { timeout: 60_000 }, async () => {
  assert.match(await runPage("openai", server.url), /^256 numbers, \d+ tokens, cosine 0\.\d\d\n$/);
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
