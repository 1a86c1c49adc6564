/** Tensors as JSON and as bytes, both ways, for every type; and what is none. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  isErrorCode,
  MillraceError,
  type TensorDatatype,
  tensorDatatypes,
} from "millrace-client/wire";
import { rawBytes, rawTensor } from "#src/front/inference-v2/raw-tensors.js";
import { parseObject, parseSteps, tensorBody } from "#src/work/json-object.js";
import { readShape, readTensorJson, tensorDataParts } from "#src/work/tensor-json.js";
import { type NamedTensor, textsOf } from "#src/work/tensors.js";
import { Random } from "../sim/random.js";

const of = { name: "x", param: "inputs[0]" };

/** As a body has it: what is between the brackets is JSON text. */
function fromText(datatype: TensorDatatype, data: string, shape?: unknown): NamedTensor {
  const { content } = parseObject(`{"content":${data}}`, tensorBody);
  return drained(readTensorJson({ ...of, datatype, shape, content }));
}

/** Without the pauses. */
function drained<Result>(steps: Generator<undefined, Result>): Result {
  for (;;) {
    const next = steps.next();
    if (next.done === true) return next.value;
  }
}

const textOf = (tensor: NamedTensor): string => [...tensorDataParts(tensor, 100_000)].join("");

function fails(work: () => unknown, says: RegExp, code = "tensor_invalid"): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof MillraceError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, says);
    return true;
  });
}

/** What goes in, and what comes out where that is something else. */
const round: Readonly<Record<TensorDatatype, readonly [sent: string, comes?: string]>> = {
  BOOL: ["[true,false]"],
  UINT8: ["[0,255]"],
  UINT16: ["[0,65535]"],
  UINT32: ["[0,4294967295]"],
  UINT64: ["[0,18446744073709551615,9007199254740993]"],
  INT8: ["[-128,127]"],
  INT16: ["[-32768,32767]"],
  INT32: ["[-2147483648,2147483647]"],
  INT64: ["[-9223372036854775808,9223372036854775807,-1,-4294967297,9007199254740993]"],
  FP16: ["[0.5,-2,65504,6e-8,0.333]", "[0.5,-2,65504,5.960464477539063e-8,0.3330078125]"],
  FP32: ["[0.5,-1e30,12345678901234567]", "[0.5,-1e+30,12345678000000000]"],
  FP64: ["[0.1,1e300,12345678901234567]", "[0.1,1e+300,12345678901234568]"],
  BF16: ["[1]"],
  BYTES: ['["a","","€ \\" 1234567890123456789"]'],
};

describe("every type", () => {
  for (const datatype of tensorDatatypes.filter((each) => each !== "BF16")) {
    const [sent, comes = sent] = round[datatype];
    test(`${datatype} as JSON and as bytes comes back as it was`, () => {
      const tensor = fromText(datatype, sent);
      assert.equal(textOf(tensor), comes);
      const raw = rawBytes(tensor);
      const again = rawTensor(Buffer.concat([Buffer.alloc(3), raw]).subarray(3), {
        ...of,
        ...tensor,
      });
      assert.equal(textOf(again), comes);
      fails(() => rawTensor(raw.subarray(1), { ...of, ...tensor }), /tensor "x"/);
      fails(() => rawTensor(Buffer.concat([raw, raw]), { ...of, ...tensor }), /tensor "x"/);
    });
  }

  test("BF16 goes as bytes, and has no JSON", () => {
    fails(() => fromText("BF16", "[1]"), /element 0 is no BF16/);
    const raw = Buffer.from([0x80, 0x3f]);
    const tensor = rawTensor(raw, { ...of, datatype: "BF16", shape: [1] });
    assert.deepEqual(rawBytes(tensor), raw);
  });

  test("every half is the half that it was, and the nearest number's", () => {
    const bits = Uint16Array.from({ length: 65_536 }, (_, at) => at);
    const halves: NamedTensor = { name: "x", datatype: "FP16", shape: [65_536], data: bits };
    const text = textOf(halves);
    const finite = (JSON.parse(text) as (number | null)[]).flatMap((value, at) =>
      value === null ? [] : ([[value, at]] as const),
    );
    assert.equal(finite.length, 65_536 - 2 * 1_024);
    const content = finite.map(([value]) => value);
    const back = drained(readTensorJson({ ...of, datatype: "FP16", shape: undefined, content }));
    // JSON has no minus zero.
    for (const [place, [, at]] of finite.entries())
      assert.equal(back.data[place], at === 0x8000 ? 0 : at);
  });
});

describe("what a type cannot hold is refused", () => {
  const refused: readonly [TensorDatatype, string][] = [
    ["BOOL", "[1]"],
    ["UINT8", "[256]"],
    ["UINT8", "[-1]"],
    ["INT8", "[1.5]"],
    ["INT8", "[128]"],
    ["INT32", "[2147483648]"],
    ["INT32", "[12345678901234567890]"],
    ["INT64", "[9223372036854775808]"],
    ["INT64", "[1e30]"],
    ["INT64", "[0.5]"],
    ["INT64", '["one"]'],
    ["UINT64", "[-1]"],
    ["UINT64", "[18446744073709551616]"],
    ["FP16", "[65520]"],
    ["FP32", "[1e39]"],
    ["FP32", '["1"]'],
    ["FP64", "[1e999]"],
    ["FP64", "[null]"],
    ["FP64", "[{}]"],
    ["BYTES", "[1]"],
  ];
  for (const [datatype, data] of refused) {
    test(`${data} is no ${datatype}`, () =>
      fails(
        () => fromText(datatype, data),
        new RegExp(`^tensor "x": element 0 is no ${datatype}`),
      ));
  }

  test("a lone surrogate is no text", () =>
    fails(() => fromText("BYTES", '["\\ud800"]'), /lone surrogate/, "bad_encoding"));
});

describe("shapes", () => {
  test("nested and flat are the same, and a scalar stands alone", () => {
    const nested = fromText("INT32", "[[[1,2]],[[3,4]]]");
    assert.deepEqual(nested.shape, [2, 1, 2]);
    assert.deepEqual(fromText("INT32", "[1,2,3,4]", [2, 1, 2]), nested);
    assert.deepEqual(fromText("INT32", "[[[1,2]],[[3,4]]]", [2, 1, 2]), nested);
    assert.deepEqual(fromText("INT32", "7").shape, []);
    assert.deepEqual(fromText("INT32", "[7]", []).shape, []);
    assert.deepEqual(fromText("INT32", "[[],[]]").shape, [2, 0]);
    assert.deepEqual(fromText("INT32", "[]", [0, 5]).shape, [0, 5]);
  });

  const refused: readonly [data: string, shape: unknown, says: RegExp][] = [
    ["[1,2,3]", [2, 2], /\[2, 2\] has 4 elements, its data have 3/],
    ["[1]", [1e9, 1e9], /more elements than there are numbers/],
    ["[1]", [2_000_000_000], /has 2000000000 elements, its data have 1/],
    ["[1]", [-1], /axis 0 of its shape must be an integer/],
    ["[1]", [1.5], /axis 0/],
    ["[1]", ["1"], /axis 0/],
    ["[1]", [4294967296], /axis 0/],
    ["[1]", Array<number>(17).fill(1), /17 axes/],
    ["[1]", 1, /must be a list/],
    ["[1]", null, /must be a list, not null/],
    ["[[1,2],[3]]", undefined, /nested unevenly/],
    ["[[1,2],3]", undefined, /nested unevenly/],
    ["[[1],[[2]]]", undefined, /a list among elements/],
    ["[1,[2]]", undefined, /a list among elements/],
    ["[[1,2]]", [2, 1], /nested as \[1, 2\], its shape is \[2, 1\]/],
    [`${"[".repeat(17)}1${"]".repeat(17)}`, undefined, /nested deeper than 16/],
    [`[[${"1,".repeat(999)}1]${",[]".repeat(999)}]`, undefined, /nested unevenly/],
  ];
  for (const [data, shape, says] of refused) {
    test(`${data.slice(0, 30)} with shape ${JSON.stringify(shape)?.slice(0, 30)}`, () =>
      fails(() => fromText("INT32", data, shape), says));
  }

  test("what is nested eight levels is read, and a shape is a list of sizes", () => {
    assert.deepEqual(
      fromText("INT8", `${"[".repeat(8)}1${"]".repeat(8)}`).shape,
      Array<number>(8).fill(1),
    );
    assert.deepEqual(readShape([0, 2_147_483_647], of), [0, 2_147_483_647]);
  });
});

describe("texts as bytes", () => {
  const texts = (...parts: readonly (readonly [length: number, content: string])[]): Buffer =>
    Buffer.concat(
      parts.map(([length, content]) => {
        const head = Buffer.alloc(4);
        head.writeUInt32LE(length);
        return Buffer.concat([head, Buffer.from(content, "latin1")]);
      }),
    );
  const read = (bytes: Buffer, shape: readonly number[]): NamedTensor =>
    rawTensor(bytes, { ...of, datatype: "BYTES", shape });

  test("are read one by one", () => {
    assert.deepEqual(textsOf(read(texts([1, "a"], [0, ""], [2, "\xc3\xa9"]), [3])), ["a", "", "é"]);
  });

  test("lying lengths and what is no UTF-8 are refused", () => {
    fails(() => read(texts([5, "a"]), [1]), /text 0 is longer/);
    fails(() => read(texts([4_294_967_295, "a"]), [1]), /text 0 is longer/);
    fails(() => read(texts([1, "a"], [1, "b"]), [1]), /5 bytes of its data belong to no text/);
    fails(() => read(texts([1, "a"]), [2]), /has 2 texts/);
    fails(() => read(Buffer.alloc(0), [2_000_000_000]), /has 2000000000 texts/);
    // Together they are a letter; alone neither is.
    fails(() => read(texts([1, "\xc3"], [1, "\xa9"]), [2]), /text 1 is not UTF-8/);
    fails(() => read(texts([1, "\xc3"], [1, "a"]), [2]), /its texts are not UTF-8/);
  });
});

test("what is too large for JSON is refused by name, and long lists of texts are whole", () => {
  const texts = Array.from({ length: 40_000 }, (_, at) => "é".repeat(at % 3));
  const json = { ...of, datatype: "BYTES", shape: undefined, content: texts } as const;
  const tensor = drained(readTensorJson(json));
  assert.deepEqual(JSON.parse(textOf(tensor)), texts);
  fails(
    () => [...tensorDataParts(tensor, 39_999)],
    /tensor "x": the output has 40000 elements; as JSON at most 39999/,
  );
});

test("defect: a long list is read in steps, flat or nested, and so is its text before it is parsed", () => {
  const texts = Array.from(
    { length: 100_000 },
    (_, at) => ["", "é", "\u4e16", "abc"][at % 4] ?? "",
  );
  const nested = Array.from({ length: 1_000 }, (_, row) => texts.slice(100 * row, 100 * row + 100));
  for (const [content, shape] of [
    [texts, [100_000]],
    [nested, [1_000, 100]],
  ] as const) {
    const steps = readTensorJson({ ...of, datatype: "BYTES", shape, content });
    let pauses = 0;
    let next = steps.next();
    for (; next.done !== true; next = steps.next()) pauses += 1;
    assert.ok(pauses >= 5, `${pauses} pauses`);
    assert.deepEqual(textsOf(next.value), texts);
  }
  // The place of a mistake is that in all of them.
  const wrongOne = texts.map((text, at) => (at === 77_777 ? 5 : text));
  const broken = readTensorJson({ ...of, datatype: "BYTES", shape: [100_000], content: wrongOne });
  fails(() => drained(broken), /element 77777 is no BYTES: 5/);
  const parsing = parseSteps(JSON.stringify({ a: Array(400_000).fill("a") }), tensorBody);
  assert.ok([...parsing].length >= 6);
});

test("attack: whatever JSON says, it is a tensor or it is refused by name", () => {
  const random = new Random(7);
  const pieces = [
    "[",
    "]",
    ",",
    "1",
    "-",
    "1e9",
    '"a"',
    "null",
    "true",
    "{}",
    "0.5",
    "9".repeat(20),
  ];
  for (let seed = 0; seed < 3_000; seed += 1) {
    const text = Array.from({ length: random.int(1, 9) }, () => random.pick(pieces)).join("");
    const datatype = random.pick([...tensorDatatypes]);
    const shape = random.chance(0.5)
      ? undefined
      : Array.from({ length: random.int(0, 3) }, () => random.int(0, 3));
    try {
      const tensor = fromText(datatype, text, shape);
      assert.equal(
        tensor.lengths?.length ?? tensor.data.length,
        tensor.shape.reduce((product, size) => product * size, 1),
      );
    } catch (error) {
      assert.ok(
        error instanceof MillraceError && isErrorCode(error.code),
        `${datatype} ${text}: ${String(error)}`,
      );
      assert.notEqual(error.code, "internal");
    }
  }
});

test("attack: a million lists, levels and keys are refused before they are parsed", () => {
  const refused: readonly [string, RegExp][] = [
    [`{"a":[${"[1],".repeat(200_000)}[1]]}`, /more than 131072 lists/],
    [`{"a":${"[".repeat(1_000_000)}`, /nests deeper than 32/],
    [`{${'"a":1,'.repeat(200_000)}"a":1}`, /more than 16384 keys/],
  ];
  for (const [text, says] of refused)
    fails(() => parseObject(text, tensorBody), says, "bad_request");
});

test("wide integers are kept only where they are numbers of their own", () => {
  const read = (text: string): unknown => parseObject(text, tensorBody)["a"];
  assert.deepEqual(read('{"a":[12345678901234567,-12345678901234567]}'), [
    "12345678901234567",
    "-12345678901234567",
  ]);
  assert.deepEqual(read('{"a":[1.2345678901234567,9876543210987654.5,1e-1234567890123456]}'), [
    1.2345678901234567,
    Number("9876543210987654.5"),
    0,
  ]);
  assert.equal(read('{"a":"x\\"12345678901234567, 1"}'), 'x"12345678901234567, 1');
  assert.deepEqual(read('{"12345678901234567":1,"a":[1234567890123456]}'), ["1234567890123456"]);
  assert.equal(parseObject('{"a":12345678901234567}')["a"], 12345678901234568);
});
