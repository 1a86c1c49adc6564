/** What `npm test` says of a test that hangs, and where one stands that fails. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { finish } from "../support/finish.js";
import { TempDir } from "../support/temp-dir.js";

/** One file, in the runner's own process and not as part of this one. */
async function told(file: string): Promise<string> {
  const args = ["--import=./scripts/name-hung-tests.js", "scripts/run-files.js", "1", file];
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const ended = await finish(
    spawn(process.execPath, args, { env: { ...env, TEST_STEP_MS_MAX: "300" } }),
  );
  assert.equal(ended.code, 1);
  const [, failing] = ended.out.split("failing tests:");
  assert.ok(failing !== undefined, ended.out);
  return failing;
}

test("a test that hangs is one of the failing tests, with its name and file, also beside another one", async () => {
  await using dir = await TempDir.make();
  const file = dir.file("hangs.test.mjs");
  const lines = [
    'import { describe, test } from "node:test";',
    'describe("some", () => {',
    '  test("fails", () => { throw new Error("of its own"); });',
    '  test("waits for ever", () => new Promise(() => setInterval(() => {}, 1_000)));',
    "});",
  ];
  await writeFile(file, lines.join("\n"));
  const failing = await told(file);
  assert.ok(failing.includes(`does not end: waits for ever in ${file}`), failing);
  assert.match(failing, /✖ fails [^]*of its own/);
});

test("a failure says where it stands in its source", async () => {
  await using dir = await TempDir.make();
  const file = dir.file("fails.test.mjs");
  const code =
    'import { test } from "node:test"; test("fails", () => { throw new Error("here"); });';
  await writeFile(file, `${code}\n//# sourceMappingURL=fails.map\n`);
  // All of its first line is the tenth of the source.
  const map = { version: 3, sources: ["fails.test.ts"], names: [], mappings: "AASA" };
  await writeFile(dir.file("fails.map"), JSON.stringify(map));
  assert.ok((await told(file)).includes(`${dir.file("fails.test.ts")}:10:1`));
});
