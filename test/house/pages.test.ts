/** What the project's pages say is so: dependencies, exit codes, folders, links. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { exitCodes, exitCodesOfErrors } from "#src/cli/exit-codes.js";
import { benches } from "../../bench/benches.js";
import { brokenLinks } from "../../site/links.js";
import { groupsOf, siteMap } from "../../site/map.js";
import { parsePage, readPage } from "../../site/page.js";
import { readSources, roomOf } from "./imports.js";
import { rooms } from "./rooms.js";

const read = (path: string): string => readFileSync(path, "utf8");

/** The cells of each table row of a page that has so many; heads and rules too. */
function rows(page: string, cells: number): string[][] {
  return page
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").slice(1, -1))
    .filter((row) => row.length === cells)
    .map((row) => row.map((cell) => cell.trim()));
}

test("docs/dependencies.md gives a reason for each dependency, and for nothing else", () => {
  const { dependencies, optionalDependencies, devDependencies } = JSON.parse(
    read("package.json"),
  ) as Record<"dependencies" | "optionalDependencies" | "devDependencies", Record<string, string>>;
  const [run, build] = read("docs/dependencies.md").split("## To build and test");
  for (const [part, wanted] of [
    [run, { ...dependencies, ...optionalDependencies }],
    [build, devDependencies],
  ] as const) {
    const listed = rows(part ?? "", 4).filter(([name]) => !/^(package|-+)$/.test(name ?? ""));
    assert.deepEqual(listed.map(([name = ""]) => name).toSorted(), Object.keys(wanted).toSorted());
    for (const row of listed) assert.ok(row.every((cell) => cell !== ""));
  }
  const client = JSON.parse(read("client/package.json")) as Record<string, unknown>;
  assert.equal(client["dependencies"], undefined);
});

test("docs/command.md has the exit codes of exit-codes.ts", () => {
  const listed = rows(read("docs/command.md"), 4)
    .filter(([exit]) => /^\d+$/.test(exit ?? ""))
    .map(([exit, name, codes]) => [
      Number(exit),
      name?.replaceAll("`", ""),
      (codes?.match(/\w+(?=`)/g) ?? []).toSorted(),
    ]);
  const codesOf = (exit: number): string[] =>
    Object.entries(exitCodesOfErrors)
      .filter(([, code]) => code === exit)
      .map(([code]) => code)
      .toSorted();
  assert.deepEqual(
    listed,
    Object.entries(exitCodes).map(([name, exit]) => [exit, name, codesOf(exit)]),
  );
});

test("every command has a line in docs/command.md", () => {
  const page = read("docs/command.md");
  const registered = [...read("src/cli/commands.ts").matchAll(/^ +register(\w+)\(/gm)];
  assert.ok(registered.length >= 6);
  for (const [, name] of registered)
    assert.ok(page.includes(`| \`${name?.toLowerCase()}\``), `${name} is missing`);
});

test("every benchmark has its row in CONTRIBUTING.md, as the table of benchmarks has it", () => {
  const [, behind = ""] = read("CONTRIBUTING.md").split("## A new benchmark\n");
  const [section = ""] = behind.split("\n## ");
  const listed = rows(section, 2).filter(([name]) => name?.startsWith("`"));
  const wanted = Object.entries(benches).map(([name, { about }]) => [`\`${name}\``, about]);
  assert.deepEqual(listed, wanted);
});

test("every benchmark that a page has the command of is there", () => {
  const named = siteMap()
    .flatMap((group) => group.pages)
    .flatMap(({ path }) => [...read(path).matchAll(/\bbench -- ([a-z][a-z0-9-]*)/g)])
    .map(([, name = ""]) => name);
  assert.ok(named.length > 20);
  assert.deepEqual(
    named.filter((name) => !Object.hasOwn(benches, name)),
    [],
  );
});

const pages = new Map(
  siteMap()
    .flatMap((group) => group.pages)
    .map(({ path }) => [path, readPage(path)]),
);

test("docs/README.md lists every Markdown file of the project once, beside the README and itself", () => {
  const folders = ["docs", "client", "examples", "models", "training", "deploy", "site", "page"];
  const written = [
    ...readdirSync("."),
    ...folders.flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
    ),
  ].filter((path) => path.endsWith(".md") && !path.includes("node_modules"));
  const listed = siteMap().flatMap((group) => group.pages.map(({ path }) => path));
  assert.deepEqual(listed.toSorted(), written.toSorted());
});

test("the site's list is that of the index: a group for each head, its links in order", () => {
  const text =
    "# All\n\n[a](a.md)\n\n## One\n\n- [b](b.md): and `c`\n- [c](../c/README.md)\n\n## Two\n\n- [d](https://d.example)\n";
  assert.deepEqual(groupsOf(parsePage("docs/README.md", text)), [
    {
      title: "One",
      pages: [
        { path: "docs/b.md", title: "b" },
        { path: "c/README.md", title: "c" },
      ],
    },
    { title: "Two", pages: [] },
  ]);
});

for (const page of pages.values()) {
  test(`${page.path}: what it names is there, and its links lead somewhere`, () => {
    assert.deepEqual(brokenLinks(page, pages), []);
    const named = read(page.path).matchAll(/`((?:test|src|scripts|client|site)\/[\w./-]+)`/g);
    for (const [, path = ""] of named) assert.ok(existsSync(path), `${path} is not there`);
  });
}

test("a link that leads nowhere is told, with its page", () => {
  const at = (path: string, text: string) => parsePage(path, text);
  const other = at("docs/http.md", "# HTTP\n\n## A `head`\n\n## A `head`\n");
  const page = at(
    "docs/errors.md",
    [
      "# Errors\n\n[a](http.md#a-head) [b](http.md#a-head-1) [c](#errors) [d](../src) ![p](plots/datafile.svg)",
      "[e](http.md#a-head-2) [f](none.md) ![q](none.png) [g](#none) [h][ref] [i](../../other)",
      "`[no link](none.md)`\n\n```\n[no link](none.md)\n```\n\n[ref]: gone.md\n",
    ].join("\n"),
  );
  const all = new Map([other, page].map((each) => [each.path, each]));
  assert.deepEqual(brokenLinks(page, all), [
    "docs/errors.md: http.md#a-head-2: docs/http.md has no head #a-head-2",
    "docs/errors.md: none.md: there is no docs/none.md",
    "docs/errors.md: none.png: there is no docs/none.png",
    "docs/errors.md: #none: docs/errors.md has no head #none",
    "docs/errors.md: gone.md: there is no docs/gone.md",
    "docs/errors.md: ../../other leads out of the repository",
  ]);
});

test("ARCHITECTURE.md names every folder of src", () => {
  const page = read("ARCHITECTURE.md");
  for (const entry of readdirSync("src", { withFileTypes: true })) {
    if (entry.isDirectory()) assert.ok(page.includes(`](src/${entry.name})`), entry.name);
  }
});

test("every room says where to begin, and ARCHITECTURE.md names that file", () => {
  const page = read("ARCHITECTURE.md");
  const sources = readSources("src", "client/src", "page");
  for (const room of rooms.filter(({ path }) => !path.endsWith(".ts"))) {
    const first = sources
      .filter(({ path, text }) => roomOf(path) === room && /^ ?\*?.*READ FIRST\b/m.test(text))
      .map(({ path }) => path.slice(room.path.length + 1));
    assert.ok(first.length > 0, `${room.path} does not say where to begin`);
    const row = page.split("\n").find((line) => line.includes(`](${room.path})`));
    assert.ok(row !== undefined, `ARCHITECTURE.md does not have ${room.path}`);
    assert.ok(
      first.some((name) => row.includes(`\`${name}\``)),
      `ARCHITECTURE.md names none of ${first.join(", ")} for ${room.path}`,
    );
  }
});

test("package-lock.json has every package for every platform", () => {
  interface Locked {
    readonly dependencies?: Readonly<Record<string, string>>;
    readonly optionalDependencies?: Readonly<Record<string, string>>;
  }
  const { packages } = JSON.parse(read("package-lock.json")) as {
    readonly packages: Readonly<Record<string, Locked>>;
  };
  // A registry that has only this machine's binaries makes npm leave the others out, and then `npm ci` fails.
  const missing = Object.entries(packages).flatMap(([at, { dependencies, optionalDependencies }]) =>
    Object.keys({ ...dependencies, ...optionalDependencies }).filter(
      (name) =>
        !(`node_modules/${name}` in packages) && !(`${at}/node_modules/${name}` in packages),
    ),
  );
  assert.deepEqual(missing, []);
});

test("docs/convert.md explains every field of millrace.json", () => {
  const page = read("docs/convert.md");
  const manifest = JSON.parse(read("models/en-zh/millrace.json")) as Record<string, unknown>;
  for (const key of Object.keys(manifest)) assert.match(page, new RegExp(`^\\|.*\`${key}\``, "m"));
});
