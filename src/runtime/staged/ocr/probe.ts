/** Whether the graphs of a folder are what its manifest says, seen on small inputs of nothing before anybody waits. */
import type { OcrManifest, OcrRecogniser } from "../../../models/programs/manifest-ocr.js";
import { messageOf } from "../../../work/thrown.js";
import { typeName } from "../../native/session-values.js";
import type { Size } from "../../pictures.js";
import type { Fetches, Session } from "../../session.js";
import { classSteps, runOn } from "./read-stages.js";

export interface OcrGraphs {
  readonly detector: Session;
  readonly recogniser: Session;
  readonly direction: Session | null;
}

/** Some hundred thousand keys of a few bytes. */
export const keysBytesMax: number = 4 * 1024 * 1024;
/** A last key without a class is no harm, and is published so; more than one is another file. */
const spareKeysMax = 1;

/** By class. */
export function charactersOf(keys: string, { keysFrom, space }: KeyFields): string[] {
  const lines = keysOf(keys);
  const characters = [...Array.from({ length: keysFrom }, () => ""), ...lines];
  return space ? [...characters, " "] : characters;
}

type KeyFields = Pick<OcrRecogniser, "keysFrom" | "space">;

/** A key may be a space: nothing is trimmed but the ends of lines. */
export function keysOf(text: string): string[] {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** What the detector and the recogniser are tried with. */
export function probeSizes({
  detector,
  recogniser,
}: Pick<OcrManifest, "detector" | "recogniser">): Record<"detector" | "recogniser", Size> {
  const side = 2 * detector.sideMultiple;
  return {
    detector: { width: side, height: side },
    recogniser: { width: shortLine(recogniser), height: recogniser.height },
  };
}

function shortLine({ widthStep }: OcrRecogniser): number {
  return Math.ceil(64 / widthStep) * widthStep;
}

/** Throws, naming the graph and what it gives instead. */
export async function probeOcr(
  { detector, recogniser, direction }: OcrGraphs,
  manifest: OcrManifest,
  characters: readonly string[],
): Promise<void> {
  checkForm("detector", detector);
  const size = probeSizes(manifest).detector;
  const found = await probed("detector", detector, { ...manifest.recogniser, ...size });
  expectShape("detector", found, [1, 1, size.height, size.width]);
  if (direction !== null) {
    checkForm("direction", direction);
    const fetches = await probed("direction", direction, manifest.direction);
    expectShape("direction", fetches, [1, 2]);
  }
  checkForm("recogniser", recogniser);
  const classes = await classesOf(recogniser, manifest.recogniser);
  const spare = characters.length - classes;
  if (spare >= 0 && spare <= (manifest.recogniser.space ? 0 : spareKeysMax)) return;
  const counts = `the recogniser has ${classes} classes, and with the keys there are ${characters.length}`;
  throw new Error(`${counts}: the keys are another model's, or keysFrom or space is wrong`);
}

/** Classes that the recogniser tells apart, the blank included. */
export async function classesOf(session: Session, recogniser: OcrRecogniser): Promise<number> {
  const width = shortLine(recogniser);
  const fetches = await probed("recogniser", session, { ...recogniser, width });
  return classSteps(fetches, session, 1).classes;
}

async function probed(
  name: string,
  session: Session,
  input: OcrManifest["direction"] | (OcrRecogniser & { readonly width: number }),
): Promise<Fetches> {
  const { width, height } = input;
  const data = new Uint8Array(3 * width * height).fill(255);
  try {
    return await runOn(session, [{ width, height, data }], { width, height, input });
  } catch (cause) {
    const why = messageOf(cause);
    throw new Error(`the ${name} takes no picture of ${width} × ${height}: ${why}`, { cause });
  }
}

function checkForm(name: string, { inputs, outputs }: Session): void {
  const form = inputs.map(typeName);
  if (form.length !== 1 || form[0] !== "float32" || outputs.length < 1) {
    throw new Error(`the ${name} takes ${form.join(", ")}, not one float32 tensor`);
  }
}

/** Of the graph's first output. */
function expectShape(name: string, fetches: Fetches, wanted: readonly number[]): void {
  const shape = Object.values(fetches)[0]?.shape ?? [];
  if (shape.length === wanted.length && shape.every((size, at) => size === wanted[at])) return;
  throw new Error(`the ${name} gives [${shape.join(", ")}], not [${wanted.join(", ")}]`);
}
