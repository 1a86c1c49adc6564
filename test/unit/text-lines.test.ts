/** What a picture with text comes to: lines that were read, lines that failed, and payloads that nobody should believe. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { MillraceError, type OcrBox } from "millrace-client/wire";
import { readModel } from "#src/models/read-manifest.js";
import type { CroppedLine } from "#src/runtime/staged/ocr/crop-stage.js";
import type { Quad } from "#src/runtime/staged/ocr/geometry.js";
import { pictureLines } from "#src/runtime/staged/ocr/picture-lines.js";
import { ocr } from "#src/tasks/ocr/ocr.js";
import type { Payload } from "#src/work/payload.js";
import { readTextLines, textLinesPayload } from "#src/work/text-lines.js";
import { TempDir } from "../support/temp-dir.js";

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

test("what a page holds beyond what was counted before it was read is what it really is", async () => {
  await using dir = await TempDir.make();
  const files = { detector: "d.onnx", recogniser: "r.onnx", keys: "k.txt" };
  const fileSha256 = Object.fromEntries(Object.values(files).map((name) => [name, "0".repeat(64)]));
  const manifest = {
    manifestVersion: 2,
    name: "pages",
    task: "ocr",
    engine: "staged",
    program: "ocr",
    family: "pp-ocr",
    precision: "graph",
    quantization: null,
    files,
    fileSha256,
  };
  await writeFile(dir.file("millrace.json"), JSON.stringify(manifest));
  const limits = { inputCharactersMax: 1, imagePixelsMax: 1 };
  const model = await ocr.open(await readModel(dir.path), limits);
  const page = (count: number, text: string): Payload => {
    const [line] = lines.lines;
    assert.ok(line !== undefined);
    const { failures } = lines;
    return textLinesPayload({ ...lines, lines: Array(count).fill({ ...line, text }), failures });
  };
  assert.equal(model.furtherBytes?.(page(10, "short")), 0);
  for (const text of ["short", "x".repeat(1_000), "\u4e16".repeat(100)]) {
    const answer = page(1_000, text);
    const further = model.furtherBytes?.(answer) ?? 0;
    // Not less than the reply's own text and that of its lines, which is the least that it takes.
    const joined = model.join({ answers: [answer], pieces: [], note: null, settings: {} });
    const reply = Buffer.byteLength(JSON.stringify(joined.values));
    assert.ok(16_384 + further >= reply + 1_000 * text.length, `${further} beside ${reply}`);
    // A line of seventy bytes is some six hundred as lists of lists.
    assert.ok(further <= 10 * reply, `${further} beside ${reply}`);
  }
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
