import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { carriedTrace, readCarriedTrace, readTraceContext } from "#src/work/trace-context.js";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";

test("what the standard allows is read, and what it forbids is none", () => {
  const of = { traceId, spanId, state: null };
  assert.deepEqual(readTraceContext(`00-${traceId}-${spanId}-01`), { ...of, isSampled: true });
  assert.deepEqual(readTraceContext(`00-${traceId}-${spanId}-fe`), { ...of, isSampled: false });
  assert.deepEqual(readTraceContext(`01-${traceId}-${spanId}-03-more`), { ...of, isSampled: true });
  const none = [
    undefined,
    null,
    7,
    [`00-${traceId}-${spanId}-01`],
    "",
    `00-${traceId}-${spanId}`,
    `00-${traceId}-${spanId}-1`,
    `00-${traceId}-${spanId}-01 `,
    ` 00-${traceId}-${spanId}-01`,
    `00-${traceId}-${spanId}-01-`,
    `01-${traceId}-${spanId}-01more`,
    `ff-${traceId}-${spanId}-01`,
    `0-${traceId}-${spanId}-01`,
    `00-${traceId.toUpperCase()}-${spanId}-01`,
    `00-${"0".repeat(32)}-${spanId}-01`,
    `00-${traceId}-${"0".repeat(16)}-01`,
    // Two headers, as Node joins them.
    `00-${traceId}-${spanId}-01, 00-${traceId}-${spanId}-01`,
  ];
  for (const each of none) assert.equal(readTraceContext(each), null, String(each));
});

test("a tracestate goes on as it came, or not at all", () => {
  const parent = `00-${traceId}-${spanId}-01`;
  assert.equal(readTraceContext(parent, "a=1,b=2")?.state, "a=1,b=2");
  for (const state of ["", "a=\n", "ä=1", "a".repeat(513), 7, undefined]) {
    assert.equal(readTraceContext(parent, state)?.state, null);
  }
});

test("any text is read or is none, and what was read is carried to the same", () => {
  const digits = (length: number) =>
    fc.string({
      unit: fc.constantFrom(...Array.from("0123456789abcdef")),
      minLength: length,
      maxLength: length,
    });
  const parents = fc
    .tuple(digits(2), digits(32), digits(16), digits(2))
    .map((parts) => parts.join("-"));
  fc.assert(
    fc.property(fc.oneof(fc.string(), parents), fc.string(), (parent, state) => {
      const read = readTraceContext(parent, state);
      if (read !== null) assert.deepEqual(readCarriedTrace(carriedTrace(read)), read);
    }),
  );
  for (const message of [null, 1, "x", [], {}]) assert.equal(readCarriedTrace(message), null);
});
