import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { compressionOf, DecompressionTurns, decompress } from "#src/listen/http/decompression.js";

test("defect 4: whoever has got least has the next turn, and who leaves has none", async () => {
  const turns = new DecompressionTurns();
  const stays = new AbortController();
  const leaves = new AbortController();
  const order: number[] = [];
  await turns.take(0, stays.signal);
  const waiting = [500, 10, 100].map(async (bytes) => {
    await turns.take(bytes, stays.signal);
    order.push(bytes);
    turns.giveBack();
  });
  const left = turns.take(1, leaves.signal);
  leaves.abort(new Error("left"));
  await assert.rejects(left, /left/);
  turns.giveBack();
  await Promise.all(waiting);
  assert.deepEqual(order, [10, 100, 500]);
  // The turn was given back by the last one.
  await turns.take(0, stays.signal);
});

test("whatever way a decompression ends, its turn is given back", async () => {
  const turns = new DecompressionTurns();
  const compression = compressionOf({ "content-encoding": "gzip" }) ?? assert.fail();
  const { signal } = new AbortController();
  const parts = { compression, turns, signal, onOpen: () => {}, onPiece: () => {} };
  const good = gzipSync("x".repeat(300_000));
  await assert.rejects(decompress(Buffer.from("none"), parts), { code: "bad_request" });
  await assert.rejects(decompress(good.subarray(0, -9), parts), { code: "bad_request" });
  const enough = (): void => {
    throw new Error("enough");
  };
  await assert.rejects(decompress(good, { ...parts, onPiece: enough }), /enough/);
  await assert.rejects(decompress(good, { ...parts, onOpen: enough }), /enough/);
  let bytes = 0;
  const onPiece = (piece: Buffer): void => {
    bytes += piece.length;
  };
  await decompress(good, { ...parts, onPiece });
  assert.equal(bytes, 300_000);
});
