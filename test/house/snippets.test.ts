/** Programs in the docs are programs: each block of TypeScript compiles as it stands, as strictly as TypeScript's `strict` says. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { siteMap } from "../../site/map.js";
import { readPage } from "../../site/page.js";

/** Within the project, so that its packages are found. */
const folder = "build/snippets";

test("every block of TypeScript in the docs compiles; what it takes for given says a comment before it", () => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const places = new Map<string, string>();
  for (const { path } of siteMap().flatMap(({ pages }) => pages)) {
    for (const { language, text, mark, line } of readPage(path).fences) {
      if (language !== "ts") continue;
      const name = `${path.replaceAll(/\W/g, "-")}-${line}.ts`;
      // On one line, so that lines are those of the page.
      const given = mark?.startsWith("given: ") === true ? mark.slice("given: ".length) : "";
      places.set(name, `${path}, line ${line}`);
      writeFileSync(`${folder}/${name}`, `export {}; ${given}\n${text}`);
    }
  }
  assert.ok(places.size >= 10);
  const settings = {
    extends: "../../tsconfig.base.json",
    compilerOptions: {
      composite: false,
      declaration: false,
      declarationMap: false,
      noEmit: true,
      isolatedDeclarations: false,
      // What `strict` alone asks for, as in most projects.
      noUncheckedIndexedAccess: false,
      noPropertyAccessFromIndexSignature: false,
      noUnusedLocals: false,
      lib: ["es2023", "dom", "dom.asynciterable"],
      types: ["node"],
    },
    include: ["."],
  };
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(settings));
  const { stdout } = spawnSync(
    process.execPath,
    ["node_modules/typescript/bin/tsc", "-p", folder, "--pretty", "false"],
    { encoding: "utf8" },
  );
  const told = stdout.replaceAll(/[\w/-]+\.ts(?=\()/g, (path) => {
    return places.get(path.slice(path.lastIndexOf("/") + 1)) ?? path;
  });
  assert.equal(told, "");
});
