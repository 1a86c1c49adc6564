/** What the commands for many inputs read → lines. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client";
import { splitLines } from "#src/cli/bulk/lines.js";

async function linesOf(...chunks: readonly Uint8Array[]): Promise<string[]> {
  const lines: string[] = [];
  const all = (async function* () {
    yield* chunks;
  })();
  for await (const line of splitLines(all)) {
    lines.push(line instanceof MillraceError ? `! ${line.code}: ${line.message}` : line);
  }
  return lines;
}

test("one line in is one line, wherever the bytes are cut, and the last line feed begins none", async () => {
  const bytes = Buffer.from("\u{feff}One.\r\n\n你好😀\n last");
  const wanted = ["One.", "", "你好😀", " last"];
  assert.deepEqual(await linesOf(bytes), wanted);
  assert.deepEqual(await linesOf(...[...bytes].map((byte) => Uint8Array.of(byte))), wanted);
  for (let at = 1; at < bytes.length; at += 1) {
    assert.deepEqual(await linesOf(bytes.subarray(0, at), bytes.subarray(at)), wanted);
  }
  assert.deepEqual(await linesOf(Buffer.from("One.\n")), ["One."]);
  assert.deepEqual(await linesOf(), []);
});

test("attack: a line that is no text, or has no end, fails alone", async () => {
  const noText = Uint8Array.of(0x61, 0xff, 10);
  assert.deepEqual(await linesOf(Buffer.from("a\n"), noText, Buffer.from("b")), [
    "a",
    "! bad_encoding: not UTF-8",
    "b",
  ]);
  const mebibyte = new Uint8Array(1024 * 1024).fill(0x61);
  const lines = await linesOf(...Array.from({ length: 17 }, () => mebibyte), Buffer.from("\nb\n"));
  assert.deepEqual(lines, [
    `! input_too_long: ${17 * 1024 * 1024} bytes, at most ${16 * 1024 * 1024} are sent`,
    "b",
  ]);
});
