/** Files → pixels in sharp's threads, held to what their heads said. */
import assert from "node:assert/strict";
import { test } from "node:test";
import sharp, { type Sharp } from "sharp";
import { PictureDecoder, type Pixels } from "#src/runtime/pictures.js";
import { Random } from "../sim/random.js";
import { exifTurns } from "../support/exif-turns.js";
import { encoded, everyFormat, isImageInvalid, pngOf, quarters } from "../support/pictures.js";

const pictures = await PictureDecoder.open();

/** The middles of the four quarters, row by row. */
function corners({ data, width, height }: Pixels): number[][] {
  return [1, 3].flatMap((row) =>
    [1, 3].map((column) => {
      const at = (Math.floor((height * row) / 4) * width + Math.floor((width * column) / 4)) * 3;
      return [...data.subarray(at, at + 3)];
    }),
  );
}

function assertNear(found: readonly number[][], wanted: readonly number[][], what: string): void {
  const far = found.flat().some((value, at) => Math.abs(value - (wanted.flat()[at] ?? 0)) > 12);
  assert.ok(!far && found.length === wanted.length, `${what}: ${JSON.stringify(found)}`);
}

const red = [255, 0, 0];
const green = [0, 200, 0];
const blue = [0, 0, 255];
const white = [255, 255, 255];

test("every format is decoded; what is transparent lies on white", async () => {
  for (const [name, bytes] of await everyFormat(80, 48)) {
    const pixels = await pictures.decode(encoded(bytes));
    assert.deepEqual([pixels.width, pixels.height, pixels.data.length], [80, 48, 80 * 48 * 3]);
    const half = (colour: number[]): number[] => colour.map((value) => (value + 255) / 2);
    const wanted = [red, green, blue, white];
    assertNear(corners(pixels), name.includes("transparent") ? wanted.map(half) : wanted, name);
  }
});

test("grey, sixteen bits and print colours become red, green and blue", async () => {
  const grey = await quarters(64, 32).greyscale().png().toBuffer();
  const deep = await quarters(64, 32).toColourspace("rgb16").png().toBuffer();
  const print = await quarters(64, 32).toColourspace("cmyk").jpeg({ quality: 95 }).toBuffer();
  assert.equal((await sharp(print).metadata()).space, "cmyk");
  const [first = []] = corners(await pictures.decode(encoded(grey)));
  assert.ok(first[0] === first[1] && first[1] === first[2], String(first));
  assertNear(corners(await pictures.decode(encoded(deep))), [red, green, blue, white], "16 bits");
  const [printed = []] = corners(await pictures.decode(encoded(print)));
  assert.ok((printed[0] ?? 0) > 150 && (printed[1] ?? 255) < 110, String(printed));
});

test("a picture is turned as its EXIF says, all eight ways", async () => {
  // What the stored quarters must be, so that turned they are red, green / blue, white.
  const upright = await pictures.decode(encoded(await quarters(60, 40).png().toBuffer()));
  for (let orientation = 1; orientation <= 8; orientation += 1) {
    const stored = await storedFor(orientation);
    const bytes = await stored.withMetadata({ orientation }).jpeg({ quality: 95 }).toBuffer();
    const turned = await pictures.decode(encoded(bytes));
    assert.deepEqual([turned.width, turned.height], [60, 40], `orientation ${orientation}`);
    assertNear(corners(turned), corners(upright), `orientation ${orientation}`);
  }
});

/** The inverse of each turn, made of pixels. */
async function storedFor(orientation: number): Promise<Sharp> {
  let picture = quarters(60, 40);
  const { data, info } = await (exifTurns[orientation - 1] ?? assert.fail())(picture)
    .raw()
    .toBuffer({ resolveWithObject: true });
  picture = sharp(data, { raw: { width: info.width, height: info.height, channels: 3 } });
  return picture;
}

test("resizing lies on the centres of the pixels, both ways, and keeps a ramp a ramp", async () => {
  const [width, height] = [60, 40];
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) data.set([4 * x, 6 * y, 77], (y * width + x) * 3);
  }
  for (const to of [
    { width: 90, height: 100 },
    { width: 61, height: 41 },
    { width: 30, height: 20 },
    { width: 30, height: 70 },
    { width: 75, height: 13 },
  ]) {
    const pixels = await pictures.resize({ data, width, height }, to);
    assert.equal(pixels.data.length, to.width * to.height * 3);
    const [x, y] = [Math.floor(to.width / 2), Math.floor(to.height / 2)];
    const at = (y * to.width + x) * 3;
    const wanted = [
      4 * (((x + 0.5) * width) / to.width - 0.5),
      6 * (((y + 0.5) * height) / to.height - 0.5),
      77,
    ];
    for (const [colour, value] of wanted.entries()) {
      const found = pixels.data[at + colour] ?? 0;
      assert.ok(Math.abs(found - value) <= 1.5, `${JSON.stringify(to)}: ${found}, not ${value}`);
    }
  }
});

test("files that are cut anywhere are invalid", async () => {
  for (const [name, bytes] of await everyFormat(200, 160)) {
    for (let part = 1; part < 16; part += 1) {
      const cut = bytes.subarray(0, Math.floor((bytes.length * part) / 16));
      const decode = async (): Promise<Pixels> => await pictures.decode(encoded(cut));
      await assert.rejects(decode, isImageInvalid, `${name}, ${part}/16`);
    }
  }
});

test("a file that is not what its head said is refused before its pixels are made", async () => {
  const png = encoded(await quarters(64, 64).png().toBuffer());
  const lies = [
    { ...png, width: 32 },
    { ...png, height: 65 },
    { ...png, format: "jpeg" as const },
    { ...png, bytes: pngOf(50_000, 50_000, 20) },
  ];
  for (const lie of lies) await assert.rejects(pictures.decode(lie), isImageInvalid);
});

test("files that say two things are refused, whichever is believed", async () => {
  const jpeg = await quarters(64, 64).jpeg().toBuffer();
  const at = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
  const frame = Buffer.from(jpeg.subarray(at, at + 19));
  frame.writeUInt16BE(6_000, 5);
  const first = Buffer.concat([jpeg.subarray(0, at), frame, jpeg.subarray(at)]);
  const second = Buffer.concat([jpeg.subarray(0, at + 19), frame, jpeg.subarray(at + 19)]);
  // A frame that is larger than the screen it is on.
  const gif = Buffer.alloc(32);
  gif.write(
    "GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\xff\xff\xff\xff\0\x02\0;",
    "latin1",
  );
  for (const bytes of [first, second, gif]) {
    const decode = async (): Promise<Pixels> => await pictures.decode(encoded(bytes));
    await assert.rejects(decode, isImageInvalid);
  }
});

test("files changed at random are decoded to the size they said, or invalid", async () => {
  const random = new Random(23);
  const files = [...(await everyFormat(48, 48)).values()];
  for (let round = 0; round < 250; round += 1) {
    const bytes = new Uint8Array(random.pick(files));
    for (let change = random.int(1, 5); change > 0; change -= 1) {
      const last = random.chance(0.6) ? Math.min(200, bytes.length) - 1 : bytes.length - 1;
      bytes[random.int(0, last)] = random.pick([0, 1, 0x80, 0xff, random.int(0, 255)]);
    }
    try {
      const picture = encoded(bytes);
      const { data } = await pictures.decode(picture);
      assert.equal(data.length, picture.width * picture.height * 3);
    } catch (error) {
      assert.ok(isImageInvalid(error), String(error));
    }
  }
});

test("what libvips could read and is no picture here is not read", async () => {
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>');
  const heif = await quarters(64, 64).heif({ compression: "av1" }).toBuffer();
  for (const bytes of [svg, heif, Buffer.from("%PDF-1.7")]) {
    const picture = { bytes, format: "png", width: 8, height: 8, pixelBytes: 8 } as const;
    await assert.rejects(pictures.decode(picture), isImageInvalid);
  }
});

test("a large deflate bomb within the pixels is cut where it does not belong", async () => {
  // The head says 100 × 100; behind it stand a hundred thousand rows.
  const bomb = pngOf(100, 100, 100_000);
  const pixels = await pictures.decode(encoded(bomb)).catch((error: unknown) => {
    assert.ok(isImageInvalid(error));
    return null;
  });
  assert.ok(pixels === null || pixels.data.length === 30_000);
});
