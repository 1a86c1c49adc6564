/** The command prints by src/cli/print.ts and by no other way: what others have named is cleaned of what a terminal obeys there. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readSources } from "./imports.js";

const allowed: readonly string[] = [
  "src/cli/print.ts",
  // Before anything of the command is loaded, by a Node that is too old for it.
  "src/cli/main.ts",
];

/** Of a text, where it writes by itself. */
function writesOf(text: string): readonly string[] {
  return text.match(/\b(?:stdout|stderr)\.write\(|\bconsole\.\w+\(/g) ?? [];
}

test("nobody in src/cli prints by another way", () => {
  const found = readSources("src/cli")
    .filter(({ path }) => !allowed.includes(path))
    .flatMap(({ path, text }) => writesOf(text).map((write) => `${path}: ${write}`));
  assert.deepEqual(found, []);
});

test("who did would be noticed", () => {
  assert.deepEqual(writesOf("process.stdout.write(view);\nconsole.log(name);"), [
    "stdout.write(",
    "console.log(",
  ]);
});
