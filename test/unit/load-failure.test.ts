/** Whose fault it is that a load failed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { loadFailureCode } from "#src/runtime/load-failure.js";

function invalid(cause: unknown): MillraceError {
  return new MillraceError("model_folder_invalid", "the folder cannot be run", { cause });
}

test("a folder is at fault, but for what the machine was short of", () => {
  assert.equal(loadFailureCode(invalid(new Error("no graph"))), "model_folder_invalid");
  assert.equal(loadFailureCode(new Error("no graph")), "internal");
  const short = Object.assign(new Error("too many open files"), { code: "EMFILE" });
  assert.equal(
    loadFailureCode(invalid(new Error("it cannot be read", { cause: short }))),
    "internal",
  );
  assert.equal(loadFailureCode(invalid(new Error("std::bad_alloc"))), "internal");
  assert.equal(
    loadFailureCode(invalid(new RangeError("Array buffer allocation failed"))),
    "internal",
  );
});
