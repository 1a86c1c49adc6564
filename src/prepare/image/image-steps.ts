/** One picture → one piece, for every task that takes pictures. */
import { MillraceError } from "millrace-client/wire";
import { picturePayload, pictureUnits } from "../../work/picture.js";
import type { PrepareStep } from "../../work/piece.js";
import { type ImageLimits, readHead } from "./head.js";
import type { ImageInput } from "./read-images.js";

/** Looking at a head takes some microseconds, and then the bytes are copied: far less than a page of text. */
export const imageWeight = 64;
/** What a piece holds beside the file. */
const pieceBytes = 512;

export interface ImageStepsOptions {
  /** As the caller calls the picture. */
  readonly param: string;
  readonly limits: ImageLimits;
  /** About what its result will hold. */
  readonly resultBytes: number;
}

export function* imageSteps(
  input: ImageInput,
  { param, limits, resultBytes }: ImageStepsOptions,
): Generator<PrepareStep> {
  try {
    if ("problem" in input) throw new MillraceError("image_invalid", input.problem);
    const bytes = input;
    const head = readHead(bytes, limits);
    const units = pictureUnits(head);
    const held = bytes.length + pieceBytes + resultBytes;
    const cost = { units, width: units, rows: 1, bytes: held, batchKey: "" };
    const payload = picturePayload({ bytes, ...head });
    yield { kind: "piece", piece: { payload, cost, note: null } };
    yield { kind: "end", note: null };
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    const { code, message } = error;
    yield { kind: "error", error: new MillraceError(code, message, { param }).toWire() };
  }
}
