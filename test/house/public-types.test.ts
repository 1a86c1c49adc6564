/**
 * Whoever embeds a server can name every type that its API speaks of. Held against the declarations that are
 * packed: each exported one is read, and each name in it that comes from another module of ours is exported too.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

interface Declarations {
  /** Local name → the module that it is from, as it stands there. */
  readonly imports: ReadonlyMap<string, string>;
  /** Exported from elsewhere: name → module. */
  readonly reexports: ReadonlyMap<string, string>;
  /** Declared here: name → its text without comments and strings. */
  readonly declared: ReadonlyMap<string, string>;
}

function readDeclarations(url: URL): Declarations {
  const text = readFileSync(url, "utf8")
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/\/\/.*$/gm, "");
  const imports = new Map<string, string>();
  const reexports = new Map<string, string>();
  const lists = /^(import|export)\s+(?:type\s+)?\{([^}]*)\}\s+from\s+"([^"]+)"/gm;
  for (const [, kind, list = "", module = ""] of text.matchAll(lists)) {
    for (const entry of list.split(",").map((each) => each.trim().replace(/^type\s+/, ""))) {
      if (entry !== "") (kind === "import" ? imports : reexports).set(entry, module);
    }
  }
  const declared = new Map<string, string>();
  const starts = /^(?:export )?(?:declare )?(?:interface|type|class|function|const) (\w+)/gm;
  const found = [...text.matchAll(starts)];
  for (const [index, match] of found.entries()) {
    const body = text.slice(match.index, found[index + 1]?.index ?? text.length);
    declared.set(match[1] ?? "", body.replace(/"[^"]*"/g, ""));
  }
  return { imports, reexports, declared };
}

/** Names that a public declaration uses and nobody can import: `MillraceServer uses ServerViews of ./front/views.js`. */
function unnameable(index: URL): string[] {
  const root = readDeclarations(index);
  const isPublic = (name: string): boolean => root.reexports.has(name) || root.declared.has(name);
  const missing: string[] = [];
  const check = (name: string, { imports, declared }: Declarations): void => {
    for (const used of new Set(declared.get(name)?.match(/\b[A-Z]\w*/g))) {
      const from = imports.get(used) ?? (declared.has(used) ? "the same file" : null);
      // Neither imported nor declared: a global, or a parameter of the type itself.
      if (from !== null && !from.startsWith("node:") && !isPublic(used)) {
        missing.push(`${name} uses ${used} of ${from}`);
      }
    }
  };
  for (const name of root.declared.keys()) check(name, root);
  for (const [name, module] of root.reexports) {
    if (module.startsWith(".")) {
      check(name, readDeclarations(new URL(module.replace(/\.js$/, ".d.ts"), index)));
    }
  }
  return missing;
}

test("src/index.ts exports every type that what it exports uses", () => {
  const index = new URL(import.meta.resolve("#src/index.js").replace(/\.js$/, ".d.ts"));
  const { declared, reexports } = readDeclarations(index);
  assert.ok(declared.has("createServer") && reexports.has("MillraceServer"), "it was read");
  assert.deepEqual(unnameable(index), []);
});

test("the check finds a type that is not exported", () => {
  const server = new URL(import.meta.resolve("#src/server.js").replace(/\.js$/, ".d.ts"));
  assert.ok(unnameable(server).some((line) => line.startsWith("MillraceServer uses ServerViews")));
});
