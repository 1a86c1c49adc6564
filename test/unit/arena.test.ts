/** The arena against a model that keeps each slot's tokens in lists. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  Arena,
  type ArenaShape,
  type EncodedBatch,
  padWidth,
  roomyStepsMax,
  widthStep,
} from "#src/runtime/generation/arena.js";
import { appendTokens } from "../support/append-tokens.js";

const layers = 2;
const heads = 2;
const size = 3;
const tokenFloats = layers * 2 * heads * size;

interface NaiveSlot {
  readonly tokens: number;
  readonly encoded: EncodedBatch;
  readonly index: number;
  /** For each row its past: one list of `tokenFloats` floats a token. */
  readonly rows: number[][][];
}

/** Numbers that are all different, so that a value in a wrong place is seen. */
function counter() {
  let last = 0;
  return (length: number) => Float32Array.from({ length }, () => (last += 1));
}

function encodedOf(width: number, batch: number, values: ReturnType<typeof counter>): EncodedBatch {
  const floats = batch * heads * width * size;
  return {
    width,
    keys: Array.from({ length: layers }, () => values(floats)),
    values: Array.from({ length: layers }, () => values(floats)),
  };
}

/** Place of layer, key (0) or value (1), and head among the floats of one token. */
const part = (layer: number, kind: 0 | 1, head: number) =>
  ((layer * 2 + kind) * heads + head) * size;

function checkArena(arena: Arena, naive: readonly NaiveSlot[]): void {
  const { width, crossWidth } = arena.shape;
  assert.equal(arena.count, naive.length);
  assert.equal(arena.pastWidth % widthStep, 0, `${arena.pastWidth} wide`);
  for (const [slot, expected] of naive.entries()) {
    const length = expected.rows[0]?.length ?? 0;
    assert.equal(arena.lengths[slot], length);
    assert.equal(arena.crossLengths[slot], expected.tokens);
    assert.ok(length <= arena.pastWidth);
    for (const [layer, cache] of arena.layers.entries()) {
      for (const [kind, past, cross] of [
        [0, cache.pastKey, cache.crossKey],
        [1, cache.pastValue, cache.crossValue],
      ] as const) {
        const source = (kind === 0 ? expected.encoded.keys : expected.encoded.values)[layer];
        for (let head = 0; head < heads; head += 1) {
          for (const [beam, row] of expected.rows.entries()) {
            const at = ((slot * width + beam) * heads + head) * arena.pastWidth * size;
            const from = part(layer, kind, head);
            const wanted = row.flatMap((token) => token.slice(from, from + size));
            // Behind the newest token everything is zero, for the same reason as below.
            const zeros = new Float32Array((arena.pastWidth - length) * size);
            const whole = past.subarray(at, at + arena.pastWidth * size);
            assert.deepEqual([...whole], [...wanted, ...zeros]);
          }
          const filled = expected.encoded.width * size;
          const at = (slot * heads + head) * crossWidth * size;
          const start = (expected.index * heads + head) * filled;
          // Behind the input everything is zero: garbage times a masked weight might be no number.
          assert.deepEqual(
            [...cross.subarray(at, at + crossWidth * size)],
            [
              ...(source?.subarray(start, start + filled) ?? []),
              ...new Float32Array(crossWidth * size - filled),
            ],
          );
        }
      }
    }
  }
}

type Action =
  | { readonly kind: "add"; readonly tokens: number; readonly index: number }
  | { readonly kind: "remove"; readonly slot: number }
  | { readonly kind: "append"; readonly times: number }
  | { readonly kind: "copy"; readonly slot: number; readonly from: number; readonly to: number };

const small = fc.nat({ max: 100 });
const actionsOf = (timesMax: number, maxLength: number): fc.Arbitrary<Action[]> =>
  fc.array(
    fc.oneof(
      fc.record({
        kind: fc.constant("add" as const),
        tokens: fc.integer({ min: 1, max: 32 }),
        index: fc.nat(2),
      }),
      fc.record({ kind: fc.constant("remove" as const), slot: small }),
      fc.record({
        kind: fc.constant("append" as const),
        times: fc.integer({ min: 1, max: timesMax }),
      }),
      fc.record({ kind: fc.constant("copy" as const), slot: small, from: small, to: small }),
    ),
    { minLength: 1, maxLength },
  );

function shapeOf(width: number, slotsMax: number): ArenaShape {
  return { layers, heads, size, width, crossWidth: 32, slotsMax };
}

for (const { title, all, numRuns } of [
  { title: "whatever comes in whatever order", all: actionsOf(9, 40), numRuns: 150 },
  // Long enough that arenas shrink, and grow again.
  { title: "defect 15: when widths shrink", all: actionsOf(2 * roomyStepsMax, 16), numRuns: 60 },
]) {
  test(`${title}, every slot holds its own keys, values and lengths`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), all, (width, script) => {
        const arena = new Arena(shapeOf(width, 20));
        const naive: NaiveSlot[] = [];
        const values = counter();
        for (const action of script) {
          apply(arena, naive, { action, values });
          checkArena(arena, naive);
        }
      }),
      { numRuns },
    );
  });
}

function apply(
  arena: Arena,
  naive: NaiveSlot[],
  next: { readonly action: Action; readonly values: ReturnType<typeof counter> },
): void {
  const { action, values } = next;
  const { width, slotsMax } = arena.shape;
  switch (action.kind) {
    case "add": {
      if (naive.length === slotsMax) return;
      const { tokens, index } = action;
      const encoded = encodedOf(padWidth(tokens), 3, values);
      assert.equal(arena.add(encoded, index, tokens), naive.length);
      naive.push({ tokens, index, encoded, rows: Array.from({ length: width }, () => []) });
      return;
    }
    case "remove": {
      if (naive.length === 0) return;
      const slot = action.slot % naive.length;
      const last = naive.pop();
      assert.equal(arena.remove(slot), slot === naive.length ? -1 : naive.length);
      if (slot < naive.length && last !== undefined) naive[slot] = last;
      return;
    }
    case "append": {
      for (let time = 0; time < action.times; time += 1) {
        arena.reserve();
        const step = values(naive.length * width * tokenFloats);
        appendTokens(arena, step);
        for (const [row, past] of naive.flatMap(({ rows }) => rows).entries()) {
          past.push([...step.subarray(row * tokenFloats, (row + 1) * tokenFloats)]);
        }
      }
      return;
    }
    case "copy": {
      if (naive.length === 0) return;
      const slot = action.slot % naive.length;
      const rows = naive[slot]?.rows ?? [];
      arena.copyRow(slot, action.from % width, action.to % width);
      rows[action.to % width] = [...(rows[action.from % width] ?? [])];
    }
  }
}

test("what an item leaves is erased, also behind the one that takes its place: it might be no number", () => {
  const arena = new Arena(shapeOf(2, 4));
  const values = counter();
  const naive: NaiveSlot[] = [];
  const add = { action: { kind: "add", tokens: 5, index: 0 }, values } as const;
  apply(arena, naive, add);
  appendTokens(arena, new Float32Array(2 * tokenFloats).fill(Number.NaN));
  appendTokens(arena, new Float32Array(2 * tokenFloats).fill(Number.NaN));
  naive[0]?.rows.forEach((row) =>
    row.push(Array(tokenFloats).fill(Number.NaN), Array(tokenFloats).fill(Number.NaN)),
  );
  apply(arena, naive, add);
  for (const { action } of [
    { action: { kind: "remove", slot: 0 } },
    { action: { kind: "append", times: 20 } },
    { action: { kind: "add", tokens: 5, index: 0 } },
    { action: { kind: "add", tokens: 5, index: 0 } },
  ] as const) {
    apply(arena, naive, { action, values });
    checkArena(arena, naive);
  }
  for (const { pastKey, pastValue } of arena.layers) {
    for (const past of [pastKey, pastValue]) assert.ok(past.every(Number.isFinite));
  }
});

test("a full arena takes nothing more", () => {
  const arena = new Arena(shapeOf(2, 3));
  const encoded = encodedOf(16, 1, counter());
  for (let slot = 0; slot < 3; slot += 1) arena.add(encoded, 0, 5);
  assert.throws(() => arena.add(encoded, 0, 5), /full/);
  arena.remove(1);
  assert.equal(arena.add(encoded, 0, 5), 2);
});

test("an arena that ran empty is narrow again, and says what it holds", () => {
  const arena = new Arena(shapeOf(1, 4));
  const values = counter();
  arena.add(encodedOf(16, 1, values), 0, 5);
  const narrow = arena.byteLength;
  for (let step = 0; step < 33; step += 1) {
    arena.reserve();
    appendTokens(arena, values(tokenFloats));
  }
  assert.equal(arena.pastWidth, 48);
  assert.ok(arena.byteLength > narrow);
  arena.remove(0);
  arena.add(encodedOf(16, 1, values), 0, 5);
  assert.deepEqual([arena.pastWidth, arena.byteLength], [16, narrow]);
});

test("defect 15: under steady load, what one long output took is given back", () => {
  const arena = new Arena(shapeOf(1, 64));
  const values = counter();
  const encoded = encodedOf(16, 1, values);
  const step = () => {
    arena.reserve();
    arena.advance();
  };
  // Sentences of 24 tokens, one in and one out at a time: never empty, never long.
  const steady = (steps: number, first: number) => {
    for (let at = 0; at < steps; at += 1) {
      step();
      for (let slot = arena.count - 1; slot >= first; slot -= 1) {
        if ((arena.lengths[slot] ?? 0) < 24) continue;
        arena.remove(slot);
        arena.add(encoded, 0, 5);
      }
    }
  };
  for (let slot = 0; slot < 8; slot += 1) arena.add(encoded, 0, 5);
  steady(100, 0);
  const usual = { width: arena.pastWidth, bytes: arena.byteLength };
  // The first slot is the long output's; the others go on beside it.
  arena.remove(0);
  const long = arena.add(encoded, 0, 5);
  assert.equal(long, 7);
  while ((arena.lengths[long] ?? 0) < 500) {
    step();
    for (let slot = 0; slot < long; slot += 1)
      if (arena.lengths[slot] === 24) arena.lengths[slot] = 0;
  }
  assert.equal(arena.pastWidth, 512);
  assert.ok(arena.byteLength > 5 * usual.bytes);
  arena.remove(long);
  arena.add(encoded, 0, 5);
  steady(2 * roomyStepsMax, 0);
  assert.equal(arena.pastWidth, usual.width);
  assert.ok(arena.byteLength <= 2 * usual.bytes, `${arena.byteLength} after ${usual.bytes}`);
});

test("defect 15: slots that were needed once are given back while others work", () => {
  const arena = new Arena(shapeOf(2, 64));
  const encoded = encodedOf(16, 1, counter());
  const few = () => arena.byteLength;
  arena.add(encoded, 0, 5);
  const first = few();
  for (let slot = 1; slot < 64; slot += 1) arena.add(encoded, 0, 5);
  assert.ok(arena.byteLength >= 16 * first);
  while (arena.count > 1) arena.remove(arena.count - 1);
  for (let step = 0; step < 2 * roomyStepsMax; step += 1) {
    arena.reserve();
    arena.advance();
    if (arena.lengths[0] === 15) arena.lengths[0] = 0;
  }
  assert.ok(arena.byteLength <= 2 * first, `${arena.byteLength} for one slot, at first ${first}`);
});

test("many beams do not take memory for slots that nobody needs yet", () => {
  const bytesOf = (width: number) => new Arena(shapeOf(width, 64)).byteLength;
  assert.ok(bytesOf(8) < 2 * bytesOf(1), `${bytesOf(8)} for 8 beams, ${bytesOf(1)} for one`);
});

test("an arena that finds no memory is as it was, whichever array it was that failed", () => {
  const Whole = globalThis.Float32Array;
  const values = counter();
  for (let failing = 0; failing < 8; failing += 1) {
    const arena = new Arena(shapeOf(1, 20));
    const naive: NaiveSlot[] = [];
    const add = { action: { kind: "add", tokens: 5, index: 0 }, values } as const;
    for (let slot = 0; slot < 8; slot += 1) apply(arena, naive, add);
    apply(arena, naive, { action: { kind: "append", times: 16 }, values });
    const encoded = encodedOf(16, 1, values);
    let left = failing;
    globalThis.Float32Array = class extends Whole {
      constructor(length: number) {
        if (left === 0) throw new RangeError("Array buffer allocation failed");
        left -= 1;
        super(length);
      }
    } as Float32ArrayConstructor;
    try {
      // A new width needs the past's four arrays, new slots all eight.
      if (failing < 4) assert.throws(() => arena.reserve(), RangeError);
      left = failing;
      assert.throws(() => arena.add(encoded, 0, 5), RangeError);
    } finally {
      globalThis.Float32Array = Whole;
    }
    checkArena(arena, naive);
    apply(arena, naive, add);
    apply(arena, naive, { action: { kind: "append", times: 1 }, values });
    checkArena(arena, naive);
  }
});

test("defect: what a step wrote that failed is gone with its slot", () => {
  for (const removed of [0, 1]) {
    const arena = new Arena(shapeOf(1, 2));
    const encoded = encodedOf(32, 1, counter());
    for (let slot = 0; slot < 2; slot += 1) arena.add(encoded, 0, 5);
    // The second one of these has failed: nobody advances.
    for (let step = 0; step < 2; step += 1)
      appendTokens(arena, new Float32Array(2 * tokenFloats).fill(Number.NaN));
    arena.lengths.fill(1);
    arena.remove(removed);
    arena.remove(0);
    for (const { pastKey, pastValue } of arena.layers)
      for (const past of [pastKey, pastValue]) assert.ok(past.every((value) => value === 0));
  }
});
