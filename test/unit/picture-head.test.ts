/** The first look at a picture's bytes: what it is, how large; and that no bytes do worse than being refused. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import sharp from "sharp";
import { readHead } from "#src/prepare/image/head.js";
import { readImages } from "#src/prepare/image/read-images.js";
import { Random } from "../sim/random.js";
import { everyFormat, pngOf } from "../support/pictures.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";

const limits = { imagePixelsMax: 40_000_000 };

function problemOf(bytes: Uint8Array): string {
  try {
    const { format, width, height } = readHead(bytes, limits);
    return `${format} ${width} ${height}`;
  } catch (error) {
    assert.ok(error instanceof MillraceError && error.code === "image_invalid", String(error));
    return error.message;
  }
}

test("every format says its size", async () => {
  for (const [name, bytes] of await everyFormat(70, 41)) {
    assert.equal(problemOf(bytes), `${name.split(" ")[0]} 70 41`, name);
  }
});

test("the sample pictures are what sharp says of them", {
  skip: skipWithout("data", "images"),
}, async () => {
  for (const folder of ["ocr", "photos"]) {
    for (const name of readdirSync(sharedPath("data", "images", folder))) {
      const bytes = readFileSync(sharedPath("data", "images", folder, name));
      const { format, width, height } = await sharp(bytes).metadata();
      assert.equal(problemOf(bytes), `${format} ${width} ${height}`, name);
    }
  }
});

test("what is too large is refused by its head", () => {
  const bomb = pngOf(50_000, 50_000, 20);
  assert.match(problemOf(bomb), /png of 50000 × 50000 pixels; at most 40000000/);
  assert.match(problemOf(pngOf(70_000, 1, 1)), /a side has at most 65535/);
  assert.match(problemOf(pngOf(0, 5, 1)), /0 × 5/);
  assert.match(problemOf(pngOf(4_000_000_000, 4_000_000_000, 0)), /a side has at most/);
  const gif = Buffer.from("GIF89a\xff\xff\xff\xff\x00\x00\x00", "latin1");
  assert.match(problemOf(gif), /gif of 65535 × 65535/);
});

test("what is no picture is refused, whatever it says it is", async () => {
  const none = /is not a JPEG, PNG, WebP, GIF or TIFF/;
  const png = await sharp({ create: { width: 9, height: 9, channels: 3, background: "red" } })
    .png()
    .toBuffer();
  const zip = Buffer.concat([Buffer.from("PK\x03\x04"), png]);
  const pdf = Buffer.concat([Buffer.from("%PDF-1.7\n"), png]);
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>';
  const bmp = Buffer.concat([Buffer.from("BM"), Buffer.alloc(60)]);
  for (const bytes of [zip, pdf, Buffer.from(svg), Buffer.from(`\ufeff<?xml?>${svg}`), bmp]) {
    assert.match(problemOf(bytes), none);
  }
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(64), Buffer.from("RIFF")]) {
    assert.match(problemOf(bytes), none);
  }
});

test("heads that make no sense are refused", () => {
  const broken = /no head from which its size can be read/;
  const jpeg = (...bytes: number[]): Buffer => Buffer.from([0xff, 0xd8, 0xff, ...bytes]);
  // A segment of no length, the picture before its head, the end before it, filling without end.
  assert.match(problemOf(jpeg(0xe0, 0, 0, 0xff, 0xc0)), broken);
  assert.match(problemOf(jpeg(0xda, 0, 8)), broken);
  assert.match(problemOf(jpeg(0xd9)), broken);
  assert.match(problemOf(Buffer.alloc(100_000, 0xff).fill(0xd8, 1, 2)), broken);
  // As many segments as fit into 32 MiB: it ends at some.
  const segments = Buffer.alloc(8 * 1024 * 1024);
  for (let at = 2; at + 4 <= segments.length; at += 4) segments.set([0xff, 0xe0, 0, 2], at);
  segments.set([0xff, 0xd8], 0);
  assert.match(problemOf(segments), broken);
  const tiff = (...entries: number[][]): Buffer => {
    const bytes = Buffer.alloc(10 + entries.length * 12);
    bytes.set([0x49, 0x49, 42, 0, 8, 0, 0, 0]);
    bytes.writeUInt16LE(entries.length, 8);
    for (const [index, [tag = 0, value = 0, type = 4]] of entries.entries()) {
      const at = 10 + index * 12;
      bytes.writeUInt16LE(tag, at);
      bytes.writeUInt16LE(type, at + 2);
      bytes.writeUInt32LE(1, at + 4);
      bytes.writeUInt32LE(value, at + 8);
    }
    return bytes;
  };
  assert.equal(problemOf(tiff([256, 8], [257, 9])), "tiff 8 9");
  // Two widths; a tile as large as a town; colours without end; a list beyond the end; a page beyond the end.
  assert.match(problemOf(tiff([256, 8], [256, 9], [257, 9])), broken);
  assert.match(problemOf(tiff([256, 8], [257, 9], [322, 60_000], [323, 60_000])), broken);
  assert.match(problemOf(tiff([256, 8], [257, 9], [277, 60_000])), broken);
  const far = tiff([256, 8], [257, 9]);
  far.writeUInt32LE(0xffffffff, 4);
  assert.match(problemOf(far), broken);
});

test("files cut and changed at random are refused or read, and nothing else", async () => {
  const random = new Random(7);
  const files = [...(await everyFormat(64, 64)).values()];
  for (let round = 0; round < 6_000; round += 1) {
    const file = random.pick(files);
    const bytes = new Uint8Array(file.subarray(0, random.chance(0.3) ? random.int(0, 200) : 4_000));
    for (let change = random.int(0, 6); change > 0 && bytes.length > 0; change -= 1) {
      const near = random.chance(0.8) ? Math.min(bytes.length - 1, 160) : bytes.length - 1;
      bytes[random.int(0, near)] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.int(0, 255)]);
    }
    problemOf(bytes);
  }
});

test("lists of pictures: bytes, base64, or a mistake that is named", () => {
  const bytes = new Uint8Array([1, 2, 3]);
  assert.deepEqual([...readImages([bytes], "images", 5)], [bytes]);
  const read = (value: unknown): readonly unknown[] =>
    readImages(value, "images", 5).map((each) =>
      each instanceof Uint8Array ? Buffer.from(each).toString("hex") : each,
    );
  assert.deepEqual(read("AQID"), ["010203"]);
  assert.deepEqual(read(["_-8="]), ["ffef"]);
  // They fail by themselves, as what is no picture does.
  const none = { problem: "The picture is not base64." };
  assert.deepEqual(read(["AQID", "not base64!", "data:image/png;base64,AQID"]), [
    "010203",
    none,
    none,
  ]);
  const bad: readonly (readonly [unknown, string, string])[] = [
    [["AQID", 5], "bad_request", "images[1]"],
    [{}, "bad_request", "images"],
    [[""], "input_empty", "images[0]"],
    [[], "input_empty", "images"],
    [["AQID", "AQID", "AQID"], "too_many_items", "images"],
  ];
  for (const [value, code, param] of bad) {
    assert.throws(
      () => readImages(value, "images", 2),
      (error) => error instanceof MillraceError && error.code === code && error.param === param,
    );
  }
});
