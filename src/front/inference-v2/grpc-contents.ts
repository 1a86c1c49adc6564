/** A tensor's typed contents, as protobuf has them: of each datatype in the list that is its own, both ways. */
import type { TensorDatatype } from "millrace-client/wire";
import { elementsOf, type TensorData, tensorArrays } from "../../work/payload.js";
import { wrong } from "../../work/tensor-json.js";
import { type NamedTensor, shapeText, tensorTypes } from "../../work/tensors.js";
import { protoWriter } from "./proto-file.js";
import { ProtoReader, tagOf, wire } from "./proto-reader.js";
import { type RawTensor, rawTexts } from "./raw-tensors.js";

interface ContentsList {
  readonly field: number;
  readonly name: string;
  /** As its elements stand in a packed list; null: each by itself. */
  readonly elementBytes: 1 | 4 | 8 | null;
}

const lists = {
  bool: { field: 1, name: "bool_contents", elementBytes: 1 },
  int: { field: 2, name: "int_contents", elementBytes: 1 },
  int64: { field: 3, name: "int64_contents", elementBytes: 1 },
  uint: { field: 4, name: "uint_contents", elementBytes: 1 },
  uint64: { field: 5, name: "uint64_contents", elementBytes: 1 },
  fp32: { field: 6, name: "fp32_contents", elementBytes: 4 },
  fp64: { field: 7, name: "fp64_contents", elementBytes: 8 },
  bytes: { field: 8, name: "bytes_contents", elementBytes: null },
} as const satisfies Readonly<Record<string, ContentsList>>;

const listNames: ReadonlyMap<number, string> = new Map(
  Object.values(lists).map(({ field, name }) => [field, name]),
);

/** Null: there is none, such tensors are sent raw. */
const listOf: Readonly<Record<TensorDatatype, keyof typeof lists | null>> = {
  BOOL: "bool",
  INT8: "int",
  INT16: "int",
  INT32: "int",
  INT64: "int64",
  UINT8: "uint",
  UINT16: "uint",
  UINT32: "uint",
  UINT64: "uint64",
  FP32: "fp32",
  FP64: "fp64",
  FP16: null,
  BF16: null,
  BYTES: "bytes",
};

export function hasContents(datatype: TensorDatatype): boolean {
  return listOf[datatype] !== null;
}

/** Elements that are read without a pause. */
const partElements = 16_384;

/** @throws MillraceError `tensor_invalid`, `bad_request` */
export function* readContents(contents: Buffer, raw: RawTensor): Generator<undefined, NamedTensor> {
  const { name, datatype, shape } = raw;
  const kind = listOf[datatype];
  if (kind === null) throw wrong(raw, `${datatype} has no contents: send it in raw_input_contents`);
  const list: ContentsList = lists[kind];
  const elements = elementsOf(shape);
  // Nothing is allocated by what the shape says before as many bytes are there.
  if (elements * (list.elementBytes ?? 2) > contents.length) throw wrongCount(raw, "fewer");
  if (list.elementBytes === null) return yield* readTexts(contents, list, raw);
  const data = new tensorArrays[tensorTypes[datatype]](elements);
  const write = writerOf(data, raw);
  let at = 0;
  const own = (reader: ProtoReader): void => {
    if (at === elements) throw wrongCount(raw, "more");
    write(reader, at);
    at += 1;
  };
  const reader = new ProtoReader(contents);
  let tags = 0;
  while (reader.left > 0) {
    const { field, type } = reader.tag();
    tags += 1;
    if (!isOwn(field, list, raw)) reader.skip(type);
    // Old writers send a list one by one.
    else if (type !== wire.bytes) own(reader);
    else {
      const packed = new ProtoReader(reader.part());
      while (packed.left > 0) {
        own(packed);
        if (at % partElements === 0) yield;
      }
    }
    if (tags % partElements === 0) yield;
  }
  if (at < elements) throw wrongCount(raw, "fewer");
  return { name, datatype, shape, data };
}

function wrongCount(raw: RawTensor, how: string): Error {
  return wrong(raw, `its contents have ${how} elements than its shape ${shapeText(raw.shape)}`);
}

/** @throws MillraceError `tensor_invalid` where it is the list of another datatype. */
function isOwn(field: number, list: ContentsList, raw: RawTensor): boolean {
  if (field === list.field) return true;
  const other = listNames.get(field);
  if (other === undefined) return false;
  throw wrong(raw, `it is ${raw.datatype}, whose contents are ${list.name}, not ${other}`);
}

/** Made to what they are when they lie raw, which is read elsewhere: as long, for a tag and a length are two bytes at least. */
function* readTexts(
  contents: Buffer,
  list: ContentsList,
  raw: RawTensor,
): Generator<undefined, NamedTensor> {
  const elements = elementsOf(raw.shape);
  const texts = Buffer.allocUnsafe(contents.length + 4 * elements);
  const reader = new ProtoReader(contents);
  let found = 0;
  let at = 0;
  let tags = 0;
  while (reader.left > 0) {
    const { field, type } = reader.tag();
    tags += 1;
    if (tags % partElements === 0) yield;
    if (!isOwn(field, list, raw) || type !== wire.bytes) {
      reader.skip(type);
      continue;
    }
    if (found === elements) throw wrongCount(raw, "more");
    const text = reader.part();
    at = texts.writeUInt32LE(text.length, at);
    at += text.copy(texts, at);
    found += 1;
  }
  if (found < elements) throw wrongCount(raw, "fewer");
  return rawTexts(texts.subarray(0, at), raw, elements);
}

const ranges: Partial<Readonly<Record<TensorDatatype, readonly [min: number, max: number]>>> = {
  BOOL: [0, 1],
  INT8: [-0x80, 0x7f],
  INT16: [-0x8000, 0x7fff],
  UINT8: [0, 0xff],
  UINT16: [0, 0xffff],
};

function writerOf(data: TensorData, raw: RawTensor): (reader: ProtoReader, at: number) => void {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    return (reader, at) => {
      data[at] = reader.uint64();
    };
  }
  if (data instanceof Float32Array) {
    return (reader, at) => {
      data[at] = reader.take(4).readFloatLE();
    };
  }
  if (data instanceof Float64Array) {
    return (reader, at) => {
      data[at] = reader.take(8).readDoubleLE();
    };
  }
  const isSigned = raw.datatype.startsWith("INT");
  const [min, max] = ranges[raw.datatype] ?? [-Infinity, Infinity];
  return (reader, at) => {
    const bits = reader.uint32();
    const value = isSigned ? bits | 0 : bits;
    if (value < min || value > max)
      throw wrong(raw, `element ${at} is no ${raw.datatype}: ${value}`);
    data[at] = value;
  };
}

/** `InferTensorContents` of a tensor that has such a list. */
export function writeContents({ datatype, data, lengths }: NamedTensor): Uint8Array {
  const kind = listOf[datatype];
  if (kind === null) throw new Error(`${datatype} has no contents`);
  const writer = protoWriter();
  const { field } = lists[kind];
  if (lengths !== undefined) {
    let from = 0;
    for (const length of lengths) {
      writer.uint32(tagOf(field)).bytes(data.subarray(from, from + length) as Uint8Array);
      from += length;
    }
    return writer.finish();
  }
  writer.uint32(tagOf(field)).fork();
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    for (const value of data) {
      const bits = BigInt.asUintN(64, value);
      const [low, high] = [Number(bits & 0xffffffffn) | 0, Number(bits >> 32n) | 0];
      writer.uint64({ low, high, unsigned: true } as Parameters<typeof writer.uint64>[0]);
    }
  } else if (data instanceof Float32Array) for (const value of data) writer.float(value);
  else if (data instanceof Float64Array) for (const value of data) writer.double(value);
  else if (kind === "int") for (const value of data) writer.int32(value);
  else for (const value of data) writer.uint32(value);
  writer.ldelim();
  return writer.finish();
}
