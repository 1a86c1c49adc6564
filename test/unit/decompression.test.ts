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

test("attack: bombs have a part of the time; who is new waits for none of them, and who waits too long is refused", async () => {
  const turns = new DecompressionTurns();
  const { signal } = new AbortController();
  const refused: string[] = [];
  let served = 0;
  await turns.take(0, signal);
  const bombs = Array.from({ length: 20 }, async () => {
    try {
      for (let bytes = 1; ; bytes += 1) {
        await turns.take(bytes, signal);
        served += 1;
        await new Promise((resolve) => setTimeout(resolve, 10));
        turns.giveBack();
      }
    } catch (error) {
      refused.push((error as { readonly code: string }).code);
    }
  });
  turns.giveBack();
  for (let small = 0; small < 20; small += 1) {
    await turns.take(0, signal);
    turns.giveBack();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.ok(served < 20, "the small ones did not wait for the pauses");
  // The last one has nobody to wait for, and would go on.
  await Promise.race([Promise.all(bombs), new Promise((resolve) => setTimeout(resolve, 3_000))]);
  assert.ok(refused.length >= 15, `${refused.length} of 20 were refused`);
  assert.deepEqual(new Set(refused), new Set(["queue_full"]));
  turns.take = () => Promise.reject(new Error("the test is over"));
});

test("attack: a body that has had no turn yet is not refused, however long it waits", async () => {
  const turns = new DecompressionTurns();
  const { signal } = new AbortController();
  await turns.take(0, signal);
  const first = [turns.take(0, signal), turns.take(0, signal)];
  const large = turns.take(5, signal);
  const refused = assert.rejects(large, { code: "queue_full" });
  await new Promise((resolve) => setTimeout(resolve, 600));
  for (const taken of first) {
    turns.giveBack();
    await taken;
  }
  turns.giveBack();
  await refused;
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
