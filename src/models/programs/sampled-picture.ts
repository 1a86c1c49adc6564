/** Pictures with lines of letters, for trials of speed: written by hand, because no decoder is loaded on this side. */
import { crc32, deflateSync } from "node:zlib";
import type { Payload } from "../../work/payload.js";
import { picturePayload } from "../../work/picture.js";

/** "TEST", a letter in five columns of seven dots. */
const word = [
  "##### ##### ##### #####  ",
  "  #   #     #       #    ",
  "  #   #     #       #    ",
  "  #   ####  #####   #    ",
  "  #   #         #   #    ",
  "  #   #         #   #    ",
  "  #   ##### #####   #    ",
];
const [width, height] = [640, 480];
const dot = 3;
const lineStep = 48;
const margin = 24;
/** Made once; a trial sends thousands. */
const kinds = 4;

/** A page of a few lines each, as long and as many as the index says. */
export function pictureSampler(): (index: number) => Payload {
  const made = Array.from({ length: kinds }, (_, kind) => lazily(() => pageOf(kind)));
  return (index) => made[index % kinds]?.() ?? pageOf(index);
}

function lazily<Value>(make: () => Value): () => Value {
  let value: Value | undefined;
  return () => {
    value ??= make();
    return value;
  };
}

function pageOf(kind: number): Payload {
  // Each row of pixels begins with the filter of its row: none.
  const step = 1 + 3 * width;
  const data = Buffer.alloc(step * height, 255);
  for (let y = 0; y < height; y += 1) {
    data[y * step] = 0;
    const line = Math.floor((y - margin) / lineStep);
    const dots = word[Math.floor((y - margin - line * lineStep) / dot)];
    if (y < margin || dots === undefined || line > 5 + kind) continue;
    const end = width - margin - ((line * 37 + kind * 53) % 200);
    for (let x = margin; x < end; x += 1) {
      const isInk = dots[Math.floor((x - margin) / dot) % dots.length] === "#";
      if (isInk) data.fill(0, y * step + 1 + 3 * x, y * step + 4 + 3 * x);
    }
  }
  const bytes = pngOf(data);
  return picturePayload({ format: "png", width, height, pixelBytes: 8, bytes });
}

function pngOf(rows: Buffer): Uint8Array {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  // Eight bits of each of three colours.
  head.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const body = [chunk("IHDR", head), chunk("IDAT", deflateSync(rows)), chunk("IEND")];
  return new Uint8Array(Buffer.concat([signature, ...body]));
}

function chunk(name: string, data: Buffer = Buffer.alloc(0)): Buffer {
  const named = Buffer.concat([Buffer.from(name), data]);
  const out = Buffer.alloc(named.length + 8);
  out.writeUInt32BE(data.length, 0);
  named.copy(out, 4);
  out.writeUInt32BE(crc32(named), named.length + 4);
  return out;
}
