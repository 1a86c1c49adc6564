import assert from "node:assert/strict";
import { test } from "node:test";
import { errorRegistry, isErrorCode, MillraceError } from "millrace-client/wire";

test("every error code says what it means and what to do", () => {
  for (const [code, entry] of Object.entries(errorRegistry)) {
    assert.ok(isErrorCode(code));
    assert.ok(entry.meaning.endsWith(".") && entry.whatToDo.endsWith("."), code);
    assert.ok(entry.status === null || (entry.status >= 400 && entry.status < 600), code);
  }
});

test("an error carries its code, and whether it may be retried, to the wire", () => {
  const error = new MillraceError("queue_full", "full", { param: "texts" });
  assert.deepEqual(error.toWire(), {
    code: "queue_full",
    message: "full",
    retryable: true,
    param: "texts",
  });
});
