import assert from "node:assert/strict";
import { test } from "node:test";
import { readMultipart } from "#src/front/multipart.js";

test("attack: thousands of tiny files in one form leave turns to others between them", async () => {
  const files = 9_000;
  const part = '--B\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nx\r\n';
  const body = Buffer.from(`${part.repeat(files)}--B--\r\n`);
  let turns = 0;
  let isRead = false;
  const turn = (): void => {
    turns += 1;
    if (!isRead) setImmediate(turn);
  };
  setImmediate(turn);
  const form = await readMultipart(body, {
    contentType: "multipart/form-data; boundary=B",
    filesMax: 10_000,
  });
  isRead = true;
  assert.equal(form.files.length, files);
  assert.ok(turns > files / 500, `${turns} turns for ${files} parts`);
});
