import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { readInferMessage } from "#src/front/inference-v2/grpc-infer.js";
import { resolveConfiguration } from "#src/options/resolve.js";

const { options } = resolveConfiguration({ code: {} });

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 127; left = Math.floor(left / 128)) bytes.push((left & 127) | 128);
  return Buffer.from([...bytes, left]);
}

function field(number: number, bytes: Buffer | string): Buffer {
  const content = Buffer.from(bytes);
  return Buffer.concat([varint((number << 3) | 2), varint(content.length), content]);
}

const many = (bytes: readonly number[], count: number): Buffer =>
  Buffer.alloc(bytes.length * count, Buffer.from(bytes));
const tensor = (...parts: readonly Buffer[]): Buffer =>
  field(5, Buffer.concat([field(1, "a"), field(2, "INT32"), ...parts]));

test("defect: a message of two million tiny fields took gigabytes and stopped everything for seconds", async () => {
  const count = 70_000;
  const hostile: Readonly<Record<string, Buffer>> = {
    "empty contents": tensor(field(3, Buffer.from([1])), many([0x2a, 0], count)),
    "axes one by one": tensor(many([0x18, 1], count)),
    "empty parameters": many([0x22, 0], count),
    "names of one parameter": field(4, many([0x0a, 0], count)),
    ids: many([0x1a, 0], count),
    "fields that nobody knows": many([0x78, 1], count),
  };
  for (const [name, bytes] of Object.entries(hostile)) {
    await assert.rejects(
      readInferMessage(bytes, options),
      (error) => error instanceof MillraceError && /too many fields/.test(error.message),
      name,
    );
  }
  const axes = readInferMessage(tensor(field(3, Buffer.alloc(count, 1))), options);
  await assert.rejects(axes, /its shape has 17 axes/);
});

test("elements of a tensor are no fields: old writers send them one by one", async () => {
  const count = 70_000;
  const contents = field(5, many([0x10, 7], count));
  const read = await readInferMessage(tensor(field(3, varint(count)), contents), options);
  const found = read.inputs.list[0];
  assert.deepEqual(found?.shape, [count]);
  assert.deepEqual(found?.data, new Int32Array(count).fill(7));
});
