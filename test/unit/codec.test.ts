import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  encodeFrame,
  FrameDecoder,
  ProtocolError,
  parseChildFrame,
  parseParentFrame,
} from "#src/frames/codec.js";
import { type ChildFrame, frameBytesMax, type ParentFrame } from "#src/frames/messages.js";

const outcome = {
  itemId: 1,
  ok: true,
  hypotheses: [{ tokenIds: [5, 0], score: -0.5 }],
  waitMs: 0.25,
  runMs: 12,
} as const;
const failure = { itemId: 2, ok: false, code: "item_failed", message: "鱼 🐟" } as const;
const stage = { stage: "decode", runs: 1, rows: 2, tokens: 3, paddedTokens: 4, ms: 5.5 };
const settings = { beams: 4, nBest: 2, lengthPenalty: 1, maxLength: 64 };

const childFrames: readonly ChildFrame[] = [
  { type: "hello", version: 1, pid: 77 },
  { type: "ready", loadMs: 1.5, warmupMs: 2, loads: 1, memoryBytes: 3 },
  { type: "load-failed", code: "model_folder_invalid", message: "no such file" },
  {
    type: "run",
    stage: "encode",
    rows: 2,
    width: 16,
    predictedMs: 3.5,
    begunItemIds: [1, 2],
    memoryBytes: 9,
  },
  { type: "items", outcomes: [outcome, failure] },
  { type: "recalled", itemIds: [] },
  { type: "report", stages: [stage], cacheBytes: 7 },
];
const parentFrames: readonly ParentFrame[] = [
  { type: "load", version: 1, modelDir: "/模型", threads: 1, rowsMax: 64 },
  { type: "batch", batchId: 1, class: "bulk", items: [{ itemId: 1, tokenIds: [4, 0], settings }] },
  { type: "cancel", itemIds: [1] },
  { type: "recall", itemIds: [2] },
  { type: "stop" },
];

function framed(json: string): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32LE(Buffer.byteLength(json));
  return Buffer.concat([header, Buffer.from(json)]);
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
  for (const length of [0, frameBytesMax + 1, 0xffffffff]) {
    const decoder = new FrameDecoder(parseChildFrame);
    const header = Buffer.alloc(4);
    header.writeUInt32LE(length);
    assert.throws(() => decoder.push(header), ProtocolError);
    assert.throws(
      () => decoder.push(encodeFrame({ type: "recalled", itemIds: [] })),
      ProtocolError,
    );
  }
});

test("a promise of the largest frame takes no memory until bytes come", () => {
  const header = Buffer.alloc(5);
  header.writeUInt32LE(frameBytesMax);
  const before = process.memoryUsage().arrayBuffers;
  const decoders = Array.from({ length: 64 }, () => new FrameDecoder(parseChildFrame));
  for (const decoder of decoders) decoder.push(header);
  assert.ok(process.memoryUsage().arrayBuffers - before < frameBytesMax);
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

test("every field of every frame is checked", () => {
  for (const [frames, parse] of [
    [childFrames, parseChildFrame],
    [parentFrames, parseParentFrame],
  ] as const) {
    for (const frame of frames) {
      for (const field of Object.keys(frame)) {
        for (const bad of [undefined, null, -1, "x\0", {}, [null], [[]], true, Number.NaN]) {
          // Any text will do for these; for the others a text is as bad as the rest.
          if (typeof bad === "string" && ["message", "stage", "modelDir"].includes(field)) continue;
          assert.throws(
            () => parse({ ...frame, [field]: bad }),
            ProtocolError,
            `${frame.type}.${field}`,
          );
        }
      }
    }
  }
});

test("what is inside an outcome is checked too", () => {
  for (const bad of [
    { ...outcome, itemId: 1.5 },
    { ...outcome, itemId: "1" },
    { ...outcome, hypotheses: [] },
    { ...outcome, hypotheses: [{ tokenIds: [-1], score: 0 }] },
    { ...outcome, hypotheses: [{ tokenIds: [1], score: null }] },
    { ...failure, code: "no_such_code" },
    { ...failure, code: "toString" },
    { ...failure, ok: "false" },
    null,
  ]) {
    assert.throws(
      () => parseChildFrame({ type: "items", outcomes: [outcome, bad] }),
      ProtocolError,
    );
  }
});

test("what is no frame at all is refused", () => {
  for (const json of ["", "null", "[]", "1", '"hello"', "{}", '{"type":"__proto__"}', "{", "\0"]) {
    assert.throws(() => new FrameDecoder(parseChildFrame).push(framed(json)), ProtocolError, json);
  }
  assert.throws(() => parseChildFrame({ type: "toString" }), ProtocolError);
  assert.throws(() => parseChildFrame({ type: "stop" }), ProtocolError);
});
