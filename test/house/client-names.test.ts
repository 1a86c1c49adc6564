/** Names of the client that were renamed, and mean what the new ones do. */
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

test("the old names mean what the new ones do", () => {
  const outcome: TranslateOutcome = {
    error: { code: "item_failed", message: "no", retryable: false },
  };
  const item: TranslateItem = outcome;
  const indexed: IndexedItem = { index: 0, ...item } satisfies IndexedOutcome;
  assert.equal(indexed.index, 0);
  assert.equal(apiLimits.beamsMax, translateLimits.beamsMax);
});
