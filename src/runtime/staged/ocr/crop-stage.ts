/** Lines cut out of their picture, as the graphs that read them take them. */
import { setImmediate } from "node:timers/promises";
import type { OcrDirection, OcrRecogniser } from "../../../models/programs/manifest-ocr.js";
import type { Pixels } from "../../pictures.js";
import type { Stage, StageInput } from "../program.js";
import { cropStrip, readingCorners, sizeOf } from "./crop.js";
import type { Detected } from "./detect-stage.js";
import type { Quad } from "./geometry.js";

/** A line as it goes on. */
export interface CroppedLine {
  /** As high as the recogniser takes it, and as wide as its text is. */
  readonly strip: Pixels;
  /** As the direction graph takes it; null where there is none. */
  readonly view: Pixels | null;
}

export const cropLimits: Stage["limits"] = { rowsMax: 4, paddedUnitsMax: Number.POSITIVE_INFINITY };

export function cropInput(stage: number, data: Detected): StageInput {
  const { picture, quads } = data;
  const bytes = picture.data.length;
  return {
    stage,
    cost: { units: quads.length, width: quads.length, rows: 1, bytes, batchKey: "" },
    data,
  };
}

export interface CropOptions {
  readonly recogniser: Pick<OcrRecogniser, "height" | "widthMax">;
  /** Null: there is no graph for it. */
  readonly direction: Pick<OcrDirection, "width" | "height"> | null;
}

/** One after the other, with a pause between: whatever else this thread has to do comes in between. */
export async function cropLines(
  { picture, quads }: Detected,
  options: CropOptions,
): Promise<(CroppedLine | { readonly error: unknown })[]> {
  const lines: (CroppedLine | { readonly error: unknown })[] = [];
  for (const quad of quads) {
    await setImmediate();
    try {
      lines.push(cropLine(picture, readingCorners(quad), options));
    } catch (error) {
      lines.push({ error });
    }
  }
  return lines;
}

function cropLine(
  picture: Pixels,
  quad: Quad,
  { recogniser, direction }: CropOptions,
): CroppedLine {
  const { width, height } = sizeOf(quad);
  const at = (size: { readonly width: number; readonly height: number }): Pixels => {
    const natural = Math.ceil((size.height * width) / height);
    return cropStrip(picture, quad, {
      width: Math.min(Math.max(natural, 1), size.width),
      height: size.height,
    });
  };
  return {
    strip: at({ width: recogniser.widthMax, height: recogniser.height }),
    view: direction === null ? null : at(direction),
  };
}

export function bytesOf({ strip, view }: CroppedLine): number {
  return strip.data.length + (view?.data.length ?? 0);
}
