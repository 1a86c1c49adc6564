/** The snippets of the pages in docs/clients, run as they stand there, before the bundled models. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import type { MillraceServer } from "#src/index.js";
import { startReal } from "../support/real-server.js";

let server: MillraceServer;

before(async () => {
  server = await startReal({ pipelines: 1 });
});

after(() => server.close());

/** What it prints; its address is the server's. */
async function run(page: string): Promise<string> {
  const text = readFileSync(`docs/clients/${page}.md`, "utf8");
  const [, program] = /<!-- snippet -->\s*```js\n(.*?)```/s.exec(text) ?? [];
  assert.ok(
    program !== undefined && program.includes("http://127.0.0.1:8400"),
    `${page} has no snippet`,
  );
  const here = program.replace("http://127.0.0.1:8400", server.url);
  const args = ["--input-type=module", "-e", here];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
  assert.equal(stderr, "");
  return stdout;
}

test("openai.md", { timeout: 60_000 }, async () => {
  assert.match(await run("openai"), /^256 numbers, \d+ tokens, cosine 0\.\d\d\n$/);
});

test("deepl.md", { timeout: 60_000 }, async () => {
  assert.match(
    await run("deepl"),
    /^\p{Script=Han}.*\n.*\p{Script=Han}.*\n\p{Script=Han}.* 10\n$/u,
  );
});
