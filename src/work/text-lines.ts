/**
 * What the program `ocr` gives for a picture, as a payload. Texts may be long and lines many: they travel as tensors, which are moved
 * and not parsed.
 *
 *   values: width, height (of the turned picture), failures: [{code, message}, …]
 *   tensors: texts uint8 [bytes] (UTF-8, one after the other), ends int32 [lines], scores float32 [lines],
 *            boxes float32 [lines, 4, 2], failedBoxes float32 [failures, 4, 2]
 */
import { isErrorCode, type OcrBox, type WireError } from "millrace-client/wire";
import { isJsonObject, type Payload, type Tensor } from "./payload.js";

export interface TextLines {
  readonly width: number;
  readonly height: number;
  readonly lines: readonly {
    readonly text: string;
    readonly score: number;
    readonly box: OcrBox;
  }[];
  readonly failures: readonly {
    readonly error: Pick<WireError, "code" | "message">;
    readonly box: OcrBox;
  }[];
}

/** Four corners of two numbers. */
export const boxNumbers = 8;
/** So that a thousand failures are a small header still. */
const messageCharactersMax = 160;

export function textLinesPayload({ width, height, lines, failures }: TextLines): Payload {
  const texts = lines.map(({ text }) => Buffer.from(text));
  let end = 0;
  const ends = texts.map(({ length }) => {
    end += length;
    return end;
  });
  return {
    values: {
      width,
      height,
      failures: failures.map(({ error: { code, message } }) => ({
        code,
        message: message.slice(0, messageCharactersMax),
      })),
    },
    tensors: {
      texts: { type: "uint8", shape: [end], data: new Uint8Array(Buffer.concat(texts)) },
      ends: { type: "int32", shape: [ends.length], data: Int32Array.from(ends) },
      scores: {
        type: "float32",
        shape: [lines.length],
        data: Float32Array.from(lines, ({ score }) => score),
      },
      boxes: boxesTensor(lines.map(({ box }) => box)),
      failedBoxes: boxesTensor(failures.map(({ box }) => box)),
    },
  };
}

/** Null where the payload is none; nothing of it is believed. */
export function readTextLines({ values, tensors }: Payload): TextLines | null {
  const { width, height, failures } = values;
  if (!isSide(width) || !isSide(height) || !Array.isArray(failures)) return null;
  const [texts, ends] = [tensors["texts"]?.data, tensors["ends"]?.data];
  const [scores, boxes] = [tensors["scores"]?.data, readBoxes(tensors["boxes"])];
  const failedBoxes = readBoxes(tensors["failedBoxes"]);
  if (!(texts instanceof Uint8Array) || !(ends instanceof Int32Array)) return null;
  if (!(scores instanceof Float32Array) || boxes === null || failedBoxes === null) return null;
  if (ends.length !== boxes.length || scores.length !== boxes.length) return null;
  if (failures.length !== failedBoxes.length) return null;
  const lines: TextLines["lines"][number][] = [];
  for (const [at, box] of boxes.entries()) {
    const [from, to] = [at === 0 ? 0 : (ends[at - 1] ?? 0), ends[at] ?? 0];
    const score = scores[at] ?? Number.NaN;
    if (to < from || to > texts.length || !(score >= 0 && score <= 1.001)) return null;
    lines.push({ text: Buffer.from(texts.subarray(from, to)).toString("utf8"), score, box });
  }
  const failed: TextLines["failures"][number][] = [];
  for (const [at, failure] of failures.entries()) {
    const box = failedBoxes[at];
    if (!isJsonObject(failure) || box === undefined) return null;
    const { code, message } = failure;
    if (!isErrorCode(code) || typeof message !== "string") return null;
    failed.push({ error: { code, message }, box });
  }
  return { width, height, lines, failures: failed };
}

function isSide(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

function boxesTensor(boxes: readonly OcrBox[]): Tensor {
  const data = Float32Array.from(boxes.flat(2));
  return { type: "float32", shape: [boxes.length, 4, 2], data };
}

function readBoxes(tensor: Tensor | undefined): OcrBox[] | null {
  const data = tensor?.data;
  if (!(data instanceof Float32Array) || data.length % boxNumbers !== 0) return null;
  const boxes: OcrBox[] = [];
  for (let at = 0; at < data.length; at += boxNumbers) {
    // Float32 holds hundredths of a pixel of any picture; their digits behind those mean nothing.
    const place = (offset: number): number => Math.round((data[at + offset] ?? 0) * 100) / 100;
    const box = [0, 2, 4, 6].map((offset) => [place(offset), place(offset + 1)] as const);
    const [a, b, c, d] = box;
    if (!box.flat().every(Number.isFinite)) return null;
    if (a === undefined || b === undefined || c === undefined || d === undefined) return null;
    boxes.push([a, b, c, d]);
  }
  return boxes;
}
