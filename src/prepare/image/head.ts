/**
 * READ FIRST of this folder. The first look at a picture's bytes, before anything is made of them: which format, how many pixels.
 * A few fields at known places and nothing decoded, so that what is too large is refused for the price of reading its head.
 * A head can lie; whoever decodes holds the file to what was read here (src/runtime/pictures.ts).
 */
import { MillraceError } from "millrace-client/wire";
import type { PictureHead } from "../../work/picture.js";
import { readTiff } from "./tiff-head.js";

export interface ImageLimits {
  readonly imagePixelsMax: number;
}

/** As long as a side of a JPEG or a GIF can be; nothing that is looked at is longer. */
const sideMax = 65_535;

/** @throws MillraceError `image_invalid`, which says why. */
export function readHead(bytes: Uint8Array, { imagePixelsMax }: ImageLimits): PictureHead {
  const head = headOf(bytes);
  if (head === null) throw invalid("is not a JPEG, PNG, WebP, GIF or TIFF");
  if (head === "broken") throw invalid("has no head from which its size can be read");
  const { format, width, height } = head;
  const size = `is a ${format} of ${width} × ${height} pixels`;
  if (width < 1 || height < 1) throw invalid(size);
  if (width > sideMax || height > sideMax) throw invalid(`${size}; a side has at most ${sideMax}`);
  if (width * height > imagePixelsMax) {
    throw invalid(`${size}; at most ${imagePixelsMax} are taken`);
  }
  return head;
}

function invalid(what: string): MillraceError {
  return new MillraceError("image_invalid", `The picture ${what}.`);
}

/** Null: none of the formats. `broken`: it begins like one of them. */
function headOf(bytes: Uint8Array): PictureHead | "broken" | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [read] = formats.filter(({ magics }) => magics.some((magic) => begins(bytes, magic)));
  if (read === undefined) return null;
  try {
    return read.read(view) ?? "broken";
  } catch (error) {
    // A field beyond the end of the bytes.
    if (error instanceof RangeError) return "broken";
    throw error;
  }
}

type Magic = readonly (number | null)[];

function begins(bytes: Uint8Array, magic: Magic): boolean {
  return magic.every((wanted, at) => wanted === null || bytes[at] === wanted);
}

function ascii(text: string): Magic {
  // A dot stands for any byte.
  return Array.from(text, (letter) => (letter === "." ? null : letter.charCodeAt(0)));
}

const formats: readonly {
  readonly magics: readonly Magic[];
  readonly read: (view: DataView) => PictureHead | null;
}[] = [
  { magics: [[0xff, 0xd8, 0xff]], read: readJpeg },
  { magics: [[0x89, ...ascii("PNG\r\n"), 0x1a, 0x0a]], read: readPng },
  { magics: [ascii("RIFF....WEBP")], read: readWebp },
  { magics: [ascii("GIF87a"), ascii("GIF89a")], read: readGif },
  {
    magics: [
      [0x49, 0x49, 42, 0],
      [0x4d, 0x4d, 0, 42],
    ],
    read: readTiff,
  },
];

/** Cameras write some dozens before the picture begins, a large colour profile 255. */
const jpegSegmentsMax = 4_096;

/** Segment by segment to the frame's header, which must come before the first scan. */
function readJpeg(view: DataView): PictureHead | null {
  let at = 2;
  for (let segments = 0; segments < jpegSegmentsMax; segments += 1) {
    if (view.getUint8(at) !== 0xff) return null;
    let marker = view.getUint8(at + 1);
    // A marker may be filled up; so many bytes are no filling.
    for (let fill = 0; marker === 0xff && fill < 16; fill += 1) {
      at += 1;
      marker = view.getUint8(at + 1);
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) {
      const [height, width] = [view.getUint16(at + 5), view.getUint16(at + 7)];
      // The coefficients of all scans are held: two bytes for each of up to four colours.
      return { format: "jpeg", width, height, pixelBytes: 8 };
    }
    if (marker === 0xd9 || marker === 0xda || (marker >= 0xd0 && marker <= 0xd8)) return null;
    const length = view.getUint16(at + 2);
    if (length < 2) return null;
    at += 2 + length;
  }
  return null;
}

function readPng(view: DataView): PictureHead | null {
  const headerChunk = 0x49484452;
  if (view.getUint32(8) !== 13 || view.getUint32(12) !== headerChunk) return null;
  const [depth, colours, interlaced] = [view.getUint8(24), view.getUint8(25), view.getUint8(28)];
  if (![1, 2, 4, 8, 16].includes(depth) || ![0, 2, 3, 4, 6].includes(colours)) return null;
  if (interlaced > 1) return null;
  // At most four colours of two bytes each.
  return { format: "png", width: view.getUint32(16), height: view.getUint32(20), pixelBytes: 8 };
}

function readGif(view: DataView): PictureHead {
  const [width, height] = [view.getUint16(6, true), view.getUint16(8, true)];
  return { format: "gif", width, height, pixelBytes: 4 };
}

function readWebp(view: DataView): PictureHead | null {
  const kind = view.getUint32(12);
  const size = (width: number, height: number): PictureHead => {
    return { format: "webp", width, height, pixelBytes: 8 };
  };
  // "VP8 ": three bytes of a frame's tag, a start code, 14 bits of each side.
  if (kind === 0x56503820) {
    if (view.getUint16(23) !== 0x9d01 || view.getUint8(25) !== 0x2a) return null;
    return size(view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff);
  }
  // "VP8L": a signature, then 14 bits of each side less one.
  if (kind === 0x5650384c) {
    if (view.getUint8(20) !== 0x2f) return null;
    const bits = view.getUint32(21, true);
    return size((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1);
  }
  // "VP8X": the canvas, 24 bits of each side less one.
  if (kind === 0x56503858) {
    const side = (at: number): number => view.getUint16(at, true) + view.getUint8(at + 2) * 65_536;
    return size(side(24) + 1, side(27) + 1);
  }
  return null;
}
