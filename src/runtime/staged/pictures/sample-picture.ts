/** A small picture with a word on it, for warm-ups: made here, so that no file must be there. */

import type { Payload } from "../../../work/payload.js";
import { type EncodedPicture, picturePayload } from "../../../work/picture.js";
import type { PictureDecoder } from "../../pictures.js";

export interface SamplePicture {
  readonly width: number;
  readonly height: number;
  readonly payload: Payload;
}

/** "TEST", a letter in five columns of seven dots. */
const rows = [
  "##### ##### ##### #####",
  "  #   #     #       #  ",
  "  #   #     #       #  ",
  "  #   ####  #####   #  ",
  "  #   #         #   #  ",
  "  #   #         #   #  ",
  "  #   ##### #####   #  ",
];
const dot = 4;
const margin = 24;

export async function samplePicture(pictures: PictureDecoder): Promise<SamplePicture> {
  const width = (rows[0]?.length ?? 0) * dot + 2 * margin;
  const height = rows.length * dot + 2 * margin;
  const data = new Uint8Array(width * height * 3).fill(255);
  for (let y = 0; y < height; y += 1) {
    const row = rows[Math.floor((y - margin) / dot)] ?? "";
    for (let x = 0; x < width; x += 1) {
      const isInk = row[Math.floor((x - margin) / dot)] === "#";
      if (isInk) data.fill(0, (y * width + x) * 3, (y * width + x + 1) * 3);
    }
  }
  const bytes = await pictures.encodePng({ width, height, data });
  const picture: EncodedPicture = { format: "png", width, height, pixelBytes: 8, bytes };
  return { width, height, payload: picturePayload(picture) };
}
