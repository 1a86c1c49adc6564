import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FrameDecoder } from "#src/frames/codec.js";
import { encodeFrame, encodeFrames } from "#src/frames/encode.js";
import {
  type ChildFrame,
  headerBytesMax,
  headerDepthMax,
  type ParentFrame,
  tailBytesMax,
} from "#src/frames/messages.js";
import { ProtocolError } from "#src/frames/protocol-error.js";
import { parseChildFrame, parseParentFrame } from "#src/frames/shapes.js";
import type { JsonValue, Payload } from "#src/work/payload.js";

/** Tensors of every alignment, one of them empty. */
const value: Payload = {
  values: { scores: [-0.5], note: "鱼" },
  tensors: {
    flags: { type: "bool", shape: [3], data: Uint8Array.of(1, 0, 1) },
    ids: { type: "int64", shape: [1, 2], data: BigInt64Array.of(5n, -1n) },
    none: { type: "float32", shape: [0, 4], data: new Float32Array() },
    tokens: { type: "int32", shape: [2], data: Int32Array.of(5, 0) },
  },
};
const empty: Payload = { values: {}, tensors: {} };

const outcome = {
  itemId: 1,
  ok: true,
  value,
} as const;
const failure = { itemId: 2, ok: false, code: "item_failed", message: "鱼 🐟" } as const;
const sizes = [{ rows: 2, runs: 1, ms: 5.5 }];
const stage = { stage: "decode", runs: 1, rows: 2, units: 3, paddedUnits: 4, ms: 5.5, sizes };

const childFrames: readonly ChildFrame[] = [
  { type: "hello", version: 1, pid: 77 },
  { type: "loading", model: "en-zh" },
  { type: "loaded", model: "en-zh", loads: 1, modelBytes: 2, memoryBytes: 3, ms: 4.5 },
  { type: "unloaded", model: "en-zh", memoryBytes: 1 },
  { type: "load-failed", model: "模型", code: "model_folder_invalid", message: "no such file" },
  {
    type: "run",
    model: "en-zh",
    stage: "encode",
    rows: 2,
    width: 16,
    predictedMs: 3.5,
    begunItemIds: [1, 2],
    memoryBytes: 9,
  },
  { type: "items", outcomes: [outcome, failure, { itemId: 3, ok: true, value: empty }] },
  { type: "items", outcomes: [failure] },
  { type: "recalled", itemIds: [] },
  {
    type: "profiled",
    profile: {
      sampledMs: 3,
      everyMs: 1,
      stoodStillMs: { start: 1, stop: 2 },
      nodes: [
        { parent: -1, name: "all", file: "", line: 0, kind: "node", selfMs: 1 },
        { parent: 0, name: "step", file: "src/a.ts", line: 7, kind: "javascript", selfMs: 2 },
      ],
      graphs: [
        {
          graph: "m decoder",
          runs: 9,
          watchedRuns: 1,
          ms: 8,
          watchingMs: 2,
          operators: [{ operator: "MatMul", calls: 1.5, ms: 7 }],
          problem: null,
        },
      ],
    },
  },
  { type: "profile-failed", message: "none" },
  { type: "report", model: "en-zh", stages: [stage], cacheBytes: 7 },
];
const parentFrames: readonly ParentFrame[] = [
  { type: "load", model: "m", modelDir: "/模型", version: "v", seen: "", threads: 1, rowsMax: 64 },
  { type: "unload", model: "m" },
  { type: "batch", batchId: 1, model: "m", class: "bulk", items: [{ itemId: 1, payload: value }] },
  { type: "cancel", itemIds: [1] },
  { type: "recall", itemIds: [2] },
  { type: "profile", step: "start" },
  { type: "profile", step: "start-with-operators" },
  { type: "stop" },
];

function framed(json: string): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeUInt32LE(Buffer.byteLength(json));
  return Buffer.concat([prefix, Buffer.from(json)]);
}

/** The header as the other side has it before it is checked, and the tail. */
function onTheWire(frame: ChildFrame | ParentFrame): readonly [Record<string, unknown>, Buffer] {
  const bytes = encodeFrame(frame);
  const headerEnd = 8 + bytes.readUInt32LE(0);
  return [JSON.parse(bytes.toString("utf8", 8, headerEnd)), bytes.subarray(headerEnd)];
}

test("all frames survive the way, byte by byte and in any cut", () => {
  const bytes = Buffer.concat(childFrames.map(encodeFrame));
  const oneByOne = new FrameDecoder(parseChildFrame);
  const got = [...bytes].flatMap((byte) => oneByOne.push(Buffer.from([byte])));
  assert.deepEqual(got, childFrames);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 200 })), (cuts) => {
      const decoder = new FrameDecoder(parseChildFrame);
      const frames: ChildFrame[] = [];
      let at = 0;
      for (const cut of [...cuts, bytes.length]) {
        frames.push(...decoder.push(bytes.subarray(at, at + cut)));
        at += cut;
      }
      assert.deepEqual(frames, childFrames);
    }),
  );
  const parent = new FrameDecoder(parseParentFrame);
  assert.deepEqual(parent.push(Buffer.concat(parentFrames.map(encodeFrame))), parentFrames);
});

test("a hostile length is refused before its body, and the stream stays refused", () => {
  for (const [header, tail] of [
    [0, 0],
    [0, 8],
    [headerBytesMax + 1, 0],
    [headerBytesMax + 1, 8],
    [1, tailBytesMax + 1],
    [tailBytesMax, 1],
    [0xffffffff, 0xffffffff],
  ] as const) {
    const decoder = new FrameDecoder(parseChildFrame);
    const prefix = Buffer.alloc(8);
    prefix.writeUInt32LE(header);
    prefix.writeUInt32LE(tail, 4);
    assert.throws(() => decoder.push(prefix), ProtocolError);
    assert.throws(
      () => decoder.push(encodeFrame({ type: "recalled", itemIds: [] })),
      ProtocolError,
    );
  }
});

test("a promise of the largest frame takes no memory until bytes come", () => {
  const header = Buffer.alloc(9);
  header.writeUInt32LE(headerBytesMax);
  header.writeUInt32LE(tailBytesMax, 4);
  const before = process.memoryUsage().arrayBuffers;
  const decoders = Array.from({ length: 64 }, () => new FrameDecoder(parseChildFrame));
  for (const decoder of decoders) decoder.push(header);
  assert.ok(process.memoryUsage().arrayBuffers - before < tailBytesMax);
});

test("the good frames before a bad one in the same chunk are not lost", () => {
  const good = encodeFrame({ type: "recalled", itemIds: [1] });
  const frames: ChildFrame[] = [];
  assert.throws(() => {
    const chunk = Buffer.concat([good, framed("nonsense")]);
    for (const frame of new FrameDecoder(parseChildFrame).read(chunk)) frames.push(frame);
  }, ProtocolError);
  assert.deepEqual(frames, [{ type: "recalled", itemIds: [1] }]);
});

const anyText: ReadonlySet<string> = new Set(
  "message stage model modelDir version seen".split(" "),
);

test("every field of every frame is checked", () => {
  for (const [frames, parse] of [
    [childFrames, parseChildFrame],
    [parentFrames, parseParentFrame],
  ] as const) {
    for (const frame of frames) {
      const [header, tail] = onTheWire(frame);
      assert.deepEqual(parse(structuredClone(header), tail), frame);
      assert.throws(() => parse({ ...header, more: 1 }, tail), ProtocolError);
      for (const field of Object.keys(header)) {
        for (const bad of [undefined, null, -1, "x\0", {}, [null], [[]], true, Number.NaN]) {
          // Any text will do for these; for the others a text is as bad as the rest.
          if (typeof bad === "string" && anyText.has(field)) continue;
          assert.throws(
            () => parse({ ...header, [field]: bad }, tail),
            ProtocolError,
            `${frame.type}.${field}`,
          );
        }
      }
    }
  }
});

test("what is inside an outcome is checked too", () => {
  const tensors: readonly unknown[] = [
    null,
    {},
    "tokens",
    [],
    ["tokens"],
    [1, "int32", 0],
    ["tokens", "int33", 0],
    ["tokens", "toString", 0],
    ["tokens", "int32", -1],
    ["tokens", "int32", 0.5],
    ["tokens", "int32", "0"],
    ["tokens", "int32", null],
    ["tokens", "int32", 2],
    ["a", "int8", 1e9, 1e9, 9],
    ["a", "int8", ...Array<number>(99).fill(0)],
  ];
  for (const bad of [
    [1.5, {}],
    ["1", {}],
    [-1, {}],
    [],
    [1],
    [1, null],
    [1, []],
    [1, "values"],
    [1, {}, ["a", "int8", 0], ["a", "int8", 0]],
    ...tensors.map((tensor) => [1, {}, tensor]),
    { ...outcome },
    { ...failure, more: 1 },
    { ...failure, message: null },
    { ...failure, code: "no_such_code" },
    { ...failure, code: "toString" },
    { ...failure, ok: "false" },
    null,
  ]) {
    assert.throws(
      () => parseChildFrame({ type: "items", outcomes: [bad] }, new Uint8Array()),
      ProtocolError,
    );
  }
});

test("what is no frame at all is refused", () => {
  for (const json of ["", "null", "[]", "1", '"hello"', "{}", '{"type":"__proto__"}', "{", "\0"]) {
    assert.throws(() => new FrameDecoder(parseChildFrame).push(framed(json)), ProtocolError, json);
  }
  const none = new Uint8Array();
  assert.throws(() => parseChildFrame({ type: "toString" }, none), ProtocolError);
  assert.throws(() => parseChildFrame({ type: "stop" }, none), ProtocolError);
});

test("every byte of a tail belongs to one tensor", () => {
  const outcomes = [[1, {}, ["tokens", "int32", 2]]];
  for (const bytes of [0, 7, 9, 16]) {
    const read = () => parseChildFrame({ type: "items", outcomes }, new Uint8Array(bytes));
    assert.throws(read, ProtocolError, `${bytes} bytes`);
  }
  parseChildFrame({ type: "items", outcomes }, new Uint8Array(8));
  // A frame that carries no payload has no tail either.
  assert.throws(() => parseChildFrame({ type: "recalled", itemIds: [] }, new Uint8Array(1)));
});

test("a tensor whose shape is not that of its data is the sender's bug", () => {
  const tokens = { type: "int32", shape: [3], data: Int32Array.of(1, 2) } as const;
  const frame = {
    type: "items",
    outcomes: [{ itemId: 1, ok: true, value: { values: {}, tensors: { tokens } } }],
  } as const;
  assert.throws(() => encodeFrame(frame), RangeError);
});

test("defect 2: a list of any length travels in parts, in order, none of them long", () => {
  const tokens = { type: "int32", shape: [512], data: new Int32Array(512).fill(7) } as const;
  const items = Array.from({ length: 9_000 }, (_, itemId) => ({
    itemId,
    payload: { values: { beams: 1 }, tensors: { tokens } },
  }));
  const parts = [...encodeFrames({ type: "batch", batchId: 3, model: "m", class: "bulk", items })];
  assert.ok(parts.length > 1);
  const decoder = new FrameDecoder(parseParentFrame);
  const got = parts.flatMap((part) => {
    assert.ok(part.readUInt32LE(0) <= headerBytesMax / 3);
    assert.ok(part.readUInt32LE(4) <= tailBytesMax / 8);
    return decoder.push(part).flatMap((frame) => (frame.type === "batch" ? frame.items : []));
  });
  assert.deepEqual(got, items);
});

/** Neighbours of something that fits into no frame. */
const large: readonly (readonly [string, Payload])[] = [
  ["bytes", { values: { text: "鱼".repeat(headerBytesMax / 2) }, tensors: {} }],
  ["nested", { values: { a: nested(headerDepthMax) }, tensors: {} }],
  [
    "tensors",
    {
      values: {},
      tensors: {
        a: { type: "uint8", shape: [tailBytesMax + 1], data: new Uint8Array(tailBytesMax + 1) },
      },
    },
  ],
];

function nested(depth: number): JsonValue {
  return depth === 0 ? 1 : [nested(depth - 1)];
}

for (const [what, payload] of large) {
  test(`defect 2: what is too large for any frame (${what}) fails alone, on both sides`, () => {
    const payloads = [value, payload, value];
    const batch = {
      type: "batch",
      batchId: 1,
      model: "m",
      class: "bulk",
      items: payloads.map((each, itemId) => ({ itemId, payload: each })),
    } as const;
    const tooLarge: number[] = [];
    const sent = [...encodeFrames(batch, ({ itemId }) => tooLarge.push(itemId))];
    assert.deepEqual(tooLarge, [1]);
    const [frame] = new FrameDecoder(parseParentFrame).push(Buffer.concat(sent));
    assert.deepEqual(frame, { ...batch, items: [batch.items[0], batch.items[2]] });
    assert.throws(() => encodeFrame(batch), RangeError);

    const outcomes = payloads.map((each, itemId) => ({ itemId, ok: true, value: each }) as const);
    const [answer] = new FrameDecoder(parseChildFrame).push(
      encodeFrame({ type: "items", outcomes }),
    );
    assert.ok(answer?.type === "items");
    assert.deepEqual([answer.outcomes[0], answer.outcomes[2]], [outcomes[0], outcomes[2]]);
    const failed = answer.outcomes[1];
    assert.ok(failed?.ok === false && failed.code === "item_failed");
    assert.match(failed.message, new RegExp(what));
  });
}

test("the deepest values that a frame takes arrive, one level more is refused before it is parsed", () => {
  const deep = (depth: number): ChildFrame => ({
    type: "items",
    outcomes: [{ itemId: 1, ok: true, value: { values: { a: nested(depth) }, tensors: {} } }],
  });
  // The frame, the list, the outcome, its values.
  const frame = deep(headerDepthMax - 4);
  assert.deepEqual(new FrameDecoder(parseChildFrame).push(encodeFrame(frame)), [frame]);
  const outcomes = [[1, { a: nested(headerDepthMax - 3) }]];
  const hostile = framed(JSON.stringify({ type: "items", outcomes }));
  assert.throws(() => new FrameDecoder(parseChildFrame).push(hostile), /nested/);
  const brackets = framed("[".repeat(headerBytesMax));
  assert.throws(() => new FrameDecoder(parseChildFrame).push(brackets), /nested/);
  const text = { ...failure, message: `"\\${"[{".repeat(200)}` };
  const harmless: ChildFrame = { type: "items", outcomes: [text] };
  assert.deepEqual(new FrameDecoder(parseChildFrame).push(encodeFrame(harmless)), [harmless]);
});

test("a message of any length is cut, and names of stages are short and few", () => {
  const message = "x".repeat(100_000);
  const frames = [
    { type: "load-failed", model: "m", code: "internal", message },
    { type: "items", outcomes: [{ ...failure, message }] },
  ] as const;
  for (const frame of frames) {
    assert.ok(JSON.stringify(parseChildFrame(frame, new Uint8Array())).length < 1_200);
  }
  for (const stages of [
    [{ ...stage, stage: "x".repeat(65) }],
    [{ ...stage, type: "cancel" }],
    Array.from({ length: 65 }, () => stage),
  ]) {
    const report = { type: "report", model: "en-zh", stages, cacheBytes: 0 };
    assert.throws(() => parseChildFrame(report, new Uint8Array()), ProtocolError);
  }
});

test("defect 13: values may be anything that JSON can say, and tensors any bytes", () => {
  const names = fc.constantFrom("tokens", "__proto__", "constructor", "a b", '"', "鱼", "");
  const tensors = fc.dictionary(
    names,
    fc.uint8Array({ maxLength: 9 }).map((data) => ({ type: "bool", shape: [data.length], data })),
  );
  const values = fc.dictionary(names, fc.jsonValue({ maxDepth: 5 }));
  fc.assert(
    fc.property(values, tensors, (some, more) => {
      // Through JSON, where -0 is 0.
      const kept = JSON.parse(JSON.stringify(some)) as Payload["values"];
      const payload = { values: kept, tensors: more } as Payload;
      const frame: ChildFrame = {
        type: "items",
        outcomes: [{ itemId: 1, ok: true, value: payload }],
      };
      const [got] = new FrameDecoder(parseChildFrame).push(encodeFrame(frame));
      assert.ok(got?.type === "items" && got.outcomes[0]?.ok === true);
      const { value: read } = got.outcomes[0];
      assert.deepEqual(Object.entries(read.values), Object.entries(kept));
      assert.deepEqual(Object.entries(read.tensors), Object.entries(more));
    }),
  );
});
