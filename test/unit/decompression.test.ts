import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { compressionOf, decompress } from "#src/listen/http/decompression.js";
import { type Claim, DecompressionTurns } from "#src/listen/http/decompression-turns.js";

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
  const parts = {
    compression,
    turns,
    bytesMax: 1024 * 1024,
    signal,
    onOpen: () => {},
    onChunk: () => {},
  };
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

  // Else one of them would be more than is done in good time, and all who wait beside it would be refused.
  claims.length = 0;
  liar.writeUInt32LE(0xffff_ffff, liar.length - 4);
  await assert.rejects(decompress(liar, parts), { code: "bad_request" });
  assert.deepEqual(claims[0], { had: 0, size: 1024 * 1024 }, "attack: no more than is read of any");
});

test("whatever way a decompression ends, its turn is given back", async () => {
  const turns = new DecompressionTurns();
  const compression = compressionOf({ "content-encoding": "gzip" }) ?? assert.fail();
  const { signal } = new AbortController();
  const parts = {
    compression,
    turns,
    bytesMax: 1024 * 1024,
    signal,
    onOpen: () => {},
    onChunk: () => {},
  };
  const good = gzipSync("x".repeat(300_000));
  await assert.rejects(decompress(Buffer.from("none"), parts), { code: "bad_request" });
  await assert.rejects(decompress(good.subarray(0, -9), parts), { code: "bad_request" });
  const enough = (): void => {
    throw new Error("enough");
  };
  await assert.rejects(decompress(good, { ...parts, onChunk: enough }), /enough/);
  await assert.rejects(decompress(good, { ...parts, onOpen: enough }), /enough/);
  let bytes = 0;
  const onChunk = (chunk: Buffer): void => {
    bytes += chunk.length;
  };
  await decompress(good, { ...parts, onChunk });
  assert.equal(bytes, 300_000);
});
