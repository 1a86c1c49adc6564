/**
 * A picture on its way into a model, as a payload: the file as it came, still encoded, and what its head said. Tasks on pictures
 * write it, programs of the staged engine read it.
 *
 *   values: format, width, height, pixelBytes (see PictureHead)     tensors: image uint8 [n]
 */
import type { Payload } from "./payload.js";

/** What is decoded; anything else, SVG and PDF above all, is no picture here. */
const pictureFormats = ["jpeg", "png", "webp", "gif", "tiff"] as const;

/** What a file says of itself before anything is decoded. */
export interface PictureHead {
  readonly format: (typeof pictureFormats)[number];
  /** As stored: not turned yet. */
  readonly width: number;
  readonly height: number;
  /** What a pixel takes at most while the file is decoded. */
  readonly pixelBytes: number;
}

/** What the time of a picture is a line of: thousands of pixels. */
export const unitPixels = 1_024;

export function pictureUnits({ width, height }: Pick<PictureHead, "width" | "height">): number {
  return Math.ceil((width * height) / unitPixels);
}

export interface EncodedPicture extends PictureHead {
  readonly bytes: Uint8Array;
}

export function picturePayload({ bytes, ...values }: EncodedPicture): Payload {
  return { values, tensors: { image: { type: "uint8", shape: [bytes.length], data: bytes } } };
}

/** Null where the payload is none. */
export function readPicture({ values, tensors }: Payload): EncodedPicture | null {
  const { width, height, pixelBytes } = values;
  const format = pictureFormats.find((each) => each === values["format"]);
  const bytes = tensors["image"]?.data;
  if (!(bytes instanceof Uint8Array) || format === undefined) return null;
  if (!isSize(width) || !isSize(height) || !isSize(pixelBytes)) return null;
  return { bytes, format, width, height, pixelBytes };
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}
