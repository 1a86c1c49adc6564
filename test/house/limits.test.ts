/** docs/limits.md says every bound and the test that sends more: here that these options and tests are there. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { optionKeys, optionTable } from "#src/options/table.js";

const page = readFileSync("docs/limits.md", "utf8");
const tests = readdirSync("test", { recursive: true, encoding: "utf8" }).filter((name) =>
  name.endsWith(".test.ts"),
);

test("every limit of the options table has its row in docs/limits.md", () => {
  // How often an item is tried bounds no memory.
  const bounds = optionKeys.filter((key) => {
    const isLimit = optionTable[key].group === "Limits" || /(?<!Ms)Max$/.test(key);
    return isLimit && key !== "attemptsMax";
  });
  assert.ok(bounds.length >= 9);
  assert.ok(bounds.includes("grpcMessageBytesMax"), "whatever its group");
  for (const key of bounds) assert.ok(page.includes(`\`${key}\``), `${key} has no row`);
});

test("every row of docs/limits.md names a test that is there", () => {
  const named = [...page.matchAll(/`([\w-]+)`: "([^"]+)"/g)];
  assert.ok(named.length >= 25, `${named.length} tests are named`);
  for (const [, file = "", title = ""] of named) {
    const found = tests.filter((name) => name.endsWith(`/${file}.test.ts`));
    assert.ok(found.length > 0, `there is no ${file}.test.ts`);
    const texts = found.map((name) => readFileSync(`test/${name}`, "utf8"));
    assert.ok(
      texts.some((text) => text.includes(title)),
      `${file} has no test "${title}"`,
    );
  }
});

test("docs/clients/README.md has the name of each protocol, as --fronts takes it", () => {
  const server = readFileSync("src/server.ts", "utf8");
  const names = [...server.matchAll(/^ {2}"?([\w-]+)"?: open\w+Front,$/gm)].map(([, name]) => name);
  assert.ok(names.length >= 9, "the list of server.ts");
  const clients = readFileSync("docs/clients/README.md", "utf8");
  const missing = names.filter((name) => !clients.includes(`\`${name}\``));
  assert.deepEqual(missing, []);
});
