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

/** The names that a file takes from others. */
function importedBy(text: string): ReadonlySet<string> {
  const lists = [
    ...text.matchAll(/^\s*(?:import|export)\b[^;"]*?\{([^}]*)\}\s*from\b/gm),
    ...text.matchAll(/\{([^{}]*)\}\s*=\s*await import\(/g),
  ];
  const names = lists.flatMap(([, list = ""]) => list.split(","));
  return new Set(
    names.map((name) =>
      name
        .trim()
        .replace(/^type /, "")
        .replace(/\b(?: as |:).*$/, ""),
    ),
  );
}

function occurrences(text: string, name: string): number {
  return [...text.matchAll(new RegExp(`\\b${name}\\b`, "g"))].length;
}

/** Exports of the files that neither their own file nor anybody else has a use for; of the product's, a test is no use. */
export function unused(files: readonly SourceFile[], all: readonly SourceFile[]): string[] {
  // By what is imported: that another file has a name of its own that is spelled so is no use.
  const imports = all.map((file) => ({ path: file.path, names: importedBy(file.text) }));
  return files.flatMap(({ path, text }) =>
    exportsOf(text)
      .filter(({ name, isType }) => {
        const elsewhere = imports.filter((file) => file.path !== path && file.names.has(name));
        const isProduct = /^(src|client)\//.test(path);
        const inProduct = elsewhere.some((file) => !isProduct || !file.path.startsWith("test/"));
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

test("what benchmarks, the page, the site and the helpers of tests export has a user", () => {
  const others = readSources("bench", "page", "site", "test/support");
  const all = [...others, ...readSources("test", "examples"), ...readScripts()];
  // A benchmark is run by its name.
  const loaded = (line: string): boolean => /^bench\/.*: run$/.test(line);
  assert.deepEqual(
    unused(others, all).filter((line) => !loaded(line)),
    [],
  );
});

test("an export without a user would be noticed", () => {
  const user = {
    path: "src/b.ts",
    text: 'import { used } from "./a.js"; used(); const alone = 2;',
  };
  const tests = { path: "test/a.test.ts", text: 'import { dead, inner } from "./a.js"; dead();' };
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

/** The same for both sides of the wire: what the server, and what the client, must know of a task. */
const sharedNames = new Set(["Task"]);

function exportedTwice(files: readonly SourceFile[]): string[] {
  const places = new Map<string, string[]>();
  for (const { path, text } of files) {
    for (const { name } of exportsOf(text)) {
      places.set(name, [...(places.get(name) ?? []), path]);
    }
  }
  return [...places].flatMap(([name, paths]) =>
    paths.length > 1 ? [`${name}: ${paths.join(", ")}`] : [],
  );
}

test("no name is exported by two files: one word for each thing", () => {
  const product = readSources("src", "client/src").filter(({ path }) => !publicFiles.has(path));
  const found = exportedTwice(product).filter((line) => !sharedNames.has(line.split(":")[0] ?? ""));
  assert.deepEqual(found, []);
  const planted = ["a.ts", "b.ts"].map((path) => ({ path, text: "export const a = 1;" }));
  assert.equal(exportedTwice(planted).length, 1, "a name that is there twice would be noticed");
});

function readScripts(): SourceFile[] {
  return readdirSync("scripts").map((name) => {
    const path = join("scripts", name);
    return { path, text: readFileSync(path, "utf8") };
  });
}
