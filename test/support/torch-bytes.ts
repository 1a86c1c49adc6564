/** Makes the files that torch.save writes, by hand: right ones and wrong ones. Pickles are put together opcode by opcode. */
import { crc32 } from "node:zlib";

export interface ZipEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Each of these is a lie where it is given. */
  readonly method?: number;
  readonly flags?: number;
  readonly crc?: number;
  readonly length?: number;
  readonly localOffset?: number;
}

/** Entries as they are; with `zip64` sizes and places stand in extra fields, as for files over 4 GB. */
export function zipOf(entries: readonly ZipEntry[], zip64 = false): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let end = 0;
  for (const entry of entries) {
    const name = Buffer.from(entry.name, "utf8");
    const common = commonHeader(entry);
    const local = Buffer.concat([numbers([0x04034b50, 4]), common, name]);
    local.writeUInt16LE(name.length, 26);
    const place = entry.localOffset ?? end;
    const sizes = numbers(
      [1, 2],
      [24, 2],
      [common.readUInt32LE(14), 8],
      [common.readUInt32LE(14), 8],
      [place, 8],
    );
    const extra = zip64 ? sizes : Buffer.alloc(0);
    const central = Buffer.concat([
      numbers([0x02014b50, 4], [20, 2]),
      common,
      numbers([0, 2], [0, 2], [0, 2], [0, 4], [zip64 ? 0xffff_ffff : place, 4]),
      name,
      extra,
    ]);
    if (zip64) central.fill(0xff, 20, 28);
    central.writeUInt16LE(name.length, 28);
    central.writeUInt16LE(extra.length, 30);
    directory.push(central);
    parts.push(local, Buffer.from(entry.bytes));
    end += local.length + entry.bytes.byteLength;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const count = entries.length;
  return Buffer.concat([...parts, ...directory, ...endOf({ count, size, end, zip64 })]);
}

/** From the version needed to the length of the extra field, without the name. */
function commonHeader({ bytes, method, flags, crc, length }: ZipEntry): Buffer {
  const size = length ?? bytes.byteLength;
  return numbers(
    [20, 2],
    [flags ?? 0, 2],
    [method ?? 0, 2],
    [0, 4],
    [crc ?? crc32(bytes), 4],
    [size, 4],
    [size, 4],
    [0, 2],
    [0, 2],
  );
}

function endOf(of: {
  readonly count: number;
  readonly size: number;
  readonly end: number;
  readonly zip64: boolean;
}): Buffer[] {
  const { count, size, end, zip64 } = of;
  const last = numbers(
    [0x06054b50, 4],
    [0, 2],
    [0, 2],
    [count, 2],
    [count, 2],
    [size, 4],
    [end, 4],
    [0, 2],
  );
  if (!zip64) return [last];
  last.fill(0xff, 8, 20);
  const far = numbers(
    [0x06064b50, 4],
    [44, 8],
    [45, 2],
    [45, 2],
    [0, 4],
    [0, 4],
    [count, 8],
    [count, 8],
    [size, 8],
    [end, 8],
  );
  return [far, numbers([0x07064b50, 4], [0, 4], [end + size, 8], [1, 4]), last];
}

/** Little-endian. */
function numbers(...fields: readonly (readonly [value: number, bytes: number])[]): Buffer {
  return Buffer.concat(
    fields.map(([value, bytes]) => {
      const buffer = Buffer.alloc(8);
      buffer.writeBigUInt64LE(BigInt(value));
      return buffer.subarray(0, bytes);
    }),
  );
}

/** Pieces of a pickle: each leaves one value on the stack, unless it says otherwise. */
export const pickle = {
  name: (module: string, name: string): Buffer => Buffer.from(`c${module}\n${name}\n`),
  text: (text: string): Buffer => {
    const bytes = Buffer.from(text, "utf8");
    return Buffer.concat([Buffer.from("X"), numbers([bytes.length, 4]), bytes]);
  },
  integer: (value: number): Buffer => {
    if (value >= 0 && value < 256) return Buffer.from([0x4b, value]);
    const bytes = Buffer.alloc(10);
    bytes.writeUInt16LE(0x088a);
    bytes.writeBigInt64LE(BigInt(value), 2);
    return bytes;
  },
  none: Buffer.from("N"),
  no: Buffer.from([0x89]),
  tuple: (...items: readonly Buffer[]): Buffer =>
    Buffer.concat([Buffer.from("("), ...items, Buffer.from("t")]),
  list: (...items: readonly Buffer[]): Buffer =>
    Buffer.concat([Buffer.from("]("), ...items, Buffer.from("e")]),
  dict: (...entries: readonly (readonly [Buffer, Buffer])[]): Buffer =>
    Buffer.concat([Buffer.from("}("), ...entries.flat(), Buffer.from("u")]),
  call: (name: Buffer, ...args: readonly Buffer[]): Buffer =>
    Buffer.concat([name, pickle.tuple(...args), Buffer.from("R")]),
  /** Protocol 2, and the end. */
  whole: (...parts: readonly Buffer[]): Buffer =>
    Buffer.concat([Buffer.from([0x80, 2]), ...parts, Buffer.from(".")]),
} as const;

export interface TorchView {
  readonly type?: string;
  readonly key?: string;
  readonly elements: number;
  readonly offset?: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

export function storagePickle({ type, key, elements }: TorchView): Buffer {
  const id = pickle.tuple(
    pickle.text("storage"),
    pickle.name("torch", type ?? "FloatStorage"),
    pickle.text(key ?? "0"),
    pickle.text("cpu"),
    pickle.integer(elements),
  );
  return Buffer.concat([id, Buffer.from("Q")]);
}

export const orderedDict: Buffer = pickle.call(pickle.name("collections", "OrderedDict"));

/** As torch.save writes a tensor. */
export function tensorPickle(view: TorchView): Buffer {
  return pickle.call(
    pickle.name("torch._utils", "_rebuild_tensor_v2"),
    storagePickle(view),
    pickle.integer(view.offset ?? 0),
    pickle.tuple(...view.shape.map(pickle.integer)),
    pickle.tuple(...view.strides.map(pickle.integer)),
    pickle.no,
    orderedDict,
  );
}

/** A dict of tensors, and nothing behind it. */
export function statePickle(tensors: Readonly<Record<string, Buffer>>): Buffer {
  const entries = Object.entries(tensors).map(
    ([name, value]) => [pickle.text(name), value] as const,
  );
  return pickle.whole(pickle.dict(...entries));
}

export function torchViews(views: Readonly<Record<string, TorchView>>): Buffer {
  const tensors = Object.entries(views).map(([name, view]) => [name, tensorPickle(view)] as const);
  return statePickle(Object.fromEntries(tensors));
}

/** A whole pytorch_model.bin. */
export function torchBytes(
  data: Uint8Array,
  storages: Readonly<Record<string, Uint8Array>>,
  more: readonly ZipEntry[] = [],
): Buffer {
  return zipOf([
    { name: "archive/data.pkl", bytes: data },
    ...Object.entries(storages).map(([key, bytes]) => ({ name: `archive/data/${key}`, bytes })),
    ...more,
  ]);
}

/** As torch.save wrote a file before version 1.6; an element of each storage has so many bytes. */
export function legacyTorchBytes(
  data: Uint8Array,
  storages: Readonly<Record<string, Uint8Array>>,
  elementBytes = 4,
): Buffer {
  const keys = Object.keys(storages);
  return Buffer.concat([
    Buffer.from("80028a0a6cfc9c46f9206aa850192e", "hex"),
    pickle.whole(pickle.integer(1001)),
    pickle.whole(pickle.dict([pickle.text("little_endian"), Buffer.from([0x88])])),
    data,
    pickle.whole(pickle.list(...keys.map(pickle.text))),
    ...Object.values(storages).flatMap((bytes) => [
      numbers([bytes.byteLength / elementBytes, 8]),
      bytes,
    ]),
  ]);
}

export function floatBytes(values: readonly number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}
