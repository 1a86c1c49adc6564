/**
 * OCR as plainly as it can be written: one picture, one graph after the other, one line at a time, at its own width in the run. What
 * resizes, finds boxes in a map and cuts strips is the product's, which has tests of its own; all else is written again here.
 */
import { readFileSync } from "node:fs";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";
import { PictureDecoder } from "#src/runtime/pictures.js";
import { cropStrip, readingCorners, sizeOf } from "#src/runtime/staged/ocr/crop.js";
import { findBoxes } from "#src/runtime/staged/ocr/find-boxes.js";
import type { Quad } from "#src/runtime/staged/ocr/geometry.js";
import { sharedPath } from "./shared-data.js";

export interface ReferenceLine {
  readonly text: string;
  readonly score: number;
}

export const ocrFiles = {
  detector: sharedPath("models", "ocr", "ch_PP-OCRv3_det.onnx"),
  direction: sharedPath("models", "ocr", "ch_ppocr_mobile_v2.0_cls_infer.onnx"),
  recogniser: sharedPath("models", "ocr", "chineseocr_lite-crnn_lite_rec.onnx"),
  keys: sharedPath("models", "ocr", "chineseocr_lite-keys.txt"),
};

interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

export class ReferenceOcr {
  readonly #sessions: Readonly<Record<"detector" | "direction" | "recogniser", InferenceSession>>;
  readonly #keys: readonly string[] = readFileSync(ocrFiles.keys, "utf8").split("\n");

  private constructor(sessions: ReferenceOcr["sessions"]) {
    this.#sessions = sessions;
  }

  get sessions(): Readonly<Record<"detector" | "direction" | "recogniser", InferenceSession>> {
    return this.#sessions;
  }

  static async open(): Promise<ReferenceOcr> {
    const open = (path: string): Promise<InferenceSession> =>
      InferenceSession.create(path, { intraOpNumThreads: 1 });
    return new ReferenceOcr({
      detector: await open(ocrFiles.detector),
      direction: await open(ocrFiles.direction),
      recogniser: await open(ocrFiles.recogniser),
    });
  }

  /** In reading order, for pictures whose lines stand one below the other. */
  async read(file: Uint8Array): Promise<ReferenceLine[]> {
    const { data, info } = await sharp(file)
      .flatten({ background: "white" })
      .toColourspace("srgb")
      .raw()
      .toBuffer({ resolveWithObject: true });
    const picture = { data, width: info.width, height: info.height };
    const quads = await this.#detect(picture);
    const lines: ReferenceLine[] = [];
    for (const quad of quads.toSorted((one, other) => one[0].y - other[0].y)) {
      const line = await this.#recognise(await this.#upright(picture, readingCorners(quad)));
      if (line.text !== "" && line.score >= 0.5) lines.push(line);
    }
    return lines;
  }

  async #detect({ data, width, height }: Picture): Promise<Quad[]> {
    const scale = Math.min(1, 960 / Math.max(width, height));
    const w = Math.max(32, Math.round((width * scale) / 32) * 32);
    const h = Math.max(32, Math.round((height * scale) / 32) * 32);
    const { data: view } = await (await PictureDecoder.open()).resize(
      { data, width, height },
      { width: w, height: h },
    );
    const [mean, std] = [
      [0.485, 0.456, 0.406],
      [0.229, 0.224, 0.225],
    ];
    const input = planes({ data: view, width: w, height: h }, w, (value, plane) => {
      return (value / 255 - (mean[plane] ?? 0)) / (std[plane] ?? 1);
    });
    const map = await run(this.#sessions.detector, input, [1, 3, h, w]);
    const options = { threshold: 0.3, boxThreshold: 0.6, unclipRatio: 1.5, sideMin: 3 };
    const boxes = await findBoxes(
      { data: map, width: w, height: h },
      { ...options, candidatesMax: 1_000 },
    );
    const [sx, sy] = [width / w, height / h];
    return boxes
      .map((box): Quad => {
        const [a, b, c, d] = box.map(({ x, y }) => ({
          x: (x + 0.5) * sx - 0.5,
          y: (y + 0.5) * sy - 0.5,
        }));
        if (!a || !b || !c || !d) throw new Error("a box of four corners");
        return [a, b, c, d];
      })
      .filter((box) => sizeOf(box).width > 3 && sizeOf(box).height > 3);
  }

  async #upright(picture: Picture, quad: Quad): Promise<Picture> {
    const strip = stripOf(picture, quad, { width: 3_200, height: 32 });
    const view = stripOf(picture, quad, { width: 192, height: 48 });
    const input = planes(view, 192, (value) => value / 127.5 - 1);
    const scores = await run(this.#sessions.direction, input, [1, 3, 48, 192]);
    if (!((scores[1] ?? 0) > 0.9)) return strip;
    const { data, info } = await sharp(strip.data, {
      raw: { width: strip.width, height: strip.height, channels: 3 },
    })
      .rotate(180)
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { data, width: info.width, height: info.height };
  }

  async #recognise(strip: Picture): Promise<ReferenceLine> {
    let step = 32;
    while (strip.width > 8 * step) step *= 2;
    const width = Math.ceil(strip.width / step) * step;
    const input = planes(strip, width, (value) => value / 127.5 - 1);
    const values = await run(this.#sessions.recogniser, input, [1, 3, 32, width]);
    const classes = 5_531;
    const best: { at: number; value: number }[] = [];
    for (let from = 0; from < values.length; from += classes) {
      const row = values.subarray(from, from + classes);
      const value = row.reduce((largest, each) => Math.max(largest, each), 0);
      best.push({ at: row.indexOf(value), value });
    }
    const read = best.filter(({ at }, step) => at !== 0 && at !== best[step - 1]?.at);
    return {
      text: read.map(({ at }) => this.#keys[at - 1]).join(""),
      score: read.reduce((sum, { value }) => sum + value, 0) / Math.max(1, read.length),
    };
  }
}

function stripOf(picture: Picture, quad: Quad, most: { width: number; height: number }): Picture {
  const { width, height } = sizeOf(quad);
  const natural = Math.ceil((most.height * width) / height);
  const strip = { width: Math.min(most.width, Math.max(1, natural)), height: most.height };
  return cropStrip(picture, quad, strip);
}

/** Blue, green, red; to the right of the picture zeros. */
function planes(
  { data, width, height }: Picture,
  paddedWidth: number,
  of: (value: number, plane: number) => number,
): Float32Array {
  const values = new Float32Array(3 * height * paddedWidth);
  for (let plane = 0; plane < 3; plane += 1) {
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        const value = data[(y * width + x) * 3 + 2 - plane] ?? 0;
        values[(plane * height + y) * paddedWidth + x] = of(value, plane);
      }
    }
  }
  return values;
}

async function run(
  session: InferenceSession,
  values: Float32Array,
  shape: readonly number[],
): Promise<Float32Array> {
  const [input = ""] = session.inputNames;
  const [output = ""] = session.outputNames;
  const fetches = await session.run({ [input]: new Tensor("float32", values, shape) });
  const data = fetches[output]?.data;
  if (!(data instanceof Float32Array)) throw new Error("no float32 came out");
  return data;
}
