/** Each guide, followed from its beginning to its end as a reader would. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isLong } from "../support/long.js";
import { writeMarianFolder } from "../support/marian-folder.js";
import { TempDir } from "../support/temp-dir.js";
import { TypedGuide } from "../support/typed-guide.js";

/** What a guide says was fetched from elsewhere. */
const brought: Readonly<Record<string, (dir: string) => Promise<unknown>>> = {
  "first-model": (dir) => writeMarianFolder(join(dir, "opus-mt-en-de")),
};

/** They start a dozen commands and servers each, as the others do in less. */
const large = ["first-model", "production", "sizing"];

for (const file of readdirSync("docs/guides")) {
  const name = file.replace(/\.md$/, "");
  if (large.includes(name) && !isLong) continue;
  test(`docs/guides/${file}`, { timeout: 120_000 }, async () => {
    await using dir = await TempDir.make();
    await brought[name]?.(dir.path);
    await using guide = await TypedGuide.in(dir.path, name);
    assert.ok((await guide.follow()) > 0);
  });
}
