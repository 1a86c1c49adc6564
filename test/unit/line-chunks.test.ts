/** Bytes as they come → chunks of whole lines, which together are the bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { lineChunks, linesInChunk } from "#src/jobs/line-chunks.js";
import { LongLines } from "#src/jobs/long-lines.js";
import { type Chunk, chunkLimits } from "#src/jobs/store.js";
import { text } from "../support/job-work.js";

type NewChunk = Omit<Chunk, "index">;

async function cut(
  content: AsyncIterable<Uint8Array>,
  lineBytesMax = 1_000_000,
): Promise<NewChunk[]> {
  const chunks: NewChunk[] = [];
  const longLines = new LongLines(4_000_000);
  for await (const chunk of lineChunks(content, { lineBytesMax, longLines })) chunks.push(chunk);
  assert.equal(longLines.heldBytes, 0);
  return chunks;
}

async function* pieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let from = 0;
  for (let at = 0; from < bytes.length; at += 1) {
    const to = from + (sizes[at % sizes.length] ?? 1);
    // A buffer that is written again once it was taken, as sockets have them.
    const piece = Buffer.from(bytes.subarray(from, to));
    yield piece;
    piece.fill(0x58);
    from = to;
  }
}

test("however the bytes come, the chunks are the same, hold whole lines, and are the bytes", async () => {
  const line = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 20 }).map((each) => each.replace(/[\r\n]/g, " ")),
    fc.constantFrom("", " ", "\t", "x".repeat(70_000), "y".repeat(30_000)),
  );
  const lines = fc.array(fc.tuple(line, fc.constantFrom("\n", "\r\n")), { maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(
      lines,
      fc.boolean(),
      fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 5 }),
      async (each, endsOpen, sizes) => {
        const joined = each.flat().join("") + (endsOpen ? "open" : "");
        const bytes = Buffer.from(joined);
        const chunks = await cut(pieces(bytes, sizes));
        assert.deepEqual(Buffer.concat(chunks.map((chunk) => chunk.bytes)), bytes);
        assert.deepEqual(chunks, await cut(text(joined)));
        let firstLine = 0;
        for (const [at, chunk] of chunks.entries()) {
          assert.equal(chunk.firstLine, firstLine);
          assert.equal(linesInChunk(chunk).length, chunk.lines);
          firstLine += chunk.lines;
          assert.ok(chunk.lines <= chunkLimits.linesMax);
          assert.ok(chunk.bytes.length <= chunkLimits.bytesMax || chunk.lines === 1);
          if (at < chunks.length - 1) assert.equal(chunk.bytes.at(-1), 0x0a);
        }
        const wanted = joined.split("\n").filter((one) => !/^[ \t\r]*$/.test(one));
        assert.equal(firstLine, wanted.length);
      },
    ),
    { numRuns: 60 },
  );
});

test("byte by byte: CRLF, blank lines, letters of several bytes, a last line without its end", async () => {
  const joined = '"é"\r\n\n  \n"漢字"\n{"a":1}';
  const bytes = Buffer.from(joined);
  const chunks = await cut(pieces(bytes, [1]));
  assert.deepEqual(chunks, await cut(text(joined)));
  const [only] = chunks;
  assert.ok(only);
  assert.deepEqual(linesInChunk(only), [
    { text: '"é"', place: 0 },
    { text: '"漢字"', place: 3 },
    { text: '{"a":1}', place: 4 },
  ]);
});

test("a line that is too long, and one that is no UTF-8, are refused by their number", async () => {
  await assert.rejects(cut(text("a\n\n12345\n", "1234", "567"), 6), {
    code: "body_too_large",
    message: "Line 4 has more than 6 bytes.",
  });
  const many = "x\n".repeat(chunkLimits.linesMax + 5);
  const bad = Buffer.concat([Buffer.from(`\n${many}`), Buffer.of(0xff, 0x0a)]);
  await assert.rejects(cut(pieces(bad, [7])), {
    code: "bad_encoding",
    message: `Line ${chunkLimits.linesMax + 7} is not UTF-8.`,
  });
});

test("nothing but blank lines is kept, and has no lines", async () => {
  const blank = "\n".repeat(chunkLimits.bytesMax + 10);
  const chunks = await cut(text(blank));
  assert.equal(Buffer.concat(chunks.map(({ bytes }) => bytes)).toString(), blank);
  assert.deepEqual(
    chunks.map(({ lines }) => lines),
    [0, 0],
  );
  assert.deepEqual(await cut(text()), []);
});
