/** Names of the client that were renamed: they mean what the new ones do, and we ourselves use the new ones. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apiLimits,
  type IndexedItem,
  type IndexedOutcome,
  type TranslateItem,
  type TranslateOutcome,
  translateLimits,
} from "millrace-client";
import { codeOf, readSources } from "./imports.js";

test("the old names mean what the new ones do", () => {
  const outcome: TranslateOutcome = {
    error: { code: "item_failed", message: "no", retryable: false },
  };
  const item: TranslateItem = outcome;
  const indexed: IndexedItem = { index: 0, ...item } satisfies IndexedOutcome;
  assert.equal(indexed.index, 0);
  assert.equal(apiLimits.beamsMax, translateLimits.beamsMax);
});

test("nobody in this repository uses an old name", () => {
  const sources = readSources("src", "client/src");
  const deprecated = /@deprecated[^/]*\*\/\s*export (?:type|interface) (\w+)/g;
  const names = sources.flatMap(({ text }) =>
    [...text.matchAll(deprecated)].map(([, name]) => name),
  );
  assert.ok(names.length >= 3, names.join());
  const old = new RegExp(`\\b(?:${names.join("|")}|apiLimits\\.beamsMax)\\b`);
  const users = readSources("src", "bench", "examples").filter(({ text }) =>
    old.test(codeOf(text)),
  );
  assert.deepEqual(
    users.map(({ path }) => path),
    [],
  );
});
