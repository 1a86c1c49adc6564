/**
 * What a caller named, on its way to another machine: JSON, with files and arrays of numbers out of it. They are tensors behind it, and
 * their places say where in the JSON each belongs, because a caller's JSON may look like anything:
 *
 *   {"images": [null, null], "lang": "en"}    places [["images", 0], 0], [["images", 1], 1]    tensors "0", "1"
 */
import type { TensorDatatype } from "millrace-client/wire";
import {
  type JsonObject,
  type JsonValue,
  type Payload,
  type Tensor,
  type TensorData,
  type TensorType,
  tensorArrays,
} from "../work/payload.js";
import {
  isDatatype,
  type NamedTensor,
  NamedTensors,
  putTensor,
  takeTensor,
} from "../work/tensors.js";

type Path = (string | number)[];
type TensorHead = readonly [name: string, datatype: TensorDatatype];

/** `heads`: that many named tensors, from the first tensor on; left out: bytes, or an array of numbers. */
type Place =
  | readonly [path: Path, first: number]
  | readonly [path: Path, first: number, heads: readonly TensorHead[]];

export interface CarriedFields {
  readonly payload: Payload;
  readonly places: readonly Place[];
}

/** @throws RangeError where the fields hold what does not travel: that is the bug of whoever made them. */
export function carryFields(fields: Readonly<Record<string, unknown>>): CarriedFields {
  const carrying: Carrying = { tensors: {}, places: [], next: 0 };
  const values = carry(fields, [], carrying) as JsonObject;
  return { payload: { values, tensors: carrying.tensors }, places: carrying.places };
}

interface Carrying {
  readonly tensors: Record<string, Tensor>;
  readonly places: Place[];
  next: number;
}

/** The value itself where there is nothing to take out of it: most are texts by the thousand. */
function carry(value: unknown, path: Path, carrying: Carrying): unknown {
  if (typeof value !== "object" || value === null) {
    if (typeof value === "bigint" || typeof value === "function" || typeof value === "symbol") {
      throw new RangeError(`fields with a ${typeof value}`);
    }
    return value;
  }
  if (value instanceof NamedTensors) return carryTensors(value, path, carrying);
  if (ArrayBuffer.isView(value)) return carryArray(value, path, carrying);
  if (Array.isArray(value)) return carryList(value, path, carrying);
  let copy: Record<string, unknown> | null = null;
  for (const [name, own] of Object.entries(value)) {
    const carried = carry(own, [...path, name], carrying);
    if (carried === own) continue;
    copy ??= { ...value };
    copy[name] = carried;
  }
  return copy ?? value;
}

function carryList(list: readonly unknown[], path: Path, carrying: Carrying): readonly unknown[] {
  let copy: unknown[] | null = null;
  for (let at = 0; at < list.length; at += 1) {
    const own = list[at];
    if (typeof own === "string" || typeof own === "number") continue;
    const carried = carry(own, [...path, at], carrying);
    if (carried === own) continue;
    copy ??= list.slice();
    copy[at] = carried;
  }
  return copy ?? list;
}

function carryArray(view: ArrayBufferView, path: Path, carrying: Carrying): null {
  const type = typeOf(view);
  const data = view as TensorData;
  carrying.tensors[String(carrying.next)] = { type, shape: [data.length], data };
  carrying.places.push([path, carrying.next]);
  carrying.next += 1;
  return null;
}

function carryTensors({ list }: NamedTensors, path: Path, carrying: Carrying): null {
  const first = carrying.next;
  for (const tensor of list) {
    putTensor(carrying.tensors, carrying.next, tensor);
    carrying.next += 1;
  }
  carrying.places.push([path, first, list.map(({ name, datatype }) => [name, datatype] as const)]);
  return null;
}

/** One for each array; bytes come first, and a Buffer is one of them. */
const arrayTypes: readonly TensorType[] = [
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "float32",
  "float64",
  "int64",
  "uint64",
];

function typeOf(view: ArrayBufferView): TensorType {
  const type = arrayTypes.find((each) => view instanceof tensorArrays[each]);
  if (type === undefined) throw new RangeError("fields with an array that does not travel");
  return type;
}

/** The same fields again; null where the places are none. */
export function uncarryFields(
  payload: Payload,
  places: JsonValue | undefined,
): Record<string, unknown> | null {
  if (!Array.isArray(places)) return null;
  const fields = payload.values as Record<string, unknown>;
  for (const place of places as readonly JsonValue[]) {
    if (!Array.isArray(place)) return null;
    const [path, first, heads] = place as readonly JsonValue[];
    if (!isPath(path) || typeof first !== "number") return null;
    const value = heads === undefined ? arrayAt(payload, first) : tensorsAt(payload, first, heads);
    if (value === null || !put(fields, path, value)) return null;
  }
  return fields;
}

function isPath(value: JsonValue | undefined): value is Path {
  if (!Array.isArray(value) || value.length === 0) return false;
  return value.every((step) => typeof step === "string" || Number.isSafeInteger(step));
}

function arrayAt({ tensors }: Payload, place: number): TensorData | null {
  return tensors[String(place)]?.data ?? null;
}

function tensorsAt(payload: Payload, first: number, heads: JsonValue): NamedTensors | null {
  if (!Array.isArray(heads)) return null;
  const list: NamedTensor[] = [];
  for (const head of heads as readonly JsonValue[]) {
    const [name, datatype] = Array.isArray(head) ? (head as readonly JsonValue[]) : [];
    if (typeof name !== "string" || !isDatatype(datatype)) return null;
    const tensor = takeTensor(payload, first + list.length, { name, datatype });
    if (tensor === null) return null;
    list.push(tensor);
  }
  return new NamedTensors(list);
}

/** Only where the sender left a null: nothing that is there is replaced, and nothing grows. */
function put(fields: Record<string, unknown>, path: Path, value: unknown): boolean {
  let at: unknown = fields;
  for (const step of path.slice(0, -1)) at = ownOf(at, step);
  const last = path.at(-1);
  if (last === undefined || ownOf(at, last) !== null) return false;
  (at as Record<string | number, unknown>)[last] = value;
  return true;
}

function ownOf(holder: unknown, step: string | number): unknown {
  if (typeof holder !== "object" || holder === null || !Object.hasOwn(holder, step))
    return undefined;
  return (holder as Record<string | number, unknown>)[step];
}
