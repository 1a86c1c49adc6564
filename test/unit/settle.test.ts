import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { LedgerEntry } from "#src/worker/ledger.js";
import { type Cause, causeOfExit, settle } from "#src/worker/settle.js";

const crash: Cause = { kind: "crash", reason: "test" };
const attemptsMax = 8;

function makeEntry(itemId: number, fields: Partial<LedgerEntry> = {}): LedgerEntry {
  return {
    itemId,
    pipelineId: "p",
    batchId: 1,
    attempt: 1,
    aloneKills: 0,
    sentAtMs: 0,
    begun: true,
    cancelled: false,
    ...fields,
  };
}

const anyEntries = fc
  .array(
    fc.record({
      attempt: fc.integer({ min: 1, max: attemptsMax }),
      aloneKills: fc.constantFrom(0, 1),
      begun: fc.boolean(),
      cancelled: fc.boolean(),
    }),
    { maxLength: 200 },
  )
  .map((list) => list.map((fields, index) => makeEntry(index, fields)));
const anyCause = fc.constantFrom<Cause["kind"]>("crash", "hang", "protocol", "outside", "stopped");

test("every entry has exactly one fate, and blame falls only on what was begun", () => {
  fc.assert(
    fc.property(anyEntries, anyCause, (entries, kind) => {
      const verdict = settle(entries, { kind, reason: "" }, { attemptsMax });
      const fates = [
        ...verdict.dropped,
        ...verdict.innocent.map(({ itemId }) => itemId),
        ...verdict.groups.flat().map(({ itemId }) => itemId),
        ...verdict.failed.map(({ itemId }) => itemId),
      ];
      assert.deepEqual(
        fates.toSorted((a, b) => a - b),
        entries.map(({ itemId }) => itemId),
      );
      assert.ok(verdict.groups.flat().every(({ begun }) => begun));
      if (kind === "outside" || kind === "stopped") assert.deepEqual(verdict.groups, []);
    }),
  );
});

test("poison is only what was alone, for the second time, at a fault", () => {
  fc.assert(
    fc.property(anyEntries, anyCause, (entries, kind) => {
      const { failed, alone } = settle(entries, { kind, reason: "" }, { attemptsMax });
      for (const { itemId, error } of failed) {
        const entry = entries[itemId];
        if (error.code === "worker_lost") assert.equal(entry?.attempt, attemptsMax);
        else {
          assert.equal(error.code, "item_poison");
          assert.equal(itemId, alone);
          assert.equal(entry?.aloneKills, 1);
          assert.deepEqual(
            entries.filter(({ begun }) => begun),
            [entry],
          );
          assert.ok(!["outside", "stopped"].includes(kind));
        }
      }
    }),
  );
});

test("narrowing ends: each poison is found within the attempts, and no innocent fails", () => {
  const poisons = fc.uniqueArray(fc.integer({ min: 0, max: 299 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), poisons, (count, wanted) => {
      const poison = new Set(wanted.filter((itemId) => itemId < count));
      const found = new Set<number>();
      let groups = [Array.from({ length: count }, (_, itemId) => makeEntry(itemId))];
      let rounds = 0;
      while (groups.length > 0) {
        rounds += 1;
        assert.ok(rounds <= attemptsMax, "an item was tried too often");
        groups = groups.flatMap((group) => {
          if (!group.some(({ itemId }) => poison.has(itemId))) return [];
          const verdict = settle(group, crash, { attemptsMax });
          for (const { itemId, error } of verdict.failed) {
            assert.equal(error.code, "item_poison");
            found.add(itemId);
          }
          assert.deepEqual(verdict.innocent, []);
          return verdict.groups.map((entries) =>
            entries.map((entry) => retried(entry, verdict.alone)),
          );
        });
      }
      assert.deepEqual(found, poison);
    }),
  );
});

function retried(entry: LedgerEntry, alone: number | null): LedgerEntry {
  const aloneKills = entry.aloneKills + (alone === entry.itemId ? 1 : 0);
  return { ...entry, attempt: entry.attempt + 1, aloneKills };
}

test("suspects are halved", () => {
  const entries = Array.from({ length: 64 }, (_, itemId) => makeEntry(itemId));
  const sizes = settle(entries, crash, { attemptsMax }).groups.map((group) => group.length);
  assert.deepEqual(sizes, [32, 32]);
});

test("a cancelled neighbour that was begun keeps an item from being alone", () => {
  const entries = [makeEntry(1, { aloneKills: 1 }), makeEntry(2, { cancelled: true })];
  const verdict = settle(entries, crash, { attemptsMax });
  assert.deepEqual(verdict.failed, []);
  assert.equal(verdict.alone, null);
  assert.deepEqual(verdict.dropped, [2]);
});

test("a kill from outside is no crash, a crash is no kill from outside", () => {
  for (const signal of ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"]) {
    assert.equal(causeOfExit(null, signal).kind, "outside", signal);
  }
  for (const signal of ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"]) {
    assert.equal(causeOfExit(null, signal).kind, "crash", signal);
  }
  for (const code of [0, 1, 134]) assert.equal(causeOfExit(code, null).kind, "crash");
});
