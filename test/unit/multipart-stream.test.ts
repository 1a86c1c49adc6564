/** Forms that may be larger than the memory: one file, at the pace of whoever keeps it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { streamMultipart } from "#src/front/multipart.js";

const type = "multipart/form-data; boundary=B";
const text = (name: string, value: string): string =>
  `--B\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const file = (value: string): string =>
  `--B\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n${value}\r\n`;
const end = "--B--\r\n";

async function* pieces(body: string | Buffer, bytes: number): AsyncGenerator<Uint8Array> {
  const whole = Buffer.from(body);
  for (let at = 0; at < whole.length; at += bytes) yield whole.subarray(at, at + bytes);
}

interface Kept {
  readonly name: string;
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly bytes: Buffer;
}

async function read(body: AsyncIterable<Uint8Array>): Promise<Kept | null> {
  const { kept } = await streamMultipart<Kept>(body, type, async ({ name, content }, texts) => {
    const before = [...texts.keys()];
    const chunks: Uint8Array[] = [];
    for await (const chunk of content) chunks.push(chunk);
    return { name, before, after: [...texts.keys()], bytes: Buffer.concat(chunks) };
  });
  return kept;
}

test("however it is cut: the bytes, and the texts before and behind the file", async () => {
  // What looks like the boundary and is none.
  const value = `\r\n--\r\n--C\r\n-${"é\r\n--".repeat(500)}\r`;
  const body = text("purpose", "batch") + file(value) + text("late", "1") + end;
  for (const bytes of [1, 2, 3, 7, 64, 65_536]) {
    assert.deepEqual(await read(pieces(body, bytes)), {
      name: "a.jsonl",
      before: ["purpose"],
      after: ["purpose", "late"],
      bytes: Buffer.from(value),
    });
  }
  assert.equal(await read(pieces(text("purpose", "batch") + end, 5)), null);
});

test("the body is read no faster than the file is kept", async () => {
  const piece = Buffer.alloc(64 * 1024, "x");
  let sent = 0;
  let taken = 0;
  let most = 0;
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(file("").slice(0, -2));
    for (let at = 0; at < 200; at += 1) {
      sent += piece.length;
      most = Math.max(most, sent - taken);
      yield piece;
    }
    yield Buffer.from(`\r\n${end}`);
  }
  await streamMultipart(body(), type, async ({ content }) => {
    for await (const chunk of content) {
      taken += chunk.length;
      await new Promise(setImmediate);
    }
  });
  assert.equal(taken, 200 * piece.length);
  assert.ok(most <= 6 * piece.length, `${most} bytes were under way`);
});

test("a form that breaks off, or is wrong behind its file, is no file for who keeps it", async () => {
  const whole = file("one\ntwo") + text("purpose", "batch");
  const cases: readonly (readonly [body: string, code: string])[] = [
    [whole, "bad_request"],
    [whole.slice(0, 90), "bad_request"],
    [whole + file("more") + end, "too_many_items"],
    [whole + text("purpose", "batch") + end, "bad_request"],
    [whole + text("long", "x".repeat(5_000)) + end, "bad_request"],
    [
      whole + Array.from({ length: 70 }, (_, at) => text(`f${at}`, "")).join("") + end,
      "bad_request",
    ],
  ];
  for (const [body, code] of cases) {
    let hasEnded = false;
    let heard: unknown = null;
    const reading = streamMultipart(pieces(body, 1_000), type, async ({ content }) => {
      try {
        for await (const _ of content) continue;
        hasEnded = true;
      } catch (error) {
        heard = error;
        throw error;
      }
    });
    await assert.rejects(reading, (error) => error instanceof MillraceError && error.code === code);
    assert.equal(hasEnded, false, body.slice(0, 200));
    assert.ok(heard instanceof MillraceError);
  }
});

test("whoever keeps it no more ends it, and so does a caller who leaves", async () => {
  const full = new MillraceError("job_store_full", "full");
  let sent = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(file("").slice(0, -2));
    for (;;) {
      sent += 1;
      yield Buffer.alloc(64 * 1024);
      await new Promise(setImmediate);
    }
  }
  await assert.rejects(
    streamMultipart(endless(), type, async ({ content }) => {
      for await (const _ of content) if (sent > 3) throw full;
    }),
    full,
  );
  const left = new MillraceError("cancelled", "left");
  async function* leaving(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(file("begun").slice(0, -2));
    throw await Promise.resolve(left);
  }
  await assert.rejects(read(leaving()), left);
});
