import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeResults, encodeResults, type PlacedResult } from "#src/jobs/chunk-results.js";

const results = fc.array(
  fc.record(
    {
      place: fc.integer({ min: 0, max: 127 }),
      isError: fc.boolean(),
      json: fc.string({ unit: "grapheme" }),
    },
    { noNullPrototype: true },
  ),
);

test("results come back as they were, and are counted", () => {
  fc.assert(
    fc.property(results, (each: readonly PlacedResult[]) => {
      const encoded = encodeResults({ index: 3, firstLine: 384 }, each);
      assert.deepEqual(decodeResults(encoded), each);
      const failed = each.filter(({ isError }) => isError);
      const bytesOf = (some: readonly PlacedResult[]): number =>
        some.reduce((sum, { json }) => sum + Buffer.byteLength(json) + 1, 0);
      assert.equal(encoded.failed, failed.length);
      assert.equal(encoded.succeeded, each.length - failed.length);
      assert.equal(encoded.errorBytes, bytesOf(failed));
      assert.equal(encoded.outputBytes + encoded.errorBytes, bytesOf(each));
    }),
  );
});

test("bytes that are not what was written are no results", () => {
  const each = [{ place: 0, isError: false, json: '{"line":0}' }];
  const { body, lines } = encodeResults({ index: 0, firstLine: 0 }, each);
  for (let length = 0; length < body.length; length += 1) {
    const torn = { body: body.subarray(0, length), lines };
    assert.throws(() => decodeResults(torn), { code: "job_data_lost" });
  }
  const huge = Buffer.from(body);
  huge.writeUInt32LE(0xffff_ffff, 5);
  assert.throws(() => decodeResults({ body: huge, lines }), { code: "job_data_lost" });
  assert.throws(() => decodeResults({ body: Buffer.of(2), lines: 0 }), { code: "job_data_lost" });
});
