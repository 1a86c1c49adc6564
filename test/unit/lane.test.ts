/** Reordering beams in place against a gather that copies everything. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ActiveItem } from "#src/runtime/generation/active-item.js";
import type { EncodedBatch } from "#src/runtime/generation/arena.js";
import { Lane } from "#src/runtime/generation/lane.js";
import type { Candidates, Search } from "#src/runtime/generation/search/search.js";
import { appendTokens } from "../support/append-tokens.js";

const encoded: EncodedBatch = {
  width: 16,
  keys: [new Float32Array(16)],
  values: [new Float32Array(16)],
};
const candidates: Candidates = {
  ids: new Int32Array(),
  scores: new Float32Array(),
  badScores: new Float32Array(),
  badCount: 0,
  rowOffset: 0,
  count: 0,
};

/** Takes the parents that it is told. */
class ScriptedSearch implements Search {
  readonly width: number;
  readonly tokens: Int32Array;
  readonly parents: Int32Array;
  readonly forced = false;
  next: readonly number[] = [];

  constructor(width: number) {
    this.width = width;
    this.tokens = new Int32Array(width);
    this.parents = new Int32Array(width);
  }

  advance(): boolean {
    this.parents.set(this.next);
    for (const beam of this.tokens.keys()) this.tokens[beam] = 100 * (this.tokens[0] ?? 0) + beam;
    return false;
  }

  force(): void {}

  results() {
    return [];
  }
}

const cases = fc.integer({ min: 1, max: 8 }).chain((width) =>
  fc.tuple(
    fc.constant(width),
    fc.array(fc.array(fc.nat(width - 1), { minLength: width, maxLength: width }), {
      minLength: 1,
      maxLength: 20,
    }),
  ),
);

test("after every reorder each hypothesis finds its own past in its own row", () => {
  fc.assert(
    fc.property(cases, ([width, script]) => {
      const lane = new Lane(
        { key: "bulk:any", workClass: "bulk" },
        {
          layers: 1,
          heads: 1,
          size: 1,
          width,
          crossWidth: 16,
          slotsMax: 2,
        },
      );
      const search = new ScriptedSearch(width);
      const settings = { beams: width, nBest: 1, lengthPenalty: 1, maxLength: 32 };
      const item: ActiveItem = {
        itemId: 1,
        input: { tokenIds: [0], settings },
        tokens: 1,
        rows: width,
        workClass: "bulk",
        search,
        receivedAtMs: 0,
        rowOf: new Int32Array(width),
        alone: false,
      };
      lane.add(item, encoded, 0);
      let pasts: number[][] = Array.from({ length: width }, () => []);
      let last = 0;
      for (const parents of script) {
        lane.arena.reserve();
        // Row r gets key `last + r`; its value is the negative of it.
        const step = Float32Array.from({ length: 2 * width }, (_, index) =>
          index % 2 === 0 ? last + index / 2 + 1 : -(last + (index - 1) / 2 + 1),
        );
        appendTokens(lane.arena, step);
        for (const [beam, past] of pasts.entries()) past.push(last + (item.rowOf[beam] ?? 0) + 1);
        last += width;
        search.next = parents;
        lane.advance(0, candidates);
        pasts = parents.map((parent) => [...(pasts[parent] ?? [])]);
        assert.equal(new Set(item.rowOf).size, width, "two hypotheses share a row");
        const [cache] = lane.arena.layers;
        for (const [beam, past] of pasts.entries()) {
          const row = item.rowOf[beam] ?? 0;
          const from = row * lane.arena.pastWidth;
          const keys = cache?.pastKey.subarray(from, from + past.length) ?? [];
          const values = cache?.pastValue.subarray(from, from + past.length) ?? [];
          assert.deepEqual([...keys], past);
          assert.deepEqual(
            [...values],
            past.map((key) => -key),
          );
          assert.equal(lane.tokens[row], search.tokens[beam]);
        }
      }
    }),
    { numRuns: 300 },
  );
});
