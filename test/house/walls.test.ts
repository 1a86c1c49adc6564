/** The walls between the rooms of rooms.ts: nobody walks through one, and each of them would be noticed. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { breachOf, isThere, readSources, roomOf, siblingDetours, specifiersOf } from "./imports.js";
import { keptPackages, type Room, rooms } from "./rooms.js";

const sources = readSources("src", "client/src", "page");

function breaches(files: readonly { readonly path: string; readonly text: string }[]): string[] {
  return files.flatMap(({ path, text }) =>
    specifiersOf(text).flatMap((name) => {
      const why = breachOf(path, name);
      return why === null ? [] : [`${path} imports ${name}: ${why}`];
    }),
  );
}

test("no file imports through a wall", () => {
  assert.ok(sources.length > 100, "the sources were found");
  assert.deepEqual(breaches(sources), []);
});

test("every file is in a room, and every room is there", () => {
  assert.deepEqual(
    sources.filter(({ path }) => roomOf(path) === undefined).map(({ path }) => path),
    [],
  );
  for (const { path } of rooms) assert.ok(isThere(path), `${path} is not there`);
  const floors = rooms.filter(({ path }) => statSync(path).isDirectory());
  assert.ok(floors.length > 10);
});

test("every form of an import is seen", () => {
  const forms = [
    'import { a } from "x";',
    'import type { A } from "x";',
    'import {\n  a,\n  b,\n} from "x";',
    'import "x";',
    'export { a } from "x";',
    'export * from "x";',
    'const a = await import("x");',
    "const a = await import(`x`);",
    'type A = import("x").A;',
    'new Worker(new URL("x", import.meta.url));',
    'createRequire(import.meta.url)("y"); const z = require("x");',
  ];
  for (const form of forms) assert.deepEqual(specifiersOf(form).includes("x"), true, form);
  assert.deepEqual(specifiersOf('/** import { a } from "x" */\n// import "x";\n'), []);
});

/** A file of the room that does not exist, and how it would name a file of the other. */
function plant(from: Room, to: Room, how: (name: string) => string): string[] {
  const at = fileIn(from, "planted");
  const target = relative(dirname(at), fileIn(to, "target")).replace(/\.ts$/, ".js");
  const name = target.startsWith(".") ? target : `./${target}`;
  return breaches([{ path: at, text: how(name) }]);
}

function fileIn(room: Room, name: string): string {
  if (room.path.endsWith(".ts")) return room.path;
  return room.path === "client/src/wire"
    ? join(room.path, "index.ts")
    : join(room.path, `${name}.ts`);
}

const ways = [
  (name: string) => `import { a } from "${name}";`,
  (name: string) => `export type { A } from "${name}";`,
  (name: string) => `const a = await import("${name}");`,
];

for (const room of rooms) {
  test(`a breach planted in ${room.path} is refused, whichever wall it goes through`, () => {
    const forbidden = rooms.filter(
      (other) =>
        other !== room &&
        (other.floor >= room.floor || (room.only !== undefined && !room.only.includes(other.path))),
    );
    for (const other of forbidden) {
      for (const way of ways) assert.equal(plant(room, other, way).length, 1, other.path);
    }
    const allowed = rooms.filter((other) => other !== room && !forbidden.includes(other));
    for (const other of allowed) {
      for (const way of ways) assert.deepEqual(plant(room, other, way), [], other.path);
    }
    for (const name of ["node:fs", "some-package"]) {
      const planted = breaches([{ path: fileIn(room, "planted"), text: `import "${name}";` }]);
      assert.equal(planted.length, room.pure === true ? 1 : 0, name);
    }
  });
}

test("siblings that are strangers do not import each other; their room's own files may", () => {
  for (const { path, siblingsApart } of rooms) {
    const across = { path: `${path}/one/a.ts`, text: 'import "../two/b.js";' };
    assert.equal(breaches([across]).length, siblingsApart === true ? 1 : 0, path);
    const table = { path: `${path}/table.ts`, text: 'import "./one/a.js";' };
    if (!path.endsWith(".ts")) assert.deepEqual(breaches([table]), [], path);
  }
});

test("no sibling reaches another through its room's table; who does would be noticed", () => {
  for (const room of rooms) {
    assert.deepEqual(siblingDetours(room, sources), []);
    if (room.siblingsApart !== true) continue;
    const planted = [
      { path: `${room.path}/one/a.ts`, text: 'import "../table.js";' },
      { path: `${room.path}/table.ts`, text: 'export { b } from "./two/b.js";' },
      { path: `${room.path}/two/b.ts`, text: "" },
    ];
    assert.equal(siblingDetours(room, planted).length, 1, room.path);
  }
});

test("packages that one place knows are loaded nowhere else", () => {
  for (const name of Object.keys(keptPackages)) {
    const planted = { path: "src/work/planted.ts", text: `import { a } from "${name}";` };
    assert.equal(breaches([planted]).length, 1, name);
  }
});
