/** The client and its wire name a task where it is defined and where callers meet it, and nowhere else. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  apiLimits,
  type IndexedItem,
  type IndexedOutcome,
  type TranslateItem,
  type TranslateOutcome,
  translateLimits,
} from "millrace-client";

const root = "client/src";

function sources(): { readonly name: string; readonly text: string }[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => ({ name, text: readFileSync(join(root, name), "utf8") }));
}

test("only these files of the client know a task's name", () => {
  const knowing = sources().filter(({ text }) => /translat/i.test(text));
  assert.deepEqual(knowing.map(({ name }) => name).toSorted(), [
    "index.ts",
    "millrace.ts",
    "translate.ts",
    "wire/index.ts",
    "wire/translate.ts",
  ]);
});

test("the wire imports nothing but itself, the client only itself and the wire", () => {
  for (const { name, text } of sources()) {
    const inWire = name.startsWith("wire/");
    for (const [, from = ""] of text.matchAll(/from "([^"]+)"/g)) {
      const allowed = inWire ? /^\.\/\w+\.js$/ : /^\.\/(?:[\w-]+|wire\/index)\.js$/;
      // The example in a doc comment imports the package as a caller does.
      assert.match(from, allowed, `${name} imports ${from}`);
    }
  }
});

test("the old names mean what the new ones do", () => {
  const outcome: TranslateOutcome = {
    error: { code: "item_failed", message: "no", retryable: false },
  };
  const item: TranslateItem = outcome;
  const indexed: IndexedItem = { index: 0, ...item } satisfies IndexedOutcome;
  assert.equal(indexed.index, 0);
  assert.equal(apiLimits.beamsMax, translateLimits.beamsMax);
});
