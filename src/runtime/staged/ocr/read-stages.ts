/** What a line says: turned where it is upside down, then read. */
import type { OcrDirection, OcrRecogniser } from "../../../models/programs/manifest-ocr.js";
import type { Pixels } from "../../pictures.js";
import { type Fetches, f32, floatsOf, type Session } from "../../session.js";
import { writePlanes } from "../pictures/planes.js";
import type { Stage, StageInput } from "../program.js";
import { type CroppedLine, cropBytes } from "./crop-stage.js";
import { decodeCtc, type LineText } from "./ctc.js";

/** Short runs: there are many small lines, and a person's wait between. In columns of the input. */
export const turnLimits: Stage["limits"] = { rowsMax: 32, paddedUnitsMax: 32 * 192 };
/** What comes out is a number for each character of the alphabet and each step: so many columns are some twenty megabytes. */
export const recogniseLimits: Stage["limits"] = { rowsMax: 32, paddedUnitsMax: 4_096 };

export function turnInput(stage: number, line: CroppedLine, { width }: OcrDirection): StageInput {
  const cost = { units: width, width, rows: 1, bytes: cropBytes(line), batchKey: "" };
  return { stage, cost, data: line };
}

/**
 * Only lines of one padded width share a run, so that what is read does not depend on company; the width is the line's own, up
 * to the next step.
 */
export function recogniseInput(
  stage: number,
  strip: Pixels,
  { widthStep, widthMax }: Pick<OcrRecogniser, "widthStep" | "widthMax">,
): StageInput {
  // A step is an eighth of the width at least: then lines of one width are many, and what they are padded with is little.
  const doublings = Math.max(0, Math.ceil(Math.log2(strip.width / (8 * widthStep))));
  const step = widthStep * 2 ** doublings;
  const width = Math.min(widthMax, Math.ceil(strip.width / step) * step);
  const cost = { units: width, width, rows: 1, bytes: strip.data.length, batchKey: `${width}` };
  return { stage, cost, data: strip };
}

/** The strips as they are to be read. */
export async function turn(
  session: Session,
  inputs: readonly StageInput[],
  options: OcrDirection,
): Promise<Pixels[]> {
  const { width, height, turnedClass, threshold } = options;
  const lines = inputs.map(({ data }) => data as CroppedLine);
  const views = lines.map(({ view, strip }) => view ?? strip);
  const fetches = await runOn(session, views, { width, height, input: options });
  const scores = floatsOf(fetches, session.outputs[0]?.name ?? "", 2 * lines.length);
  return lines.map(({ strip }, row) => {
    const isTurned = (scores[2 * row + turnedClass] ?? 0) > threshold;
    return isTurned ? upsideDown(strip) : strip;
  });
}

function upsideDown({ data, width, height }: Pixels): Pixels {
  const turned = new Uint8Array(data.length);
  for (let from = 0, to = data.length - 3; to >= 0; from += 3, to -= 3) {
    turned[to] = data[from] ?? 0;
    turned[to + 1] = data[from + 1] ?? 0;
    turned[to + 2] = data[from + 2] ?? 0;
  }
  return { data: turned, width, height };
}

export interface RecogniseOptions extends OcrRecogniser {
  /** By class. */
  readonly characters: readonly string[];
}

export async function recognise(
  session: Session,
  inputs: readonly StageInput[],
  options: RecogniseOptions,
): Promise<LineText[]> {
  const strips = inputs.map(({ data }) => data as Pixels);
  const width = inputs[0]?.cost.width ?? 0;
  const fetches = await runOn(session, strips, { width, height: options.height, input: options });
  const { steps, classes, data } = classSteps(fetches, session, strips.length);
  const { blankClass: blank, characters, scores } = options;
  const size = steps * classes;
  return strips.map((_, row) =>
    decodeCtc(
      { data: data.subarray(row * size, (row + 1) * size), steps, classes },
      { blank, characters, softmax: scores === "softmax" },
    ),
  );
}

/** Of an output [rows, steps, classes]; throws where it is none. */
export function classSteps(
  fetches: Fetches,
  { outputs }: Pick<Session, "outputs">,
  rows: number,
): { readonly data: Float32Array; readonly steps: number; readonly classes: number } {
  const name = outputs[0]?.name ?? "";
  const shape = fetches[name]?.shape ?? [];
  const [found, steps = 0, classes = 0] = shape;
  if (shape.length !== 3 || found !== rows) {
    throw new Error(`the recogniser gives [${shape.join(", ")}], not [${rows}, steps, classes]`);
  }
  return { data: floatsOf(fetches, name, rows * steps * classes), steps, classes };
}

/** Each picture at the top left of its row, the rest 0. */
export async function runOn(
  session: Session,
  pictures: readonly Pixels[],
  { width, height, input }: { width: number; height: number; input: OcrDirection | OcrRecogniser },
): Promise<Fetches> {
  const size = 3 * width * height;
  const values = new Float32Array(pictures.length * size);
  for (const [row, picture] of pictures.entries()) {
    writePlanes(values, picture, { place: { offset: row * size, width, height }, input });
  }
  const name = session.inputs[0]?.name ?? "";
  return await session.run({ [name]: f32(values, [pictures.length, 3, height, width]) });
}
