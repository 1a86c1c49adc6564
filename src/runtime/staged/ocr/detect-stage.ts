/** Where the lines are: a picture → quadrilaterals in its own pixels, in reading order. */
import { type OcrDetector, pagesMax } from "../../../models/programs/manifest-ocr.js";
import { pictureUnits, unitPixels } from "../../../work/picture.js";
import type { Pixels, Size } from "../../pictures.js";
import { f32, floatsOf, type Session } from "../../session.js";
import { writePlanes } from "../pictures/planes.js";
import type { Stage, StageInput } from "../program.js";
import type { ProbabilityMap } from "./components.js";
import { findBoxes } from "./find-boxes.js";
import { distance, type Point, type Quad } from "./geometry.js";
import { inReadingOrder } from "./reading-order.js";

interface Detecting {
  readonly picture: Pixels;
  /** As the detector takes it. */
  readonly view: Pixels;
}

/** A few: a run of one large page is long enough. */
export const detectLimits: Stage["limits"] = {
  rowsMax: pagesMax,
  paddedUnitsMax: (2 * 960 * 960) / unitPixels,
};

/** In pixels of the picture; what is smaller is dirt. */
const quadSideMin = 3;

export function detectInput(stage: number, data: Detecting): StageInput {
  const { picture, view } = data;
  const units = pictureUnits(view);
  const bytes = picture.data.length + (view.data === picture.data ? 0 : view.data.length);
  // Convolutions look over edges: only pictures of one size share a run.
  const batchKey = `${view.width}x${view.height}`;
  return { stage, cost: { units, width: units, rows: 1, bytes, batchKey }, data };
}

/** The size at which the detector sees a picture: sides near the limit, and multiples of what its strides need. */
export function detectSize(
  { width, height }: Pick<Pixels, "width" | "height">,
  options: Pick<OcrDetector, "limitType" | "sideLimit" | "sideMax" | "sideMultiple">,
): { readonly width: number; readonly height: number } {
  const { limitType, sideLimit, sideMax, sideMultiple } = options;
  const wanted =
    limitType === "max"
      ? Math.min(1, sideLimit / Math.max(width, height))
      : Math.max(1, sideLimit / Math.min(width, height));
  const ratio = Math.min(wanted, sideMax / Math.max(width, height));
  const side = (length: number): number => {
    const steps = Math.round((length * ratio) / sideMultiple);
    return Math.min(sideMax, Math.max(1, steps) * sideMultiple);
  };
  return { width: side(width), height: side(height) };
}

export interface Detected {
  readonly picture: Pixels;
  readonly quads: readonly Quad[];
}

/** What the detector saw. */
interface Seen {
  readonly picture: Pixels;
  readonly map: ProbabilityMap;
}

/** Several pages at once: each pauses often. */
export const boxLimits: Stage["limits"] = { rowsMax: 4, paddedUnitsMax: Number.POSITIVE_INFINITY };

export function boxInput(stage: number, data: Seen): StageInput {
  const { picture, map } = data;
  const units = pictureUnits(map);
  const bytes = picture.data.length + map.data.byteLength;
  return { stage, cost: { units, width: units, rows: 1, bytes, batchKey: "" }, data };
}

export async function locate({ data }: StageInput, options: OcrDetector): Promise<Detected> {
  const { picture, map } = data as Seen;
  const boxes = await findBoxes(map, { ...options, sideMin: options.boxSideMin });
  const quads = boxes.map((box) => scaled(box, map, picture)).filter(isLarge);
  return { picture, quads: inReadingOrder(quads, (quad) => quad) };
}

export async function detect(
  session: Session,
  inputs: readonly StageInput[],
  options: OcrDetector,
): Promise<Seen[]> {
  const detecting = inputs.map(({ data }) => data as Detecting);
  const { width, height } = detecting[0]?.view ?? { width: 0, height: 0 };
  const pixels = width * height;
  const values = new Float32Array(detecting.length * 3 * pixels);
  for (const [row, { view }] of detecting.entries()) {
    writePlanes(values, view, {
      place: { offset: row * 3 * pixels, width, height },
      input: options,
    });
  }
  const [inputName = "", outputName = ""] = [session.inputs[0]?.name, session.outputs[0]?.name];
  const fetches = await session.run({
    [inputName]: f32(values, [detecting.length, 3, height, width]),
  });
  const maps = floatsOf(fetches, outputName, detecting.length * pixels);
  return detecting.map(({ picture }, row) => {
    const data = maps.subarray(row * pixels, (row + 1) * pixels);
    return { picture, map: { data, width, height } };
  });
}

/** Points are centres of pixels, and a pixel of the map is several of the picture's. */
function scaled([a, b, c, d]: Quad, from: Size, to: Size): Quad {
  const [sx, sy] = [to.width / from.width, to.height / from.height];
  const point = ({ x, y }: Point): Point => ({ x: (x + 0.5) * sx - 0.5, y: (y + 0.5) * sy - 0.5 });
  return [point(a), point(b), point(c), point(d)];
}

function isLarge([topLeft, topRight, , bottomLeft]: Quad): boolean {
  return distance(topLeft, topRight) > quadSideMin && distance(topLeft, bottomLeft) > quadSideMin;
}
