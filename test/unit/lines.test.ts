/** What `millrace translate` reads → lines. */
import assert from "node:assert/strict";
import { constants } from "node:buffer";
import { test } from "node:test";
import { linesOf } from "#src/cli/translate/lines.js";

test("attack: a file of more bytes than a text can have is refused by name, and is no bug", () => {
  // Never written to, so it takes no memory.
  const bytes = new Uint8Array(constants.MAX_STRING_LENGTH + 1);
  assert.throws(() => linesOf(bytes, "huge.txt"), {
    code: "option_invalid",
    message: /^huge\.txt has \d+ bytes, at most \d+ are read at once: split it$/,
  });
});

test("one line in is one line, and the last line feed begins none", () => {
  const bytes = new TextEncoder().encode("One.\r\n\nTwo.\n");
  assert.deepEqual(linesOf(bytes, "stdin"), ["One.", "", "Two."]);
  assert.throws(() => linesOf(Uint8Array.of(0xff), "x"), { message: "x is not UTF-8" });
});
