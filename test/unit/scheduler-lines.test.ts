/** The scheduler's indexes of requests and items, each against one that searches everything. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AgeLine } from "#src/scheduler/age-line.js";
import { IdTable } from "#src/scheduler/id-table.js";
import { RequestBook, type RequestEntry } from "#src/scheduler/request-book.js";

function requests(count: number): RequestEntry[] {
  const book = new RequestBook();
  return Array.from({ length: count }, (_, at) => {
    const items = [{ itemId: at, units: 1, width: 1, rows: 1, bytes: 0, batchKey: "" }];
    const spec = { requestId: at, model: "m", tenant: "", deadlineAtMs: null, items } as const;
    return book.add({ ...spec, class: "bulk" }, 0);
  });
}

// More than fit into a few chunks.
const many = requests(600);

test("a line gives its requests in the order of their arrival, whatever came and went", () => {
  const change = fc.record({ from: fc.nat(599), count: fc.nat(300), adds: fc.boolean() });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
      const line = new AgeLine();
      const model = new Set<RequestEntry>();
      for (const { from, count, adds } of changes) {
        for (const request of many.slice(from, from + count)) {
          if (adds) {
            line.add(request);
            model.add(request);
          } else assert.equal(line.delete(request), model.delete(request));
        }
        const expected = many.filter((request) => model.has(request));
        assert.deepEqual([...line.ordered()], expected);
        assert.equal(line.size, expected.length);
        assert.equal(line.first, expected[0]);
        const read: RequestEntry[] = [];
        const cursor = line.cursor();
        for (let at = cursor.current; at !== undefined; at = cursor.current) {
          read.push(at);
          cursor.next();
        }
        assert.deepEqual(read, expected);
      }
    }),
  );
});

test("a line that is emptied in its midst, filled at its end and emptied from its front stays in few short chunks", () => {
  const line = new AgeLine();
  const all = requests(1_200);
  for (const request of all.slice(0, 600)) line.add(request);
  for (const [at, request] of all.slice(0, 600).entries()) if (at % 2 === 0) line.delete(request);
  for (const request of all.slice(600)) line.add(request);
  const areShort = () => line.chunks.every(({ length }) => length > 0 && length <= 128);
  assert.ok(areShort());
  assert.equal(line.chunks.flat().length, 900);
  // As many as all that ever came need, and the one that both halves share.
  assert.ok(line.chunks.length <= Math.ceil(1_200 / 128) + 1, `${line.chunks.length} chunks`);
  for (const request of all.slice(0, 1_190)) line.delete(request);
  assert.ok(areShort());
  assert.deepEqual(line.chunks.flat(), all.slice(1_190));
  assert.ok(line.chunks.length <= 2);
});

test("a table of ids knows what was set and not deleted", () => {
  const change = fc.record({ id: fc.nat(400), sets: fc.boolean() });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 200 }), (changes) => {
      const table = new IdTable<object>();
      const model = new Map<number, object>();
      for (const { id, sets } of changes) {
        const entry = { id };
        if (sets) {
          table.set(id, entry);
          model.set(id, entry);
        } else assert.equal(table.delete(id), model.delete(id));
        assert.equal(table.get(id), model.get(id));
      }
      for (let id = 0; id <= 400; id += 1) assert.equal(table.has(id), model.has(id));
    }),
  );
});
