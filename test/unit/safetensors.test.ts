import assert from "node:assert/strict";
import { readFile, truncate, writeFile } from "node:fs/promises";
import { test } from "node:test";
import fc from "fast-check";
import { MillraceError } from "millrace-client/wire";
import { SafetensorsFile } from "#src/convert/reading/safetensors.js";
import { float32Tensor, safetensorsBytes, safetensorsOf } from "../support/safetensors-bytes.js";
import { TempDir } from "../support/temp-dir.js";

const small = safetensorsOf({
  matrix: float32Tensor([3, 2], [1, -2, 3.5, 4, 5, 6]),
  half: {
    dtype: "F16",
    shape: [7],
    // 1, -2, 65504, the smallest subnormal, infinity, NaN, -0
    bytes: new Uint8Array(
      Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x7e00, 0x8000).buffer,
    ),
  },
  brain: {
    dtype: "BF16",
    shape: [2, 1],
    bytes: new Uint8Array(Uint16Array.of(0x3f80, 0xc040).buffer),
  },
  double: { dtype: "F64", shape: [2], bytes: new Uint8Array(Float64Array.of(0.1, -3).buffer) },
  integers: { dtype: "I64", shape: [1], bytes: new Uint8Array(8) },
  scalar: float32Tensor([], [7]),
  nothing: float32Tensor([0, 4], []),
});

async function openBytes(dir: TempDir, bytes: Uint8Array): Promise<SafetensorsFile> {
  const path = dir.file("model.safetensors");
  await writeFile(path, bytes);
  return await SafetensorsFile.open(path);
}

test("reads every float type", async () => {
  await using dir = await TempDir.make();
  await using file = await openBytes(dir, small);
  assert.equal(file.file.byteLength, small.byteLength);
  assert.deepEqual(file.tensors.get("matrix")?.shape, [3, 2]);
  assert.equal(file.tensors.has("__metadata__"), false);
  assert.deepEqual([...(await file.read("matrix"))], [1, -2, 3.5, 4, 5, 6]);
  const halves = [1, -2, 65504, 2 ** -24, Infinity, Number.NaN, -0];
  assert.deepEqual([...(await file.read("half"))], halves);
  assert.deepEqual([...(await file.read("brain"))], [1, -3]);
  assert.deepEqual([...(await file.read("double"))], [Math.fround(0.1), -3]);
  assert.deepEqual([...(await file.read("scalar"))], [7]);
  assert.deepEqual([...(await file.read("nothing"))], []);
});

test("refuses reads that make no sense", async () => {
  await using dir = await TempDir.make();
  await using file = await openBytes(dir, small);
  await assert.rejects(file.read("integers"), { code: "tensor_mismatch", message: /I64/ });
  await assert.rejects(file.read("absent"), { code: "tensor_missing", message: /absent/ });
});

test("conversion of a tensor larger than one read is seamless", async () => {
  await using dir = await TempDir.make();
  const halves = Uint16Array.from({ length: 5_000_000 }, (_, index) => index % 0x7c00);
  const bytes = new Uint8Array(halves.buffer);
  await using file = await openBytes(
    dir,
    safetensorsOf({
      odd: float32Tensor([1], [9]),
      big: { dtype: "BF16", shape: [5000, 1000], bytes },
    }),
  );
  const words = Uint32Array.from(halves, (half) => half << 16);
  const expected = new Float32Array(words.buffer);
  assert.ok(Buffer.from((await file.read("big")).buffer).equals(Buffer.from(expected.buffer)));
});

test("a file that is missing, or a folder, is named", async () => {
  await using dir = await TempDir.make();
  await assert.rejects(SafetensorsFile.open(dir.file("none.safetensors")), {
    code: "model_folder_invalid",
    message: /none\.safetensors is missing/,
  });
  await assert.rejects(SafetensorsFile.open(dir.path), { code: "model_folder_invalid" });
});

test("a file that is cut after it was opened fails the read", async () => {
  await using dir = await TempDir.make();
  await using file = await openBytes(dir, small);
  await truncate(dir.file("model.safetensors"), small.byteLength - 1);
  await assert.rejects(file.read("scalar"), { code: "weights_invalid", message: /scalar/ });
});

const four = new Uint8Array(4);
const tensor = (fields: string): string => `{"w":{${fields}}}`;
const hostile: readonly [what: string, bytes: Uint8Array, says: RegExp][] = [
  ["no bytes", new Uint8Array(), /too few/],
  ["seven bytes", new Uint8Array(7), /too few/],
  ["a header longer than the file", Buffer.from("ff00000000000000", "hex"), /255 bytes, but/],
  ["an absurd header length", Buffer.from("ffffffffffffffff7b7d", "hex"), /the limit is/],
  ["a header just over the cap", Buffer.from("01e1f50500000000", "hex"), /the limit is 100000000/],
  ["not JSON", safetensorsBytes("{", four), /not JSON/],
  ["an unclosed string", safetensorsBytes('{"w', four), /not JSON/],
  ["an empty header", safetensorsBytes("", four), /not JSON/],
  ["not UTF-8", Buffer.from("0200000000000000ff7d", "hex"), /not JSON/],
  ["a list", safetensorsBytes("[]", four), /not a JSON object/],
  ["null", safetensorsBytes("null", four), /not a JSON object/],
  ["deep nesting", safetensorsBytes("[".repeat(100_000), four), /nested/],
  [
    "a bomb of objects",
    safetensorsBytes(`[${"{},".repeat(3_000_000)}{}]`, four),
    /3000000 objects/,
  ],
  ["an entry that is a number", safetensorsBytes('{"w":1}', four), /"w" is not described/],
  ["an entry that is null", safetensorsBytes('{"w":null}', four), /"w" is not described/],
  ["a key twice", safetensorsBytes('{"w":{},"\\u0077" :{}}', four), /the key "w" twice/],
  [
    "a field twice",
    safetensorsBytes(tensor('"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]'), four),
    /"dtype" twice/,
  ],
  [
    "no dtype",
    safetensorsBytes(tensor('"shape":[1],"data_offsets":[0,4]'), four),
    /"w" has the unknown dtype that is missing/,
  ],
  [
    "an unknown dtype",
    safetensorsBytes(tensor('"dtype":"F31","shape":[1],"data_offsets":[0,4]'), four),
    /"w" has the unknown dtype "F31"/,
  ],
  [
    "a dtype that is no text",
    safetensorsBytes(tensor('"dtype":["F32"],"shape":[1],"data_offsets":[0,4]'), four),
    /"w" has the unknown dtype/,
  ],
  [
    "a shape that is a number",
    safetensorsBytes(tensor('"dtype":"F32","shape":1,"data_offsets":[0,4]'), four),
    /"w" has the shape 1/,
  ],
  [
    "a negative size",
    safetensorsBytes(tensor('"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]'), four),
    /"w" has the shape \[-1,-1\]/,
  ],
  [
    "a size with a fraction",
    safetensorsBytes(tensor('"dtype":"F32","shape":[0.5,2],"data_offsets":[0,4]'), four),
    /"w" has the shape/,
  ],
  [
    "an overflowing shape",
    safetensorsBytes(
      tensor('"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]'),
      four,
    ),
    /"w" has an absurd shape/,
  ],
  [
    "a shape that its bytes do not fill",
    safetensorsBytes(tensor('"dtype":"F32","shape":[2],"data_offsets":[0,4]'), four),
    /"w".*is 8 bytes, its data_offsets span 4/,
  ],
  [
    "three offsets",
    safetensorsBytes(tensor('"dtype":"F32","shape":[1],"data_offsets":[0,4,8]'), four),
    /"w" has the data_offsets/,
  ],
  [
    "offsets backwards",
    safetensorsBytes(tensor('"dtype":"F32","shape":[1],"data_offsets":[4,0]'), four),
    /"w" has data_offsets that end/,
  ],
  [
    "offsets out of the file",
    safetensorsBytes(tensor('"dtype":"F32","shape":[2],"data_offsets":[0,8]'), four),
    /"w" ends at byte \d+.*truncated/,
  ],
  [
    "a gap at the start",
    safetensorsBytes(tensor('"dtype":"U8","shape":[3],"data_offsets":[1,4]'), four),
    /"w" leaves a gap of 1 bytes/,
  ],
  [
    "bytes after the last tensor",
    safetensorsBytes(tensor('"dtype":"U8","shape":[3],"data_offsets":[0,3]'), four),
    /1 bytes follow/,
  ],
  [
    "overlapping tensors",
    safetensorsBytes(
      '{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}',
      four,
    ),
    /"b" overlaps/,
  ],
];

for (const [what, bytes, says] of hostile) {
  test(`refuses ${what}`, async () => {
    await using dir = await TempDir.make();
    await assert.rejects(openBytes(dir, bytes), { code: "weights_invalid", message: says });
  });
}

test("refuses a file that is cut anywhere", async () => {
  await using dir = await TempDir.make();
  for (let length = 0; length < small.byteLength; length += 1) {
    await assert.rejects(openBytes(dir, small.subarray(0, length)), { code: "weights_invalid" });
  }
});

test("any damage is either harmless or a MillraceError", async () => {
  await using dir = await TempDir.make();
  const path = dir.file("model.safetensors");
  const flip = fc.record({
    at: fc.nat(small.byteLength - 1),
    to: fc.nat(255),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(flip, { minLength: 1, maxLength: 4 }), async (flips) => {
      const bytes = Buffer.from(small);
      for (const { at, to } of flips) bytes[at] = to;
      await writeFile(path, bytes);
      try {
        await using file = await SafetensorsFile.open(path);
        for (const name of file.tensors.keys()) await file.read(name);
      } catch (error) {
        assert.ok(error instanceof MillraceError, String(error));
      }
    }),
    { numRuns: 500 },
  );
  assert.equal((await readFile(path)).byteLength, small.byteLength);
});
