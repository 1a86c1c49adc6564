/** What a picture with text comes to: lines that were read, lines that failed, and payloads that nobody should believe. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError, type OcrBox } from "millrace-client/wire";
import type { CroppedLine } from "#src/runtime/staged/ocr/crop-stage.js";
import type { Quad } from "#src/runtime/staged/ocr/geometry.js";
import { pictureLines } from "#src/runtime/staged/ocr/picture-lines.js";
import type { Payload } from "#src/work/payload.js";
import { readTextLines, textLinesPayload } from "#src/work/text-lines.js";

function quadAt(x: number): Quad {
  return [
    { x, y: -4 },
    { x: x + 30, y: -4 },
    { x: x + 30, y: 9.126 },
    { x, y: 9.126 },
  ];
}

const strip = { width: 8, height: 8, data: new Uint8Array(192) };
const cropped: CroppedLine = { strip, view: null };
const read = (text: string, score: number): { ok: true; value: unknown } => {
  return { ok: true, value: { text, score } };
};

const lines = pictureLines({
  width: 50,
  height: 40,
  quads: [quadAt(0), quadAt(10), quadAt(20), quadAt(30), quadAt(40)],
  crops: [cropped, { error: new Error("no crop") }, cropped, cropped, cropped],
  results: [
    read("héllo 世界", 0.75),
    { ok: false, error: new MillraceError("item_failed", "x".repeat(500)) },
    read("faint", 0.4),
    read("", 0.9),
  ],
  scoreMin: 0.5,
});

test("a line that cannot be cut out or read is told, and takes no other one along", () => {
  assert.deepEqual(
    lines.lines.map(({ text, score }) => [text, score]),
    [["héllo 世界", 0.75]],
  );
  assert.deepEqual(
    lines.failures.map(({ error, box }) => [error.code, error.message.slice(0, 7), box[0]]),
    [
      ["item_failed", "no crop", [10, 0]],
      ["item_failed", "xxxxxxx", [20, 0]],
    ],
  );
  const box: OcrBox = [
    [40, 0],
    [49, 0],
    [49, 9.126],
    [40, 9.126],
  ];
  const [last] = pictureLines({
    width: 50,
    height: 40,
    quads: [quadAt(40)],
    crops: [cropped],
    results: [read("a", 1)],
    scoreMin: 0,
  }).lines;
  assert.deepEqual(last?.box, box, "within the picture");
});

test("lines travel as tensors and are the same again", async () => {
  const payload = textLinesPayload(lines);
  const again = readTextLines(payload);
  assert.deepEqual(again?.lines, [
    {
      text: "héllo 世界",
      score: 0.75,
      box: [
        [0, 0],
        [30, 0],
        [30, 9.13],
        [0, 9.13],
      ],
    },
  ]);
  assert.deepEqual(
    again.failures.map(({ error }) => error.message.length),
    [7, 160],
  );
  assert.deepEqual(
    readTextLines(textLinesPayload({ width: 3, height: 2, lines: [], failures: [] })),
    {
      width: 3,
      height: 2,
      lines: [],
      failures: [],
    },
  );
});

test("a payload that lies is no lines, and its item fails", () => {
  const good = textLinesPayload(lines);
  const float = (values: number[]): Payload["tensors"][string] => {
    return { type: "float32", shape: [values.length], data: Float32Array.from(values) };
  };
  const int = (values: number[]): Payload["tensors"][string] => {
    return { type: "int32", shape: [values.length], data: Int32Array.from(values) };
  };
  const values = good.values;
  const bad: readonly Partial<Record<"values" | "tensors", unknown>>[] = [
    { values: { ...values, width: -1 } },
    { values: { ...values, height: "40" } },
    { values: { ...values, failures: null } },
    { values: { ...values, failures: [{ code: "none such", message: "" }, { code: "internal" }] } },
    { tensors: {} },
    { tensors: { ...good.tensors, ends: int([9_999]) } },
    { tensors: { ...good.tensors, ends: int([-1]) } },
    { tensors: { ...good.tensors, ends: int([1, 2]) } },
    { tensors: { ...good.tensors, scores: float([Number.NaN]) } },
    { tensors: { ...good.tensors, scores: float([7]) } },
    { tensors: { ...good.tensors, boxes: float([1, 2, 3]) } },
    { tensors: { ...good.tensors, boxes: float([1, 2, 3, 4, 5, 6, 7, Infinity]) } },
    { tensors: { ...good.tensors, texts: float([1]) } },
  ];
  for (const change of bad) {
    assert.equal(readTextLines({ ...good, ...change } as Payload), null, JSON.stringify(change));
  }
});
