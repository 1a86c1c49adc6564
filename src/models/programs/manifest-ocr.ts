/**
 * The program `ocr`: pictures in, lines of text out, by three graphs. Written by `millrace convert --task ocr`; what a hand-written one
 * leaves out is as PP-OCR has it.
 *
 *   detector     float32 [N, 3, H, W] → [N, 1, H, W]: the probability that a pixel is of a line's core
 *   direction    float32 [N, 3, height, width] → [N, 2]: upright, upside down
 *   recogniser   float32 [N, 3, height, W] → [N, T, classes]: for each step along the line, each character or the blank
 */
import { z } from "zod";
import type { ManifestBase } from "../manifest-base.js";
import { baseFields, checkFiles, fileName, size, wrongManifest } from "../manifest-fields.js";
import type { ProgramDefinition } from "../manifest-staged.js";
import { type PixelInput, pixelFields, pixelText } from "./pixel-input.js";
import { pictureSampler } from "./sampled-picture.js";

export interface OcrDetector extends PixelInput {
  /** `max`: a picture whose longer side is over `sideLimit` is made smaller; `min`: one whose shorter side is under it, larger. */
  readonly limitType: "max" | "min";
  readonly sideLimit: number;
  /** Neither side is longer, whatever the limit says. */
  readonly sideMax: number;
  /** Sides are multiples of this. */
  readonly sideMultiple: number;
  /** See BoxOptions in src/runtime/staged/ocr/find-boxes.ts. */
  readonly threshold: number;
  readonly boxThreshold: number;
  readonly unclipRatio: number;
  readonly boxSideMin: number;
  readonly candidatesMax: number;
}

export interface OcrDirection extends PixelInput {
  readonly width: number;
  readonly height: number;
  /** The class that stands for upside down, and how sure the graph must be. */
  readonly turnedClass: number;
  readonly threshold: number;
}

export interface OcrRecogniser extends PixelInput {
  readonly height: number;
  /** A longer line is made narrower. */
  readonly widthMax: number;
  /** Widths of runs are multiples of this: only lines of one width share a run. */
  readonly widthStep: number;
  readonly blankClass: number;
  /** The class of the first line of the keys file. */
  readonly keysFrom: number;
  /** The class after the last key is the space. */
  readonly space: boolean;
  /** `identity`: the graph gives probabilities already. */
  readonly scores: "softmax" | "identity";
  /** A line of a lower score is left out. */
  readonly scoreMin: number;
}

export interface OcrManifest extends ManifestBase {
  readonly engine: "staged";
  readonly program: "ocr";
  readonly files: {
    readonly detector: string;
    readonly recogniser: string;
    /** One character, or more, a line. */
    readonly keys: string;
    readonly direction?: string;
    /** Weights of these graphs that are not in them, by the names that the graphs have for them. */
    readonly data?: readonly string[];
  };
  readonly detector: OcrDetector;
  readonly direction: OcrDirection;
  readonly recogniser: OcrRecogniser;
}

/** Of one run of the detector: small ones gain by company. */
export const pagesMax = 8;

const half = [0.5, 0.5, 0.5] as const;
const usualPixels: PixelInput = { channels: "bgr", scale: 1 / 255, mean: half, std: half };
const part = z.number().min(0).max(1);
const classNumber = z.int().nonnegative();
const side = size.max(8_192);

const detector: z.ZodType<OcrDetector> = z.strictObject({
  ...pixelFields({ ...usualPixels, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }),
  limitType: z.enum(["max", "min"]).default("max"),
  sideLimit: side.default(960),
  sideMax: side.default(4_000),
  sideMultiple: size.max(256).default(32),
  threshold: part.default(0.3),
  boxThreshold: part.default(0.6),
  unclipRatio: z.number().min(0).max(10).default(1.5),
  boxSideMin: z.number().min(0).max(100).default(3),
  candidatesMax: size.max(10_000).default(1_000),
});

const direction: z.ZodType<OcrDirection> = z.strictObject({
  ...pixelFields(usualPixels),
  width: side.default(192),
  height: side.default(48),
  turnedClass: z.int().min(0).max(1).default(1),
  threshold: part.default(0.9),
});

const recogniser: z.ZodType<OcrRecogniser> = z.strictObject({
  ...pixelFields(usualPixels),
  height: z.int().min(8).max(256).default(48),
  widthMax: side.default(3_200),
  widthStep: size.max(1_024).default(32),
  blankClass: classNumber.default(0),
  keysFrom: classNumber.default(1),
  space: z.boolean().default(true),
  scores: z.enum(["softmax", "identity"]).default("identity"),
  scoreMin: part.default(0.5),
});

/** Strict: people change it, and a field with a slip in its name would be as if it were not there. */
const schema: z.ZodType<OcrManifest> = z.strictObject({
  ...baseFields,
  engine: z.literal("staged"),
  program: z.literal("ocr"),
  task: z.literal("ocr"),
  files: z.strictObject({
    detector: fileName,
    recogniser: fileName,
    keys: fileName,
    direction: fileName.exactOptional(),
    data: z.array(fileName).max(4_096).exactOptional(),
  }),
  // Their own fields have defaults.
  detector: detector.prefault({}),
  direction: direction.prefault({}),
  recogniser: recogniser.prefault({}),
});

export const ocrProgram: ProgramDefinition<OcrManifest> = {
  schema,
  check,
  // A picture becomes lines inside, and those of many pictures run together.
  mode: "continuous",
  runRowsMax: () => pagesMax,
  settings: () => ({}),
  sampler: pictureSampler,
  unit: () => null,
  info: () => ({ limits: {} }),
  facts: ({ files, detector: found, recogniser: read }) => [
    ["detector", `${found.limitType} side ${found.sideLimit}, ${pixelText(found)}`],
    ["direction", files.direction === undefined ? "not looked at" : "turned where upside down"],
    ["recogniser", `height ${read.height}, ${pixelText(read)}`],
  ],
};

function check({ files, fileSha256, detector: found, recogniser: read }: OcrManifest): void {
  const { data = [], ...others } = files;
  checkFiles({ ...others, ...Object.fromEntries(data.map((name) => [name, name])) }, fileSha256);
  if (found.sideMax % found.sideMultiple !== 0) {
    throw wrongManifest(`detector.sideMax ${found.sideMax} is no multiple of sideMultiple`);
  }
  if (read.widthMax % read.widthStep !== 0) {
    throw wrongManifest(`recogniser.widthMax ${read.widthMax} is no multiple of widthStep`);
  }
}
