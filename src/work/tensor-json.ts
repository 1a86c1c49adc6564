/** Tensors as JSON has them, both ways: flat lists in row-major order, or nested as the shape says. */
import { MillraceError, type TensorDatatype, tensorLimits } from "millrace-client/wire";
import { kindOf, show } from "./fields.js";
import { float32Text } from "./float-text.js";
import { elementsOf, type TensorData, tensorArrays } from "./payload.js";
import {
  isAxis,
  joinTexts,
  type NamedTensor,
  shapeText,
  tensorTypes,
  textsOf,
  textTensor,
} from "./tensors.js";

export interface TensorJson {
  readonly name: string;
  readonly datatype: TensorDatatype;
  /** As the caller sent it; undefined: as the data are nested. */
  readonly shape: unknown;
  readonly content: unknown;
  /** What an error names. */
  readonly param: string;
}

/**
 * In steps, between which others may have a turn.
 * @throws MillraceError `tensor_invalid`, `bad_encoding`; `param` and the message name the tensor.
 */
export function readTensorJson(json: TensorJson): Generator<undefined, NamedTensor> {
  return new JsonReader(json).tensor();
}

/** @throws MillraceError `tensor_invalid` */
export function readShape(
  value: unknown,
  of: { readonly name: string; readonly param: string },
): number[] {
  if (!Array.isArray(value)) throw wrong(of, `its shape must be a list, not ${kindOf(value)}`);
  if (value.length > tensorLimits.dimensionsMax) {
    throw wrong(
      of,
      `its shape has ${value.length} axes; at most ${tensorLimits.dimensionsMax} are taken`,
    );
  }
  const bad = value.findIndex((size) => !isAxis(size));
  if (bad !== -1) {
    throw wrong(
      of,
      `axis ${bad} of its shape must be an integer from 0 to 2147483647, not ${show(value[bad])}`,
    );
  }
  if (!Number.isSafeInteger(elementsOf(value as number[]))) {
    throw wrong(
      of,
      `its shape ${shapeText(value as number[])} has more elements than there are numbers`,
    );
  }
  return value as number[];
}

/** Elements that are read, or whose text is made, without a pause: some milliseconds. */
const partElements = 16_384;

/** What is wrong with a tensor, in the words of every front. */
export function wrong(
  of: { readonly name: string; readonly param: string },
  what: string,
): MillraceError {
  const name = JSON.stringify(of.name.slice(0, tensorLimits.nameCharactersMax));
  return new MillraceError("tensor_invalid", `tensor ${name}: ${what}`, { param: of.param });
}

/**
 * Writes a list from the place on; gives the index of the first value that is none of the type, or -1. A list at once, because
 * there may be millions of values, and nothing else happens meanwhile.
 */
type WriteList = (at: number, list: readonly unknown[]) => number;

class JsonReader {
  readonly #json: TensorJson;
  #at = 0;
  #sincePause = 0;

  constructor(json: TensorJson) {
    this.#json = json;
  }

  *tensor(): Generator<undefined, NamedTensor> {
    const { name, datatype, content } = this.#json;
    const nested = this.#nesting(content);
    const said = this.#json.shape;
    const shape = said === undefined ? nested : readShape(said, this.#json);
    const isFlat = nested.length <= 1;
    if (isFlat) this.#checkCount(content, shape);
    else if (!isSame(nested, shape)) {
      throw this.#wrong(
        `its data are nested as ${shapeText(nested)}, its shape is ${shapeText(shape)}`,
      );
    }
    // Nothing is allocated by what a shape says, nor by the length of a first list, before the lists are as long.
    if (!isFlat) this.#checkNesting(content, nested, 0);
    const elements = elementsOf(shape);
    if (datatype === "BYTES") return yield* this.#texts(content, nested.length, shape);
    const data = new tensorArrays[tensorTypes[datatype]](elements);
    yield* this.#fill(content, nested.length, writerOf(datatype, data));
    return { name, datatype, shape, data };
  }

  *#texts(
    content: unknown,
    depth: number,
    shape: readonly number[],
  ): Generator<undefined, NamedTensor> {
    const parts: NamedTensor[] = [];
    const { name, param } = this.#json;
    yield* this.#fill(content, depth, (_at, list) => {
      const texts: string[] = [];
      for (let index = 0; index < list.length; index += 1) {
        const text = list[index];
        if (typeof text !== "string") return index;
        if (!text.isWellFormed()) {
          const message = `tensor ${name}: a text holds a lone surrogate`;
          throw new MillraceError("bad_encoding", message, { param });
        }
        texts.push(text);
      }
      parts.push(textTensor(texts, { name, shape }));
      return -1;
    });
    return joinTexts(parts, { name, shape });
  }

  /** As the first element of each level says. */
  #nesting(content: unknown): number[] {
    const shape: number[] = [];
    for (let level = content; Array.isArray(level); level = level[0] as unknown) {
      shape.push(level.length);
      if (shape.length > tensorLimits.dimensionsMax) {
        throw this.#wrong(`its data are nested deeper than ${tensorLimits.dimensionsMax} levels`);
      }
    }
    return shape;
  }

  #checkCount(content: unknown, shape: readonly number[]): void {
    const elements = elementsOf(shape);
    const found = Array.isArray(content) ? content.length : 1;
    if (found === elements) return;
    throw this.#wrong(
      `its shape ${shapeText(shape)} has ${elements} elements, its data have ${found}`,
    );
  }

  #checkNesting(content: unknown, shape: readonly number[], depth: number): void {
    if (!Array.isArray(content)) {
      throw this.#wrong(`its data are nested unevenly: ${kindOf(content)} beside lists`);
    }
    if (content.length !== shape[depth]) {
      const lengths = `${content.length} elements beside ${shape[depth] ?? 0}`;
      throw this.#wrong(`its data are nested unevenly: a list of ${lengths}`);
    }
    if (depth + 1 >= shape.length) return;
    for (const each of content) this.#checkNesting(each, shape, depth + 1);
  }

  /** `depth`: levels of lists in it. */
  *#fill(content: unknown, depth: number, write: WriteList): Generator<undefined, void> {
    if (depth > 1 && Array.isArray(content)) {
      for (const each of content) yield* this.#fill(each, depth - 1, write);
      return;
    }
    const list: readonly unknown[] = Array.isArray(content) ? content : [content];
    if (list.length <= partElements) {
      this.#write(list, write);
      this.#sincePause += list.length;
      if (this.#sincePause < partElements) return;
      this.#sincePause = 0;
      yield;
      return;
    }
    for (let from = 0; from < list.length; from += partElements) {
      this.#write(list.slice(from, from + partElements), write);
      yield;
    }
  }

  #write(list: readonly unknown[], write: WriteList): void {
    const bad = write(this.#at, list);
    if (bad !== -1) {
      const what = Array.isArray(list[bad]) ? "a list among elements" : show(list[bad]);
      throw this.#wrong(`element ${this.#at + bad} is no ${this.#json.datatype}: ${what}`);
    }
    this.#at += list.length;
  }

  #wrong(what: string): MillraceError {
    return wrong(this.#json, what);
  }
}

function isSame(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((size, axis) => size === right[axis]);
}

/** A value is refused that the type cannot hold: nothing is rounded to an integer, wrapped around or made infinite. */
function writerOf(datatype: TensorDatatype, data: TensorData): WriteList {
  if (data instanceof BigInt64Array) return wideWriter(data, -(2n ** 63n), 2n ** 63n - 1n);
  if (data instanceof BigUint64Array) return wideWriter(data, 0n, 2n ** 64n - 1n);
  if (datatype === "BOOL") {
    return (at, list) => {
      for (let index = 0; index < list.length; index += 1) {
        const value = list[index];
        if (typeof value !== "boolean") return index;
        data[at + index] = value ? 1 : 0;
      }
      return -1;
    };
  }
  // Raw bytes only, as elsewhere.
  if (datatype === "BF16") return () => 0;
  const isHalf = datatype === "FP16";
  const isFraction = datatype === "FP32" || datatype === "FP64";
  return (at, list) => {
    for (let index = 0; index < list.length; index += 1) {
      const value = numberOf(list[index]);
      const written = isHalf ? halfOf(value) : value;
      data[at + index] = written;
      const kept = data[at + index] ?? NaN;
      const fits = isHalf
        ? (kept & 0x7c00) !== 0x7c00
        : isFraction
          ? Number.isFinite(kept)
          : kept === value;
      if (!fits) return index;
    }
    return -1;
  };
}

/** Not a number where it is none. */
function numberOf(value: unknown): number {
  if (typeof value === "number") return value;
  // Digits that the reader of JSON kept as they were (json-object.ts): too many for a number that is exact.
  return typeof value === "string" && wideDigits.test(value) ? Number(value) : NaN;
}

const wideDigits = /^-?\d{16,}$/;
const digits = /^-?\d{1,20}$/;

function wideWriter(data: BigInt64Array | BigUint64Array, min: bigint, max: bigint): WriteList {
  // Two halves of an integer that a double holds: a bigint for each would take ten times as long.
  const words = new Uint32Array(data.buffer, data.byteOffset, 2 * data.length);
  return (at, list) => {
    for (let index = 0; index < list.length; index += 1) {
      const value = list[index];
      if (typeof value === "number" && Number.isSafeInteger(value)) {
        if (value < 0 && min === 0n) return index;
        words[2 * (at + index)] = value;
        words[2 * (at + index) + 1] = Math.floor(value / 2 ** 32);
        continue;
      }
      if (typeof value !== "string" || !digits.test(value)) return index;
      const wide = BigInt(value);
      if (wide < min || wide > max) return index;
      data[at + index] = wide;
    }
    return -1;
  };
}

/** The bits of the half that is nearest, to even where two are; infinity where it is too large. */
function halfOf(value: number): number {
  if (!(Math.abs(value) < 2 ** 16)) return 0x7c00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size < 2 ** -14) return sign | roundToEven(size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  // The logarithm may round up to the next power.
  const power =
    2 ** exponent > size ? exponent - 1 : 2 ** (exponent + 1) <= size ? exponent + 1 : exponent;
  if (power > 15) return sign | 0x7c00;
  // A mantissa that rounds up to 2048 carries into the exponent, as the bits lie.
  return sign | (((power + 14) << 10) + roundToEven(size * 2 ** (10 - power)));
}

function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

function numberOfHalf(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (1 + mantissa / 1_024) * 2 ** (exponent - 15);
}

/**
 * Its elements as a flat list; `null` where one is not finite, for which JSON has no word. In parts, so that whoever joins them
 * can let others have a turn between two. @throws MillraceError `tensor_invalid` where there are more than `elementsMax`
 */
export function* tensorDataParts(tensor: NamedTensor, elementsMax: number): Generator<string> {
  const elements = tensor.lengths?.length ?? tensor.data.length;
  if (elements > elementsMax) {
    const most = `as JSON at most ${elementsMax} are sent`;
    const what = `the output has ${elements} elements; ${most}, as bytes (docs/inference-v2.md) more are`;
    throw wrong({ name: tensor.name, param: "outputs" }, what);
  }
  const write = partWriterOf(tensor);
  yield "[";
  for (let from = 0; from < elements; from += partElements) {
    const text = write(from, Math.min(elements, from + partElements));
    yield from === 0 ? text : `,${text}`;
  }
  yield "]";
}

/** Called for one part after the other. */
function partWriterOf(tensor: NamedTensor): (from: number, until: number) => string {
  const { datatype, data } = tensor;
  if (datatype === "BYTES") return textsWriter(tensor);
  const write = elementWriterOf(datatype, data);
  return (from, until) => {
    const parts: string[] = [];
    for (let at = from; at < until; at += 1) parts.push(write(at));
    return parts.join(",");
  };
}

function textsWriter(tensor: NamedTensor): (from: number, until: number) => string {
  const { data, lengths = new Int32Array() } = tensor;
  let firstByte = 0;
  return (from, until) => {
    const own = lengths.subarray(from, until);
    const untilByte = own.reduce((sum, length) => sum + length, firstByte);
    const texts = textsOf({ ...tensor, data: data.subarray(firstByte, untilByte), lengths: own });
    firstByte = untilByte;
    return JSON.stringify(texts).slice(1, -1);
  };
}

function elementWriterOf(datatype: TensorDatatype, data: TensorData): (at: number) => string {
  if (datatype === "BOOL") return (at) => (data[at] === 0 ? "false" : "true");
  if (datatype === "FP16") return (at) => finiteText(numberOfHalf(Number(data[at] ?? 0)));
  if (datatype === "FP32") return (at) => float32Text(Number(data[at] ?? 0));
  if (datatype === "FP64") return (at) => finiteText(Number(data[at] ?? 0));
  if (!(data instanceof BigInt64Array)) return (at) => String(data[at] ?? 0);
  // As two halves where a double holds it: the text of a bigint takes several times as long.
  const words = new Int32Array(data.buffer, data.byteOffset, 2 * data.length);
  return (at) => {
    const high = words[2 * at + 1] ?? 0;
    const low = (words[2 * at] ?? 0) >>> 0;
    const isShort = high >= -(2 ** 20) && high < 2 ** 20;
    return String(isShort ? high * 2 ** 32 + low : (data[at] ?? 0n));
  };
}

function finiteText(value: number): string {
  return Number.isFinite(value) ? String(value) : "null";
}
