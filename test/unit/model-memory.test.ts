/** What models count with: before one was loaded, and beside each other in a pipeline. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { modelBytes } from "#src/models/folder-bytes.js";
import { defaultModelMemory, findMachine } from "#src/options/machine.js";
import { memoryShares, type SizedModel } from "#src/scheduler/memory-shares.js";

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;
const cache = 8 * GiB;

function partOf(memoryBytes: number, pipelines: number): number {
  return Math.floor(defaultModelMemory({ ...findMachine(), memoryBytes }) / pipelines);
}

test("the default keeps a dozen models of 100 MB on every pipeline of ordinary machines", () => {
  for (const [memory, pipelines] of [
    [4 * GiB, 2],
    [16 * GiB, 2],
    [16 * GiB, 8],
    [64 * GiB, 32],
  ] as const) {
    const { bytes } = modelBytes(100_000_000, { pipelines, weightsCacheBytesMax: cache });
    const part = partOf(memory, pipelines);
    assert.ok(12 * bytes <= part, `${12 * bytes} of ${part} with ${pipelines} pipelines`);
  }
  const own = modelBytes(100_000_000, { pipelines: 2, weightsCacheBytesMax: 0 });
  assert.ok(12 * own.bytes <= partOf(16 * GiB, 2), "and where each has a copy");
});

test("whatever is where, what the kernel cannot read again from files stays within half of the memory", () => {
  const memory = 16 * GiB;
  for (const pipelines of [1, 2, 4, 16]) {
    const fileBytes = 100 * MiB;
    const { bytes } = modelBytes(fileBytes, { pipelines, weightsCacheBytesMax: cache });
    // Each pipeline is full, at worst of models that no other has; beside what is mapped each takes a quarter of its files.
    const models = pipelines * Math.floor(partOf(memory, pipelines) / bytes);
    assert.ok(models * (fileBytes / 4) <= memory / 2);
  }
});

test("a copy of its own counts whole, and its files are the least", () => {
  const options = { pipelines: 4, weightsCacheBytesMax: cache };
  assert.deepEqual(modelBytes(MiB, options), { bytes: 4 * MiB, leastBytes: MiB });
  // A cache that has no place for it shares nothing.
  const { leastBytes } = modelBytes(5 * GiB, options);
  assert.equal(leastBytes, 5 * GiB);
  assert.equal(modelBytes(GiB, options).leastBytes, GiB / 4);
});

function sized(model: string, leastBytes: number, more: Partial<SizedModel> = {}): SizedModel {
  return { model, leastBytes, bytes: 2 * leastBytes, isPinned: false, ...more };
}

function sharesOf(models: readonly SizedModel[]): Record<string, number | string> {
  const shares = [...memoryShares(models, 100)];
  return Object.fromEntries(
    shares.map(([name, { bytes, mostBytes, isTooLarge }]) => [
      name,
      isTooLarge ? `too large for ${mostBytes}` : bytes,
    ]),
  );
}

test("one that takes more than there is counts with all that there is, and only its files can be too large", () => {
  const models = [sized("a", 20), sized("b", 60, { bytes: 500 }), sized("c", 101)];
  assert.deepEqual(sharesOf(models), { a: 40, b: 100, c: "too large for 100" });
});

test("what is pinned takes no more than leaves room for the files of each other model", () => {
  const pinned = { isPinned: true };
  const models = [
    sized("p", 30, pinned),
    sized("q", 30, { ...pinned, bytes: 300 }),
    sized("a", 20),
  ];
  assert.deepEqual(sharesOf(models), { p: 50, q: 30, a: 20 });
  assert.deepEqual(sharesOf([...models, sized("r", 50, pinned), sized("b", 41)]), {
    r: "too large for 40",
    b: "too large for 40",
    p: 50,
    q: 30,
    a: 20,
  });
});
