/** Picture files for tests: made by sharp, or by hand where they are to be wrong. */
import assert from "node:assert/strict";
import { crc32, deflateSync } from "node:zlib";
import { MillraceError } from "millrace-client/wire";
import sharp, { type Sharp } from "sharp";
import { readHead } from "#src/prepare/image/head.js";
import type { EncodedPicture } from "#src/work/picture.js";

/** Different in every corner, so that a turn shows: red, green / blue, white. */
export function quarters(width: number, height: number): Sharp {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const [right, below] = [x >= width / 2, y >= height / 2];
      const colour = right
        ? below
          ? [255, 255, 255]
          : [0, 200, 0]
        : below
          ? [0, 0, 255]
          : [255, 0, 0];
      data.set(colour, (y * width + x) * 3);
    }
  }
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/** The same picture in every format that is taken. */
export async function everyFormat(width: number, height: number): Promise<Map<string, Buffer>> {
  const picture = (): Sharp => quarters(width, height);
  return new Map([
    ["jpeg", await picture().jpeg().toBuffer()],
    ["jpeg progressive", await picture().jpeg({ progressive: true }).toBuffer()],
    ["png", await picture().png().toBuffer()],
    ["png interlaced", await picture().png({ progressive: true }).toBuffer()],
    ["png palette", await picture().png({ palette: true }).toBuffer()],
    ["webp", await picture().webp().toBuffer()],
    ["webp lossless", await picture().webp({ lossless: true }).toBuffer()],
    ["webp transparent", await picture().ensureAlpha(0.5).webp().toBuffer()],
    ["gif", await picture().gif().toBuffer()],
    ["tiff", await picture().tiff({ compression: "lzw" }).toBuffer()],
    ["tiff tiled", await picture().tiff({ tile: true, tileWidth: 64, tileHeight: 64 }).toBuffer()],
  ]);
}

/** A PNG that says it has these sides, with so many rows of nothing behind it. */
export function pngOf(width: number, height: number, rows: number): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const pixels = deflateSync(Buffer.alloc(rows * (1 + 3 * width)), { level: 9 });
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", head), chunk("IDAT", pixels), chunk("IEND")]);
}

function chunk(name: string, data: Buffer = Buffer.alloc(0)): Buffer {
  const named = Buffer.concat([Buffer.from(name), data]);
  const out = Buffer.alloc(named.length + 8);
  out.writeUInt32BE(data.length, 0);
  named.copy(out, 4);
  out.writeUInt32BE(crc32(named), named.length + 4);
  return out;
}

/** As the parent makes it of a file. */
export function encoded(bytes: Uint8Array, imagePixelsMax = 40_000_000): EncodedPicture {
  return { ...readHead(bytes, { imagePixelsMax }), bytes };
}

export function isImageInvalid(error: unknown): boolean {
  assert.ok(error instanceof MillraceError, String(error));
  return error.code === "image_invalid";
}
