import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import {
  type Claim,
  compressionOf,
  DecompressionTurns,
  decompress,
} from "#src/listen/http/decompression.js";

const small = { had: 0, size: 0 };

function large(size: number, had = 0): Claim {
  return { had, size: 1024 * 1024 + size };
}

test("defect 4: the smallest has the next turn, of equals who is nearest to its end, and who leaves has none", async () => {
  const turns = new DecompressionTurns();
  const stays = new AbortController();
  const leaves = new AbortController();
  const order: string[] = [];
  await turns.take(small, stays.signal);
  const claims: readonly (readonly [string, Claim])[] = [
    ["large", large(2)],
    ["begun", large(1, 5)],
    ["begun, nearer", large(1, 6)],
    ["small", small],
    ["small, later", small],
  ];
  const waiting = claims.map(async ([name, claim]) => {
    await turns.take(claim, stays.signal);
    order.push(name);
    turns.giveBack();
  });
  const left = turns.take(large(0), leaves.signal);
  leaves.abort(new Error("left"));
  await assert.rejects(left, /left/);
  turns.giveBack();
  await Promise.all(waiting);
  // A large one has its turn where no pause is, and then a pause.
  assert.deepEqual(order, ["begun, nearer", "small", "small, later", "begun", "large"]);
  // The turn was given back by the last one.
  await turns.take(small, stays.signal);
});

test("attack: bombs have a part of the time; who is small waits for one turn of them, and who waits too long is refused", async () => {
  const turns = new DecompressionTurns();
  const { signal } = new AbortController();
  const refused: string[] = [];
  let served = 0;
  await turns.take(small, signal);
  const bombs = Array.from({ length: 20 }, async () => {
    try {
      for (let bytes = 1; ; bytes += 1) {
        await turns.take(large(bytes), signal);
        served += 1;
        await new Promise((resolve) => setTimeout(resolve, 10));
        turns.giveBack();
      }
    } catch (error) {
      refused.push((error as { readonly code: string }).code);
    }
  });
  turns.giveBack();
  for (let count = 0; count < 20; count += 1) {
    await turns.take(small, signal);
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

test("attack: a small body is not refused, however long it waits", async () => {
  const turns = new DecompressionTurns();
  const { signal } = new AbortController();
  await turns.take(small, signal);
  const smalls = [turns.take(small, signal), turns.take(small, signal)];
  const refused = assert.rejects(turns.take(large(5), signal), { code: "queue_full" });
  const alone = turns.take(large(6), signal);
  await new Promise((resolve) => setTimeout(resolve, 600));
  // The large one that is left when the other is refused waits for nobody who is large.
  for (const taken of [alone, ...smalls]) {
    turns.giveBack();
    await taken;
  }
  await refused;
});

test("attack: small bodies without end do not keep large ones from their turn", async () => {
  const turns = new DecompressionTurns();
  const { signal } = new AbortController();
  let [over, smalls] = [false, 0];
  const flood = Array.from({ length: 8 }, async () => {
    while (!over) {
      await turns.take(small, signal);
      smalls += 1;
      await new Promise((resolve) => setImmediate(resolve));
      turns.giveBack();
    }
  });
  for (let turn = 0; turn < 10; turn += 1) {
    await turns.take(large(turn, turn), signal);
    turns.giveBack();
  }
  over = true;
  await Promise.all(flood);
  assert.ok(smalls > 10, `${smalls} small ones had turns meanwhile`);
});

test("gzip says how large it is; what lies has a small turn and waits with the large ones then", async () => {
  const claims: Claim[] = [];
  const turns = new DecompressionTurns();
  const take = turns.take.bind(turns);
  turns.take = (claim, signal) => {
    claims.push(claim);
    return take(claim, signal);
  };
  const compression = compressionOf({ "content-encoding": "gzip" }) ?? assert.fail();
  const { signal } = new AbortController();
  const parts = { compression, turns, signal, onOpen: () => {}, onPiece: () => {} };
  const honest = gzipSync("x".repeat(300_000));
  await decompress(honest, parts);
  assert.deepEqual(claims[0], { had: 0, size: 300_000 });
  assert.ok(claims.every(({ size }) => size === 300_000) && claims.length <= 6);

  claims.length = 0;
  const liar = Buffer.from(honest);
  liar.writeUInt32LE(1, liar.length - 4);
  await assert.rejects(decompress(liar, parts), { code: "bad_request" });
  assert.deepEqual(claims[0], { had: 0, size: 1 });
  assert.ok((claims.at(-1)?.size ?? 0) > 200_000, "by what came out");
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
