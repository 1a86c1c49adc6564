/** The lines of one picture, gathered: what was read, in reading order, and what failed. */
import { MillraceError, type OcrBox } from "millrace-client/wire";
import type { TextLines } from "../../../work/text-lines.js";
import { messageOf } from "../../../work/thrown.js";
import type { StageResultValue } from "../program.js";
import type { CroppedLine } from "./crop-stage.js";
import type { LineText } from "./ctc.js";
import type { Point, Quad } from "./geometry.js";

export interface PictureParts {
  readonly width: number;
  readonly height: number;
  readonly quads: readonly Quad[];
  /** One for each quadrilateral. */
  readonly crops: readonly (CroppedLine | { readonly error: unknown })[];
  /** One for each crop that could be made. */
  readonly results: readonly StageResultValue[];
  readonly scoreMin: number;
}

export function pictureLines(parts: PictureParts): TextLines {
  const { width, height, quads, crops, results, scoreMin } = parts;
  const lines: TextLines["lines"][number][] = [];
  const failures: TextLines["failures"][number][] = [];
  let next = 0;
  for (const [at, crop] of crops.entries()) {
    const quad = quads[at];
    if (quad === undefined) throw new Error("a crop without its quadrilateral");
    const box = boxOf(quad, { width, height });
    const result = "error" in crop ? { ok: false as const, error: crop.error } : results[next];
    if (!("error" in crop)) next += 1;
    if (result === undefined) throw new Error("a crop without a result");
    if (!result.ok) {
      failures.push({ error: errorOf(result.error), box });
      continue;
    }
    const { text, score } = result.value as LineText;
    if (text !== "" && score >= scoreMin) lines.push({ text, score, box });
  }
  return { width, height, lines, failures };
}

/** A box may leave the picture by what it grew; a caller's picture ends there. */
function boxOf([a, b, c, d]: Quad, { width, height }: { width: number; height: number }): OcrBox {
  const inside = ({ x, y }: Point): OcrBox[number] => [
    Math.min(Math.max(x, 0), width - 1),
    Math.min(Math.max(y, 0), height - 1),
  ];
  return [inside(a), inside(b), inside(c), inside(d)];
}

function errorOf(error: unknown): TextLines["failures"][number]["error"] {
  const code = error instanceof MillraceError ? error.code : "item_failed";
  return { code, message: messageOf(error) };
}
