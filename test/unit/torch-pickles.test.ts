/** Pickles that want something of the machine, and pickles that lie. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  floatBytes,
  orderedDict,
  pickle,
  storagePickle,
  type TorchView,
  tensorPickle,
  torchBytes,
  torchViews,
} from "../support/torch-bytes.js";
import { assertTorchRefused, readTorchBytes } from "../support/torch-files.js";

const six = floatBytes([1, 2, 3, 4, 5, 6]);
const matrix: TorchView = { elements: 6, shape: [2, 3], strides: [3, 1] };

const good = torchViews({ w: matrix });
const shell = pickle.text("touch /tmp/run-by-a-pickle");
const opcode = (...bytes: readonly number[]): Buffer => Buffer.from(bytes);
const view = (change: Partial<TorchView>): Buffer => torchViews({ w: { ...matrix, ...change } });
const storage = storagePickle(matrix);
const rebuild = pickle.name("torch._utils", "_rebuild_tensor_v2");
const repeat = (part: Buffer, count: number): Buffer => Buffer.alloc(part.length * count, part);

/** Pickles that want something, or lie; each in a good zip. */
const pickles: readonly [what: string, data: Buffer, says: RegExp][] = [
  [
    "os.system",
    pickle.whole(pickle.call(pickle.name("os", "system"), shell)),
    /wants "os\.system".*nothing of it was run/,
  ],
  [
    "posix.system",
    pickle.whole(pickle.call(pickle.name("posix", "system"), shell)),
    /"posix\.system"/,
  ],
  [
    "builtins.eval",
    pickle.whole(pickle.call(pickle.name("builtins", "eval"), shell)),
    /"builtins\.eval"/,
  ],
  [
    "eval of Python 2",
    pickle.whole(pickle.call(pickle.name("__builtin__", "eval"), shell)),
    /"__builtin__\.eval"/,
  ],
  ["getattr", pickle.whole(pickle.name("builtins", "getattr")), /"builtins\.getattr"/],
  [
    "a name without a call",
    pickle.whole(pickle.name("subprocess", "Popen"), Buffer.from("0"), orderedDict),
    /"subprocess\.Popen"/,
  ],
  [
    "os.system from the stack",
    pickle.whole(
      pickle.text("os"),
      pickle.text("system"),
      opcode(0x93),
      pickle.tuple(shell),
      Buffer.from("R"),
    ),
    /"os\.system"/,
  ],
  [
    "a name in another's clothes",
    pickle.whole(pickle.name("torch._utils._rebuild_tensor_v2.os", "system")),
    /_v2\.os\.system"/,
  ],
  [
    "a name with a line in it",
    pickle.whole(pickle.text("torch\nos"), pickle.text("system"), opcode(0x93)),
    /"torch\\nos\.system"/,
  ],
  [
    "a name of no text",
    pickle.whole(pickle.integer(1), pickle.integer(2), opcode(0x93)),
    /no text/,
  ],
  [
    "INST",
    pickle.whole(Buffer.from("("), shell, Buffer.from("ios\nsystem\n")),
    /opcode 0x69.*INST/,
  ],
  [
    "OBJ",
    pickle.whole(Buffer.from("("), pickle.name("torch", "Size"), shell, Buffer.from("o")),
    /opcode 0x6f.*OBJ/,
  ],
  ["NEWOBJ", pickle.whole(pickle.name("torch", "Size"), pickle.tuple(), opcode(0x81)), /NEWOBJ/],
  ["EXT1", pickle.whole(opcode(0x82, 1)), /EXT1/],
  ["PERSID", pickle.whole(Buffer.from("Pstorage\n")), /PERSID/],
  ["protocol 0", Buffer.from("cos\nsystem\n(S'ls'\ntR."), /"os\.system"/],
  [
    "a call of a type",
    pickle.whole(pickle.call(pickle.name("torch", "FloatStorage"), pickle.integer(1))),
    /torch\.FloatStorage, which is only a type/,
  ],
  ["a call of a text", pickle.whole(shell, pickle.tuple(), Buffer.from("R")), /calls "touch/],
  [
    "a call with a list",
    pickle.whole(pickle.name("torch", "Size"), pickle.list(), Buffer.from("R")),
    /with a list/,
  ],
  [
    "BUILD of a tensor",
    pickle.whole(tensorPickle(matrix), pickle.dict(), Buffer.from("b")),
    /state \(BUILD\) of a object/,
  ],
  [
    "BUILD with a tuple",
    pickle.whole(orderedDict, pickle.tuple(), Buffer.from("b")),
    /state \(BUILD\)/,
  ],
  [
    "a dict of a number",
    pickle.whole(pickle.call(pickle.name("collections", "OrderedDict"), pickle.integer(1))),
    /OrderedDict/,
  ],
  [
    "a dict of triples",
    pickle.whole(
      pickle.call(
        pickle.name("collections", "OrderedDict"),
        pickle.list(pickle.tuple(pickle.none, pickle.none, pickle.none)),
      ),
    ),
    /list of pairs/,
  ],
  ["a tensor of a text", pickle.whole(pickle.call(rebuild, shell)), /makes a tensor of "touch/],
  ["a tensor of nothing", pickle.whole(pickle.call(rebuild)), /makes a tensor of None/],
  [
    "a tensor without a shape",
    pickle.whole(pickle.call(rebuild, storage, pickle.integer(0))),
    /shape of a tensor is None/,
  ],
  [
    "a shape of a text",
    pickle.whole(pickle.call(rebuild, storage, pickle.integer(0), shell, shell)),
    /shape of a tensor is "touch/,
  ],
  [
    "a shape of texts",
    pickle.whole(
      pickle.call(rebuild, storage, pickle.integer(0), pickle.tuple(shell), pickle.tuple(shell)),
    ),
    /shape of a tensor is "touch/,
  ],
  [
    "a parameter of nothing",
    pickle.whole(pickle.call(pickle.name("torch._utils", "_rebuild_parameter"))),
    /of nothing/,
  ],
  ["a persistent id that is a text", pickle.whole(shell, Buffer.from("Q")), /refers to "touch/],
  [
    "a persistent id of a module",
    pickle.whole(pickle.tuple(pickle.text("module")), Buffer.from("Q")),
    /refers to a tuple/,
  ],
  [
    "a storage of a function",
    pickle.whole(
      pickle.tuple(
        pickle.text("storage"),
        rebuild,
        pickle.text("0"),
        pickle.text("cpu"),
        pickle.integer(6),
      ),
      Buffer.from("Q"),
    ),
    /a storage of torch\._utils/,
  ],
  [
    "a storage without a key",
    pickle.whole(
      pickle.tuple(
        pickle.text("storage"),
        pickle.name("torch", "FloatStorage"),
        pickle.integer(0),
        pickle.text("cpu"),
        pickle.integer(6),
      ),
      Buffer.from("Q"),
    ),
    /without a name/,
  ],
  [
    "a storage that the zip lacks",
    view({ key: "1" }),
    /"w" is in storage "1", which the file lacks/,
  ],
  [
    "a storage out of the archive",
    view({ key: "../data.pkl" }),
    /storage "\.\.\/data\.pkl", which the file lacks/,
  ],
  ["a storage of an absolute path", view({ key: "/etc/passwd" }), /which the file lacks/],
  [
    "more elements than the entry has",
    view({ elements: 7 }),
    /"w".*7 F32 elements, 28 bytes; archive\/data\/0 has 24/,
  ],
  ["fewer elements than the entry has", view({ elements: 5 }), /5 F32 elements/],
  ["another type than the entry's", view({ type: "DoubleStorage" }), /6 F64 elements, 48 bytes/],
  ["elements past every number", view({ elements: 2 ** 53 - 1 }), /its storage is said to have/],
  ["negative elements", view({ elements: -6 }), /number of elements of storage 0.*-6/],
  [
    "a shape over the storage",
    view({ shape: [2, 4], strides: [4, 1] }),
    /"w" looks beyond its storage of 6/,
  ],
  ["an offset over the storage", view({ offset: 1 }), /looks beyond.*offset 1/],
  ["strides over the storage", view({ strides: [4, 1] }), /looks beyond/],
  [
    "a shape past every number",
    view({ shape: [2 ** 52, 2 ** 52], strides: [1, 1] }),
    /looks beyond/,
  ],
  ["a value repeated without end", view({ shape: [2 ** 40], strides: [0] }), /looks beyond/],
  ["a negative size", view({ shape: [-2, 3] }), /shape of a tensor is -2/],
  ["a negative stride", view({ strides: [-3, 1] }), /strides of a tensor is -3/],
  ["a negative offset", view({ offset: -1 }), /offset of a tensor is -1/],
  ["other axes than strides", view({ strides: [1] }), /2 sizes and 1 strides/],
  ["a hundred axes", view({ shape: Array(100).fill(1), strides: Array(100).fill(1) }), /100 axes/],
  ["a number for a state_dict", pickle.whole(pickle.integer(1)), /is 1 and no dict/],
  ["a list for a state_dict", pickle.whole(pickle.list()), /a list and no dict/],
  [
    "a dict in a dict",
    pickle.whole(pickle.dict([pickle.text("state_dict"), orderedDict])),
    /no tensors; it has state_dict/,
  ],
  ["an empty dict", pickle.whole(pickle.dict()), /no tensors; it has nothing/],
  [
    "a tensor as a key",
    pickle.whole(pickle.dict([tensorPickle(matrix), pickle.none])),
    /a object as a key/,
  ],
  [
    "a key without a value",
    pickle.whole(Buffer.from("}("), shell, Buffer.from("u")),
    /key without a value/,
  ],
  ["no bytes", Buffer.alloc(0), /ends at 0/],
  ["no end", good.subarray(0, -1), /but ends at/],
  ["values to spare", pickle.whole(pickle.none, pickle.none), /values to spare/],
  ["an empty stack", pickle.whole(), /stack is empty/],
  ["a mark as a value", pickle.whole(Buffer.from("(")), /stack is empty/],
  ["no mark", pickle.whole(Buffer.from("t")), /no mark/],
  ["a memo with nothing", pickle.whole(opcode(0x68, 3)), /memo has nothing at 3/],
  ["protocol 9", Buffer.from([0x80, 9, 0x2e]), /protocol 9/],
  ["a text of 4 GB", pickle.whole(opcode(0x58, 255, 255, 255, 255)), /text of 4294967295 bytes/],
  [
    "a text of 16 EB",
    pickle.whole(opcode(0x8d, ...Array(8).fill(255))),
    /text of 18446744073709552000 bytes/,
  ],
  ["bytes of 4 GB", pickle.whole(opcode(0x42, 255, 255, 255, 255)), /4294967295 bytes at byte/],
  [
    "an integer of 200 bytes",
    pickle.whole(opcode(0x8a, 200), Buffer.alloc(200)),
    /integer of 200 bytes/,
  ],
  [
    "an integer of 4 GB",
    pickle.whole(opcode(0x8b, 255, 255, 255, 255)),
    /integer of 4294967295 bytes/,
  ],
  ["a text that is not UTF-8", pickle.whole(opcode(0x58, 1, 0, 0, 0, 0xff)), /not UTF-8/],
  ["a name that does not end", pickle.whole(Buffer.from("cos")), /name that does not end/],
  ["a million marks", pickle.whole(Buffer.alloc(1_000_000, "(")), /stack is over/],
  ["two million lists", pickle.whole(repeat(Buffer.from("]0"), 2_000_000)), /over 1000000 values/],
  [
    "a memo without end",
    pickle.whole(pickle.none, Buffer.alloc(2_000_000, 0x94)),
    /memo is over 1000000/,
  ],
  ["an append to a text", pickle.whole(shell, pickle.none, Buffer.from("a")), /appends to "touch/],
  [
    "an item of a list",
    pickle.whole(pickle.list(), shell, pickle.none, Buffer.from("s")),
    /sets items of a list/,
  ],
];

for (const [what, data, says] of pickles) {
  test(`refuses a pickle with ${what}`, async () => {
    await assertTorchRefused(torchBytes(data, { 0: six }), says);
  });
}

test("deep and cyclic pickles are only values", async () => {
  // A list in a list, a hundred thousand deep, and a dict that contains itself.
  const deep = Buffer.concat([repeat(Buffer.from("]"), 90_000), repeat(Buffer.from("a"), 89_999)]);
  const cycle = Buffer.concat([
    Buffer.from("}"),
    opcode(0x71, 0),
    shell,
    opcode(0x68, 0),
    Buffer.from("s"),
  ]);
  const entries = pickle.dict(
    [pickle.text("deep"), deep],
    [pickle.text("cycle"), cycle],
    [pickle.text("w"), tensorPickle(matrix)],
  );
  assert.deepEqual(await readTorchBytes(torchBytes(pickle.whole(entries), { 0: six })), {
    w: [1, 2, 3, 4, 5, 6],
  });
  const self = pickle.whole(Buffer.from("]"), opcode(0x71, 0), opcode(0x68, 0), Buffer.from("a"));
  await assertTorchRefused(torchBytes(self, { 0: six }), /a list and no dict/);
});
