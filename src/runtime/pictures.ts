/**
 * The only file that loads sharp: picture files → pixels, in its threads and not in JavaScript's. What was read of the head is a
 * promise that the file is held to: a file that turns out to be another one is refused before its pixels take memory.
 */
import { MillraceError } from "millrace-client/wire";
import type sharp from "sharp";
import type { EncodedPicture } from "../work/picture.js";
import { messageOf } from "../work/thrown.js";
import { enlarged } from "./enlarge.js";

/** Red, green, blue, row by row. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

type Sharp = typeof sharp;

/** A file that takes longer was made to: a thousand scans over the same pixels, say. Ten times what an honest one takes. */
const decodeSeconds = { each: 5, pixelsInOne: 4_000_000 };
/** The formats that the first look knows (src/prepare/image/head.ts). */
const loaders = ["Jpeg", "Png", "Webp", "Nsgif", "Tiff"];

export class PictureDecoder {
  readonly #sharp: Sharp;

  private constructor(sharp: Sharp) {
    this.#sharp = sharp;
  }

  /** Loaded only where a model takes pictures: it takes some twenty megabytes. */
  static async open(): Promise<PictureDecoder> {
    const { default: loaded } = await import("sharp");
    loaded.cache(false);
    // Pictures are many: one thread for each, and several at a time.
    loaded.concurrency(1);
    loaded.block({ operation: ["VipsForeignLoad"] });
    loaded.unblock({ operation: loaders.map((name) => `VipsForeignLoad${name}`) });
    return new PictureDecoder(loaded);
  }

  /** Turned as its EXIF says, on white where it is transparent. @throws MillraceError `image_invalid` */
  async decode(picture: EncodedPicture): Promise<Pixels> {
    const { bytes, format, width, height } = picture;
    try {
      const file = this.#sharp(bytes, {
        failOn: "error",
        limitInputPixels: width * height,
        sequentialRead: true,
        // As the models were trained: nobody's training data were converted by their profiles.
        ignoreIcc: true,
        autoOrient: true,
      });
      const found = await file.metadata();
      if (found.format !== format || found.width !== width || found.height !== height) {
        throw new Error(`it is a ${found.format} of ${found.width} × ${found.height} pixels`);
      }
      const seconds = Math.ceil(decodeSeconds.each + (width * height) / decodeSeconds.pixelsInOne);
      const { data, info } = await file
        .flatten({ background: "white" })
        .toColourspace("srgb")
        .timeout({ seconds })
        .raw()
        .toBuffer({ resolveWithObject: true });
      if (info.channels !== 3) throw new Error(`it has ${info.channels} colours`);
      return { width: info.width, height: info.height, data };
    } catch (cause) {
      const why = messageOf(cause);
      const message = `The picture cannot be decoded: ${why.slice(0, 200)}.`;
      throw new MillraceError("image_invalid", message, { cause });
    }
  }

  /** Each pixel the mean of those that it covers, weighted by a triangle as most training code does it ("bilinear"). */
  async resize({ data, width, height }: Pixels, to: Size): Promise<Pixels> {
    // A side that grows is done behind: see enlarge.ts.
    const less = { width: Math.min(width, to.width), height: Math.min(height, to.height) };
    const isLess = less.width < width || less.height < height;
    const reduced = isLess
      ? await this.#sharp(data, { raw: { width, height, channels: 3 } })
          .resize(less.width, less.height, { fit: "fill", kernel: "linear" })
          .raw()
          .toBuffer()
      : data;
    const grows = to.width > less.width || to.height > less.height;
    return grows ? await enlarged({ ...less, data: reduced }, to) : { ...less, data: reduced };
  }

  /** The middle of a picture; where it is smaller, in the middle of black. */
  async centre({ data, width, height }: Pixels, to: Size): Promise<Pixels> {
    if (to.width === width && to.height === height) return { data, width, height };
    const [over, under] = [Math.max(0, width - to.width), Math.max(0, to.width - width)];
    const [above, below] = [Math.max(0, height - to.height), Math.max(0, to.height - height)];
    const [left, top] = [Math.round(under / 2), Math.round(below / 2)];
    const centred = await this.#sharp(data, { raw: { width, height, channels: 3 } })
      .extract({
        left: Math.round(over / 2),
        top: Math.round(above / 2),
        width: width - over,
        height: height - above,
      })
      .extend({ left, right: under - left, top, bottom: below - top, background: "black" })
      .raw()
      .toBuffer();
    return { width: to.width, height: to.height, data: centred };
  }

  async encodePng({ data, width, height }: Pixels): Promise<Uint8Array> {
    const file = await this.#sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer();
    return new Uint8Array(file);
  }
}
