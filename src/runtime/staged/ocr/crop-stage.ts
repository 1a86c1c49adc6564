/** Lines cut out of their picture, as the graphs that read them take them. */
import type { OcrDirection, OcrRecogniser } from "../../../models/programs/manifest-ocr.js";
import { Pauses } from "../../pauses.js";
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

export function cropInput(stage: number, data: Detected, options: CropOptions): StageInput {
  const { picture, quads } = data;
  const bytes = picture.data.length;
  const { recogniser, direction } = options;
  const makesBytes = quads.reduce((sum, quad) => {
    const corners = readingCorners(quad);
    const strip = stripSize(corners, recogniser.height, recogniser.widthMax);
    const view = direction === null ? null : stripSize(corners, direction.height, direction.width);
    return sum + 3 * (strip.width * strip.height + (view === null ? 0 : view.width * view.height));
  }, 0);
  return {
    stage,
    cost: { units: quads.length, width: quads.length, rows: 1, bytes, batchKey: "" },
    makesBytes,
    data,
  };
}

export interface CropOptions {
  readonly recogniser: Pick<OcrRecogniser, "height" | "widthMax">;
  /** Null: there is no graph for it. */
  readonly direction: Pick<OcrDirection, "width" | "height"> | null;
}

/** One after the other, with pauses between: whatever else this thread has to do comes in between. */
export async function cropLines(
  { picture, quads }: Detected,
  options: CropOptions,
): Promise<(CroppedLine | { readonly error: unknown })[]> {
  const lines: (CroppedLine | { readonly error: unknown })[] = [];
  const pauses = new Pauses();
  for (const quad of quads) {
    if (pauses.isDue) await pauses.make();
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
  const strip = stripSize(quad, recogniser.height, recogniser.widthMax);
  const view = direction === null ? null : stripSize(quad, direction.height, direction.width);
  return {
    strip: cropStrip(picture, quad, strip),
    view: view === null ? null : cropStrip(picture, quad, view),
  };
}

/** As wide as the line is in that height. */
function stripSize(
  quad: Quad,
  height: number,
  widthMax: number,
): { readonly width: number; readonly height: number } {
  const source = sizeOf(quad);
  const natural = Math.ceil((height * source.width) / source.height);
  return { width: Math.min(Math.max(natural, 1), widthMax), height };
}

export function cropBytes({ strip, view }: CroppedLine): number {
  return strip.data.length + (view?.data.length ?? 0);
}
