/** What is exported is used: a name that nobody imports is dead, or should not be exported. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readSources, type SourceFile } from "./imports.js";

/** What people import who are not in this repository. */
const publicFiles = new Set(["src/index.ts", "client/src/index.ts", "client/src/wire/index.ts"]);

interface Exported {
  readonly name: string;
  readonly isType: boolean;
}

export function exportsOf(text: string): Exported[] {
  const direct = [
    ...text.matchAll(
      /^export (?:declare )?(?:abstract )?(async function\*?|function\*?|const|let|class|interface|type) (\w+)/gm,
    ),
  ].map(([, kind = "", name = ""]) => ({ name, isType: /^(interface|type)$/.test(kind) }));
  const lists = [...text.matchAll(/^export (type )?\{([^}]*)\}(?! from)/gm)].flatMap(
    ([, all, names = ""]) =>
      names
        .split(",")
        .map((each) => each.trim())
        .filter((each) => each !== "")
        .map((each) => ({
          name: each.replace(/^type /, "").replace(/^.* as /, ""),
          isType: all !== undefined || each.startsWith("type "),
        })),
  );
  return [...direct, ...lists];
}

function occurrences(text: string, name: string): number {
  return [...text.matchAll(new RegExp(`\\b${name}\\b`, "g"))].length;
}

/** Exports of the files that neither their own file nor anybody else has a use for. */
export function unused(files: readonly SourceFile[], all: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) =>
    exportsOf(text)
      .filter(({ name, isType }) => {
        const elsewhere = all.filter(
          (file) => file.path !== path && occurrences(file.text, name) > 0,
        );
        const inProduct = elsewhere.some((file) => !file.path.startsWith("test/"));
        // A type may be exported for the signature that it stands in; a value must have a user.
        const atHome = occurrences(text, name) > 1;
        return !(inProduct || (atHome && (isType || elsewhere.length > 0)));
      })
      .map(({ name }) => `${path}: ${name}`),
  );
}

test("every export has a user", () => {
  const product = readSources("src", "client/src");
  const all = [...product, ...readSources("test", "bench", "examples"), ...readScripts()];
  const exposed = product.filter(({ path }) => !publicFiles.has(path));
  assert.ok(exposed.flatMap(({ text }) => exportsOf(text)).length > 200, "the exports were found");
  assert.deepEqual(unused(exposed, all), []);
});

test("an export without a user would be noticed", () => {
  const user = { path: "src/b.ts", text: 'import { used } from "./a.js"; used();' };
  const tests = { path: "test/a.test.ts", text: "used(); dead(); inner();" };
  const file = {
    path: "src/a.ts",
    text: "export function used() {}\nexport function dead() {}\nexport const alone = 1;\nexport type T = 1;\nexport interface Kept {}\nfunction f(a: Kept) {}\nexport function inner() {}\ninner();",
  };
  assert.deepEqual(unused([file], [file, user, tests]), [
    "src/a.ts: dead",
    "src/a.ts: alone",
    "src/a.ts: T",
  ]);
});

function readScripts(): SourceFile[] {
  return readdirSync("scripts").map((name) => {
    const path = join("scripts", name);
    return { path, text: readFileSync(path, "utf8") };
  });
}
