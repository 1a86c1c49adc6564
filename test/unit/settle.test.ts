import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Cause,
  causeOfEnd,
  type SettledEntry,
  settle,
  type Verdict,
} from "#src/worker/settle.js";

const crash: Cause = { kind: "crash", reason: "test" };
const outside: Cause = { kind: "outside", reason: "test" };
const attemptsMax = 8;

function makeEntry(itemId: number, fields: Partial<SettledEntry> = {}): SettledEntry {
  return {
    itemId,
    attempt: 1,
    aloneKills: 0,
    outsideEnds: 0,
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
      outsideEnds: fc.constantFrom(0, 1, 2),
      begun: fc.boolean(),
      cancelled: fc.boolean(),
    }),
    { maxLength: 200 },
  )
  .map((list) => list.map((fields, index) => makeEntry(index, fields)));
const kinds = ["crash", "hang", "protocol", "memory", "outside", "stopped"] as const;
const anyCause = fc.constantFrom<Cause["kind"]>(...kinds);

test("every entry has exactly one fate, and blame falls only on what was begun", () => {
  fc.assert(
    fc.property(anyEntries, anyCause, (entries, kind) => {
      const verdict = settle(entries, { kind, reason: "" }, { attemptsMax });
      const fates = [
        ...verdict.dropped,
        ...verdict.innocent,
        ...verdict.groups.flat(),
        ...verdict.failed.map(({ itemId }) => itemId),
      ];
      assert.deepEqual(
        fates.toSorted((a, b) => a - b),
        entries.map(({ itemId }) => itemId),
      );
      assert.ok(verdict.groups.flat().every((itemId) => entries[itemId]?.begun));
      if (kind === "stopped") assert.deepEqual(verdict.groups, []);
      const again = [...verdict.innocent, ...verdict.groups.flat()];
      assert.deepEqual(new Set(verdict.pasts.keys()), new Set(again));
      for (const [itemId, past] of verdict.pasts)
        assert.equal(past.attempts, entries[itemId]?.attempt);
    }),
  );
});

test("poison is only what was alone, for the second time, at a fault", () => {
  fc.assert(
    fc.property(anyEntries, anyCause, (entries, kind) => {
      const { failed } = settle(entries, { kind, reason: "" }, { attemptsMax });
      for (const { itemId, error } of failed) {
        const entry = entries[itemId];
        if (error.code === "worker_lost") assert.equal(entry?.attempt, attemptsMax);
        else {
          assert.equal(error.code, "item_poison");
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
          return verdict.groups.map((itemIds) => itemIds.map((itemId) => again(itemId, verdict)));
        });
      }
      assert.deepEqual(found, poison);
    }),
  );
});

/** The entry of the item's next attempt. */
function again(itemId: number, { pasts }: Verdict): SettledEntry {
  const past = pasts.get(itemId);
  assert.ok(past !== undefined);
  const { attempts, aloneKills, outsideEnds } = past;
  return makeEntry(itemId, { attempt: attempts + 1, aloneKills, outsideEnds });
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
  assert.equal(verdict.pasts.get(1)?.aloneKills, 1);
  assert.deepEqual(verdict.dropped, [2]);
});

test("a kill from outside is no crash, a crash is no kill from outside", () => {
  const kindOf = (signal: string): string =>
    causeOfEnd({ kind: "signalled", signal }, () => false).kind;
  for (const signal of ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"]) {
    assert.equal(kindOf(signal), "outside", signal);
  }
  for (const signal of ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"]) {
    assert.equal(kindOf(signal), "crash", signal);
  }
  for (const code of [0, 1, 134]) {
    assert.equal(causeOfEnd({ kind: "exited", code }, () => true).kind, "crash");
  }
});

test("defect 10: a kill that the kernel counted is a fault, and only SIGKILL can be one", () => {
  const kindOf = (signal: string): string =>
    causeOfEnd({ kind: "signalled", signal }, () => true).kind;
  assert.equal(kindOf("SIGKILL"), "memory");
  assert.equal(kindOf("SIGTERM"), "outside");
  assert.equal(kindOf("SIGSEGV"), "crash");
});

test("defect 10: a killer among innocents that leaves no trace fails alone", () => {
  for (const tries of [2, 3, 5, 8, 20]) {
    const killer = 5;
    const lost: number[] = [];
    let groups = [Array.from({ length: 12 }, (_, itemId) => makeEntry(itemId))];
    for (let round = 0; groups.length > 0; round += 1) {
      assert.ok(round <= tries, "an item was tried too often");
      groups = groups.flatMap((group) => {
        if (!group.some(({ itemId }) => itemId === killer)) return [];
        const verdict = settle(group, outside, { attemptsMax: tries });
        lost.push(...verdict.failed.map(({ itemId }) => itemId));
        assert.ok(verdict.failed.every(({ error }) => error.code === "worker_lost"));
        // The innocent go back to the queue, and from there with everyone else into the next batch.
        return [verdict.innocent, ...verdict.groups]
          .filter((itemIds) => itemIds.length > 0)
          .map((itemIds) => itemIds.map((itemId) => again(itemId, verdict)));
      });
    }
    assert.deepEqual(lost, [killer], `${tries} attempts`);
  }
});

test("defect 10: the first kill from outside blames nobody, and no number of them makes a poison", () => {
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 20 }), (tries) => {
      let entry = makeEntry(1);
      for (let kill = 1; kill <= tries; kill += 1) {
        const verdict = settle([entry], outside, { attemptsMax: tries });
        if (kill === 1) assert.deepEqual(verdict.innocent, [1]);
        else if (kill < tries) assert.deepEqual(verdict.groups, [[1]]);
        else assert.equal(verdict.failed[0]?.error.code, "worker_lost");
        if (kill < tries) entry = again(1, verdict);
      }
      assert.equal(entry.aloneKills, 0);
    }),
  );
});
