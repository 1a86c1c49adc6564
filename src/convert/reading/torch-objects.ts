/**
 * What PyTorch's pickles may mention, and what it means here: names of storages and of the few functions that put a
 * tensor together. The list is the whole of it. Nothing is looked up anywhere, so a name that is not on it has no meaning
 * and is refused.
 */
import {
  describeValue,
  isKind,
  type PickleObject,
  type PickleValue,
  type PickleWorld,
  pickleError,
} from "./pickle.js";

/** A storage is one entry of the zip: a run of elements of one type. */
class TorchStorage {
  readonly dtype: string;
  readonly elementBytes: number;
  /** The entry's name below `data/`. */
  readonly key: string;
  readonly elements: number;

  constructor(type: StorageType, key: string, elements: number) {
    this.dtype = type.dtype;
    this.elementBytes = type.elementBytes;
    this.key = key;
    this.elements = elements;
  }
}

/** A view of a storage; several tensors may look at one. In elements; checked against nothing yet. */
export class TorchTensor {
  readonly storage: TorchStorage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  constructor(storage: TorchStorage, view: readonly PickleValue[]) {
    const [offset = null, shape = null, strides = null] = view;
    this.storage = storage;
    this.offset = readSize(offset, "the offset");
    this.shape = readSizes(shape, "the shape");
    this.strides = readSizes(strides, "the strides");
    if (this.shape.length !== this.strides.length) {
      const sizes = `${this.shape.length} sizes and ${this.strides.length} strides`;
      throw pickleError(`a tensor in storage ${storage.key} has ${sizes}`);
    }
  }
}

interface StorageType {
  readonly dtype: string;
  readonly elementBytes: number;
}

/** As Python's memory of them: more axes than that PyTorch itself refuses. */
const axesMax = 64;

const storageTypes: ReadonlyMap<string, StorageType> = new Map(
  (
    [
      ["Float", "F32", 4],
      ["Half", "F16", 2],
      ["BFloat16", "BF16", 2],
      ["Double", "F64", 8],
      ["Long", "I64", 8],
      ["Int", "I32", 4],
      ["Short", "I16", 2],
      ["Char", "I8", 1],
      ["Byte", "U8", 1],
      ["Bool", "BOOL", 1],
      ["ComplexFloat", "C64", 8],
    ] as const
  ).map(([name, dtype, elementBytes]) => [`torch.${name}Storage`, { dtype, elementBytes }]),
);

type Rebuild = (args: readonly PickleValue[]) => PickleValue;

const calls: ReadonlyMap<string, Rebuild> = new Map<string, Rebuild>([
  ["collections.OrderedDict", orderedDict],
  ["torch._utils._rebuild_tensor", rebuildTensor],
  ["torch._utils._rebuild_tensor_v2", rebuildTensor],
  // A parameter is its tensor; whether it was trained and what hung on it is of no use here.
  ["torch._utils._rebuild_parameter", firstArgument],
  ["torch._utils._rebuild_parameter_with_state", firstArgument],
  ["torch.Size", firstArgument],
  ["torch.device", () => null],
]);

export const torchWorld: PickleWorld = {
  checkName(name) {
    if (calls.has(name) || storageTypes.has(name)) return;
    const shown = JSON.stringify(name.slice(0, 200));
    const message = `the pickle wants ${shown}, which has no place in a file of weights; nothing of it was run`;
    throw pickleError(message);
  },

  reduce(name, args) {
    const call = calls.get(name);
    if (call === undefined) throw pickleError(`the pickle calls ${name}, which is only a type`);
    return call(args);
  },

  /** `("storage", torch.FloatStorage, key, place, elements)` */
  persistent(id) {
    const [what = null, type = null, key = null, , elements = null] = isKind(id, "tuple")
      ? id.items
      : [];
    if (what !== "storage") {
      throw pickleError(`the pickle refers to ${describeValue(id)}, which is no storage`);
    }
    const storageType = isKind(type, "name") ? storageTypes.get(type.name) : undefined;
    if (storageType === undefined) {
      throw pickleError(`the pickle has a storage of ${describeValue(type)}`);
    }
    if (typeof key !== "string") throw pickleError("the pickle has a storage without a name");
    const count = readSize(elements, `the number of elements of storage ${key}`);
    return wrap(new TorchStorage(storageType, key, count));
  },
};

function wrap(value: object): PickleObject {
  return { kind: "object", value };
}

/** Without its arguments, or of a list of pairs as Python 2 wrote it. */
function orderedDict(args: readonly PickleValue[]): PickleValue {
  const entries = new Map<PickleValue, PickleValue>();
  const [pairs = null] = args;
  if (args.length > 1 || (pairs !== null && !isKind(pairs, "list"))) {
    throw pickleError("the pickle makes an OrderedDict of what is no list of pairs");
  }
  for (const pair of pairs?.items ?? []) {
    const items = isKind(pair, "list") || isKind(pair, "tuple") ? pair.items : [];
    const [key, value] = items;
    if (items.length !== 2 || typeof key !== "string" || value === undefined) {
      throw pickleError("the pickle makes an OrderedDict of what is no list of pairs");
    }
    entries.set(key, value);
  }
  return { kind: "dict", entries };
}

function rebuildTensor(args: readonly PickleValue[]): PickleValue {
  const [storage = null, ...view] = args;
  const value = isKind(storage, "object") ? storage.value : null;
  if (value instanceof TorchStorage) return wrap(new TorchTensor(value, view));
  throw pickleError(`the pickle makes a tensor of ${describeValue(storage)}, which is no storage`);
}

function firstArgument(args: readonly PickleValue[]): PickleValue {
  const [first] = args;
  if (first === undefined) throw pickleError("the pickle makes a parameter of nothing");
  return first;
}

function readSizes(value: PickleValue, what: string): number[] {
  if (!isKind(value, "tuple") && !isKind(value, "list")) {
    throw pickleError(`${what} of a tensor is ${describeValue(value)}`);
  }
  const { items } = value;
  if (items.length > axesMax) {
    throw pickleError(`${what} of a tensor has ${items.length} axes; the limit is ${axesMax}`);
  }
  return items.map((item) => readSize(item, what));
}

function readSize(value: PickleValue, what: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw pickleError(`${what} of a tensor is ${describeValue(value)}`);
}
