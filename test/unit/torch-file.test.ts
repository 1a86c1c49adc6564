import assert from "node:assert/strict";
import { test } from "node:test";
import { TempDir } from "../support/temp-dir.js";
import {
  floatBytes,
  legacyTorchBytes,
  orderedDict,
  pickle,
  statePickle,
  type TorchView,
  tensorPickle,
  torchBytes,
  torchViews,
  zipOf,
} from "../support/torch-bytes.js";
import { assertTorchRefused, openTorchBytes, readTorchBytes } from "../support/torch-files.js";

const six = floatBytes([1, 2, 3, 4, 5, 6]);
const matrix: TorchView = { elements: 6, shape: [2, 3], strides: [3, 1] };

test("views of one storage: whole, transposed, in the middle, with steps, of one value, of nothing", async () => {
  const data = torchViews({
    whole: matrix,
    transposed: { elements: 6, shape: [3, 2], strides: [1, 3] },
    middle: { elements: 6, offset: 2, shape: [2, 2], strides: [2, 1] },
    column: { elements: 6, offset: 1, shape: [2], strides: [3] },
    cube: { elements: 6, shape: [1, 3, 2], strides: [77, 2, 1] },
    turned: { elements: 6, shape: [3, 1, 2], strides: [1, 5, 3] },
    scalar: { elements: 6, offset: 5, shape: [], strides: [] },
    nothing: { elements: 6, shape: [0, 4], strides: [4, 1] },
    repeated: { elements: 6, offset: 3, shape: [4], strides: [0] },
  });
  assert.deepEqual(await readTorchBytes(torchBytes(data, { 0: six })), {
    whole: [1, 2, 3, 4, 5, 6],
    transposed: [1, 4, 2, 5, 3, 6],
    middle: [3, 4, 5, 6],
    column: [2, 5],
    cube: [1, 2, 3, 4, 5, 6],
    turned: [1, 4, 2, 5, 3, 6],
    scalar: [6],
    nothing: [],
    repeated: [4, 4, 4, 4],
  });
});

test("a tensor under two names is one, and another view of its storage is another", async () => {
  await using dir = await TempDir.make();
  const transposed: TorchView = { ...matrix, shape: [3, 2], strides: [1, 3] };
  const data = torchViews({ a: matrix, b: matrix, c: transposed });
  await using weights = await openTorchBytes(dir, torchBytes(data, { 0: six }));
  const aliases = [...weights.tensors.values()].filter(({ isAlias }) => isAlias);
  assert.deepEqual(
    aliases.map(({ name }) => name),
    ["b"],
  );
});

test("every type that models have; integers are listed and not read as floats", async () => {
  await using dir = await TempDir.make();
  const vector = (type: string, key: string, elements: number): Buffer =>
    tensorPickle({ type, key, elements, shape: [elements], strides: [1] });
  const data = statePickle({
    half: vector("HalfStorage", "h", 2),
    brain: vector("BFloat16Storage", "b", 2),
    double: vector("DoubleStorage", "d", 1),
    long: vector("LongStorage", "l", 1),
  });
  const storages = {
    h: new Uint8Array(Uint16Array.of(0x3c00, 0xc000).buffer),
    b: new Uint8Array(Uint16Array.of(0x3f80, 0xc040).buffer),
    d: new Uint8Array(Float64Array.of(0.1).buffer),
    l: new Uint8Array(8),
  };
  await using weights = await openTorchBytes(dir, torchBytes(data, storages));
  assert.deepEqual(
    [...weights.tensors.values()].map(({ dtype }) => dtype),
    ["F16", "BF16", "F64", "I64"],
  );
  assert.deepEqual([...(await weights.read("half"))], [1, -2]);
  assert.deepEqual([...(await weights.read("brain"))], [1, -3]);
  assert.deepEqual([...(await weights.read("double"))], [Math.fround(0.1)]);
  await assert.rejects(weights.read("long"), {
    code: "tensor_mismatch",
    message: /long has type I64/,
  });
});

test("big-endian storages, as the byteorder entry says", async () => {
  const bytes = Buffer.from(six).swap32();
  const order = (text: string) => [{ name: "archive/byteorder", bytes: Buffer.from(text) }];
  const data = torchViews({ w: matrix });
  const values = { w: [1, 2, 3, 4, 5, 6] };
  assert.deepEqual(await readTorchBytes(torchBytes(data, { 0: bytes }, order("big"))), values);
  assert.deepEqual(await readTorchBytes(torchBytes(data, { 0: six }, order("little"))), values);
  await assertTorchRefused(torchBytes(data, { 0: six }, order("middle")), /byteorder is "middle"/);
});

test("what hangs on a state_dict and on parameters is passed over", async () => {
  const tensor = tensorPickle(matrix);
  const rebuild = (name: string) => pickle.name("torch._utils", name);
  const state = pickle.dict([pickle.text("_metadata"), orderedDict]);
  const entries = pickle.dict(
    [pickle.text("a"), pickle.call(rebuild("_rebuild_parameter"), tensor, pickle.no, orderedDict)],
    [
      pickle.text("b"),
      pickle.call(rebuild("_rebuild_parameter_with_state"), tensor, pickle.no, orderedDict, state),
    ],
    [pickle.text("step"), pickle.integer(-7)],
    [pickle.integer(3), pickle.list(pickle.none)],
  );
  // An OrderedDict with items set and a state, as torch.save writes a model's state_dict.
  const items = Buffer.concat([entries.subarray(1)]);
  const data = pickle.whole(orderedDict, items, state, Buffer.from("b"));
  const values = [1, 2, 3, 4, 5, 6];
  assert.deepEqual(await readTorchBytes(torchBytes(data, { 0: six })), { a: values, b: values });
});

test("protocol 4: short texts, frames, names from the stack, a memo without numbers", async () => {
  const short = (text: string) =>
    Buffer.concat([Buffer.from([0x8c, text.length]), Buffer.from(text)]);
  const named = (module: string, name: string) =>
    Buffer.concat([
      short(module),
      Buffer.from([0x94]),
      short(name),
      Buffer.from([0x94, 0x93, 0x94]),
    ]);
  const tuple = pickle.tuple(
    pickle.text("storage"),
    named("torch", "FloatStorage"),
    short("0"),
    short("cpu"),
    pickle.integer(6),
  );
  const tensor = pickle.call(
    named("torch._utils", "_rebuild_tensor_v2"),
    Buffer.concat([tuple, Buffer.from("Q")]),
    pickle.integer(0),
    Buffer.from([0x4b, 6, 0x85]),
    Buffer.from([0x4b, 1, 0x85, 0x94]),
    pickle.no,
    named("collections", "OrderedDict"),
  );
  const body = Buffer.concat([pickle.dict([short("w"), tensor]), Buffer.from(".")]);
  const frame = Buffer.alloc(9, 0x95);
  frame.writeBigUInt64LE(BigInt(body.length), 1);
  const data = Buffer.concat([Buffer.from([0x80, 4]), frame, body]);
  assert.deepEqual(await readTorchBytes(torchBytes(data, { 0: six })), { w: [1, 2, 3, 4, 5, 6] });
});

test("zip64, as files over 4 GB have it", async () => {
  const entries = [
    { name: "pytorch_model/data.pkl", bytes: torchViews({ w: matrix }) },
    { name: "pytorch_model/data/0", bytes: six },
  ];
  assert.deepEqual(await readTorchBytes(zipOf(entries, true)), { w: [1, 2, 3, 4, 5, 6] });
});

test("a storage with another checksum than the zip says is refused when it is read", async () => {
  await using dir = await TempDir.make();
  const entries = [
    { name: "archive/data.pkl", bytes: torchViews({ w: matrix }) },
    { name: "archive/data/0", bytes: six, crc: 1 },
  ];
  await using weights = await openTorchBytes(dir, zipOf(entries));
  const expected = { code: "weights_invalid", message: /pytorch_model\.bin: tensor w: .*checksum/ };
  await assert.rejects(weights.read("w"), expected);
});

const good = torchViews({ w: matrix });
const data = { name: "archive/data.pkl", bytes: good };
const entry = { name: "archive/data/0", bytes: six };

const zips: readonly [what: string, bytes: Buffer, says: RegExp][] = [
  ["no bytes", Buffer.alloc(0), /neither a zip/],
  ["text", Buffer.from("hello, world"), /neither a zip/],
  ["a pointer of Git LFS", Buffer.from("version https://git-lfs.github.com/spec/v1\n"), /Git LFS/],
  ["another pickle", pickle.whole(pickle.integer(0)), /neither a zip.*before 1\.6/],
  ["the start of a zip only", zipOf([data, entry]).subarray(0, 100), /the zip is damaged/],
  ["no pickle", zipOf([entry]), /0 entries NAME\/data\.pkl/],
  ["two pickles", zipOf([data, { ...data, name: "other/data.pkl" }]), /2 entries/],
  ["an entry twice", zipOf([data, entry, entry]), /"archive\/data\/0" twice/],
  ["a name that leaves the folder", zipOf([data, { ...entry, name: "../x" }]), /damaged.*\.\.\/x/],
  ["an absolute name", zipOf([data, { ...entry, name: "/x" }]), /damaged.*\/x/],
  [
    "a name with backslashes",
    zipOf([data, { ...entry, name: "..\\x" }]),
    /damaged.*invalid characters/,
  ],
  [
    "a compressed entry",
    zipOf([data, { ...entry, method: 8 }]),
    /archive\/data\/0 is compressed \(8\)/,
  ],
  [
    "a compressed pickle",
    zipOf([{ ...data, method: 12 }, entry]),
    /archive\/data\.pkl is compressed/,
  ],
  ["an encrypted entry", zipOf([data, { ...entry, flags: 1 }]), /size mismatch|encrypted/],
  [
    "a pickle that is damaged",
    zipOf([{ ...data, crc: 5 }, entry]),
    /data\.pkl has another checksum/,
  ],
  [
    "an entry longer than the file",
    zipOf([data, { ...entry, length: 2 ** 31 }]),
    /damaged: archive\/data\/0: file data overflows/,
  ],
  ["a pickle of a gigabyte", zipOf([{ ...data, length: 2 ** 30 }, entry]), /overflows/],
  [
    "an entry of another place",
    zipOf([data, { ...entry, localOffset: 7 }]),
    /invalid local file header/,
  ],
  ["a place behind the end", zipOf([data, { ...entry, localOffset: 2 ** 31 }]), /damaged/],
  [
    "a program and no weights",
    zipOf([data, entry, { name: "archive/constants.pkl", bytes: good }]),
    /TorchScript/,
  ],
];

for (const [what, bytes, says] of zips) {
  test(`refuses a file that is, or has, ${what}`, async () => {
    await assertTorchRefused(bytes, says);
  });
}

test("more entries than a model has are refused before they are read", async () => {
  const bytes = zipOf([data, entry], true);
  // The number of entries in the zip64 record.
  const at = bytes.lastIndexOf(Buffer.from("PK\x06\x06")) + 32;
  bytes.writeBigUInt64LE(10_000_000n, at);
  await assertTorchRefused(bytes, /10000000 entries; the limit is 200000/);
});

test("a file that is cut anywhere is refused", async () => {
  const bytes = torchBytes(good, { 0: six });
  for (let length = 0; length < bytes.length; length += 5) {
    await assertTorchRefused(bytes.subarray(0, length), /./);
  }
});

const fours = floatBytes([7, 8, 9, 10]);
const second: TorchView = { key: "94032", elements: 4, shape: [2], strides: [2] };
const twoStorages = torchViews({ w: matrix, v: second });
const legacy = legacyTorchBytes(twoStorages, { 94032: fours, 0: six });

test("the format before PyTorch 1.6, which had no zip", async () => {
  assert.deepEqual(await readTorchBytes(legacy), { w: [1, 2, 3, 4, 5, 6], v: [7, 9] });
});

test("a file of the format before 1.6 that is cut anywhere is refused", async () => {
  for (let length = 0; length < legacy.length; length += 3) {
    await assertTorchRefused(legacy.subarray(0, length), /./);
  }
});

const keyList = pickle.list(pickle.text("0"), pickle.text("94032"));
/** The same file with another part in the place of one of its own. */
function changed(part: Buffer, other: Buffer): Buffer {
  const at = legacy.indexOf(part);
  assert.ok(at > 0);
  return Buffer.concat([legacy.subarray(0, at), other, legacy.subarray(at + part.length)]);
}
const count = Buffer.alloc(8);
count.writeBigUInt64LE(4n);
/** The last storage with its count. */
const last = Buffer.concat([count, fours]);

const lies: readonly [what: string, bytes: () => Buffer, says: RegExp][] = [
  ["another version", () => changed(pickle.integer(1001), pickle.integer(1002)), /version 1002/],
  [
    "a machine that wants os.system",
    () => changed(pickle.text("little_endian"), pickle.name("os", "system")),
    /"os\.system"/,
  ],
  ["no list of storages", () => changed(keyList, pickle.integer(1)), /no list of storages/],
  [
    "a storage twice",
    () => changed(keyList, pickle.list(pickle.text("0"), pickle.text("0"))),
    /storage "0" twice/,
  ],
  [
    "a storage that no tensor has",
    () => changed(keyList, pickle.list(pickle.text("0"), pickle.text("1"))),
    /storage of which no tensor speaks/,
  ],
  [
    "a storage that is not listed",
    () => changed(keyList, pickle.list(pickle.text("0"))).subarray(0, -last.length),
    /"v" is in storage "94032", which the file lacks/,
  ],
  [
    "elements past every number",
    () => changed(last, Buffer.concat([Buffer.alloc(8, 255), fours])),
    /ends inside storage "94032"/,
  ],
  [
    "fewer elements than a tensor looks at",
    () => Buffer.concat([changed(last, Buffer.alloc(8))]),
    /"v": its storage is said to have 4 F32 elements, 16 bytes; storage "94032" has 0/,
  ],
  ["bytes at its end", () => Buffer.concat([legacy, six]), /24 bytes follow/],
];

for (const [what, bytes, says] of lies) {
  test(`refuses a file of the format before 1.6 with ${what}`, async () => {
    await assertTorchRefused(bytes(), says);
  });
}
