/** Tensors as JSON has them, both ways: flat lists in row-major order, or nested as the shape says. */
import { MillraceError, type TensorDatatype, tensorLimits } from "millrace-client/wire";
import { kindOf, show } from "./fields.js";
import { elementsOf, type TensorData, tensorArrays } from "./payload.js";
import {
  isAxis,
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

/** @throws MillraceError `tensor_invalid`, `bad_encoding`; `param` and the message name the tensor. */
export function readTensorJson(json: TensorJson): NamedTensor {
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

/** What is wrong with a tensor, in the words of every front. */
export function wrong(
  of: { readonly name: string; readonly param: string },
  what: string,
): MillraceError {
  const name = JSON.stringify(of.name.slice(0, tensorLimits.nameCharactersMax));
  return new MillraceError("tensor_invalid", `tensor ${name}: ${what}`, { param: of.param });
}

/** Writes the element at the place; false where the value is none of the type. */
type Write = (at: number, value: unknown) => boolean;

class JsonReader {
  readonly #json: TensorJson;
  #at = 0;

  constructor(json: TensorJson) {
    this.#json = json;
  }

  tensor(): NamedTensor {
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
    if (datatype === "BYTES") return this.#texts(content, shape, elements);
    const data = new tensorArrays[tensorTypes[datatype]](elements);
    this.#fill(content, writerOf(datatype, data));
    return { name, datatype, shape, data };
  }

  #texts(content: unknown, shape: readonly number[], elements: number): NamedTensor {
    const texts: string[] = [];
    const { name, param } = this.#json;
    this.#fill(content, (_at, value) => {
      if (typeof value !== "string") return false;
      if (!value.isWellFormed()) {
        throw new MillraceError("bad_encoding", `tensor ${name}: a text holds a lone surrogate`, {
          param,
        });
      }
      texts.push(value);
      return true;
    });
    if (texts.length !== elements) throw new Error("texts that were counted and are not there");
    return textTensor(texts, { name, shape });
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

  #fill(content: unknown, write: Write): void {
    if (!Array.isArray(content)) {
      this.#element(content, write);
      return;
    }
    if (Array.isArray(content[0])) for (const each of content) this.#fill(each, write);
    else for (const each of content) this.#element(each, write);
  }

  #element(value: unknown, write: Write): void {
    if (!write(this.#at, value)) {
      const what = Array.isArray(value) ? "a list among elements" : show(value);
      throw this.#wrong(`element ${this.#at} is no ${this.#json.datatype}: ${what}`);
    }
    this.#at += 1;
  }

  #wrong(what: string): MillraceError {
    return wrong(this.#json, what);
  }
}

function isSame(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((size, axis) => size === right[axis]);
}

/** A value is refused that the type cannot hold: nothing is rounded to an integer, wrapped around or made infinite. */
function writerOf(datatype: TensorDatatype, data: TensorData): Write {
  if (data instanceof BigInt64Array) return wideWriter(data, -(2n ** 63n), 2n ** 63n - 1n);
  if (data instanceof BigUint64Array) return wideWriter(data, 0n, 2n ** 64n - 1n);
  if (datatype === "BOOL") {
    return (at, value) => {
      if (typeof value !== "boolean") return false;
      data[at] = value ? 1 : 0;
      return true;
    };
  }
  // Raw bytes only, as elsewhere.
  if (datatype === "BF16") return () => false;
  if (datatype === "FP16") {
    return numberWriter((at, value) => {
      const bits = halfOf(value);
      data[at] = bits;
      return (bits & 0x7c00) !== 0x7c00;
    });
  }
  const isFraction = datatype === "FP32" || datatype === "FP64";
  return numberWriter((at, value) => {
    data[at] = value;
    return isFraction ? Number.isFinite(data[at]) : data[at] === value;
  });
}

function numberWriter(write: (at: number, value: number) => boolean): Write {
  return (at, value) => {
    if (typeof value === "number") return write(at, value);
    // Digits that the reader of JSON kept as they were (json-object.ts): too many for a number that is exact.
    return typeof value === "string" && wideDigits.test(value) && write(at, Number(value));
  };
}

const wideDigits = /^-?\d{16,}$/;
const digits = /^-?\d{1,20}$/;

function wideWriter(data: BigInt64Array | BigUint64Array, min: bigint, max: bigint): Write {
  // Two halves of an integer that a double holds: a bigint for each would take ten times as long.
  const words = new Uint32Array(data.buffer, data.byteOffset, 2 * data.length);
  return (at, value) => {
    if (typeof value === "number" && Number.isSafeInteger(value)) {
      if (value < 0 && min === 0n) return false;
      words[2 * at] = value;
      words[2 * at + 1] = Math.floor(value / 2 ** 32);
      return true;
    }
    if (typeof value !== "string" || !digits.test(value)) return false;
    const wide = BigInt(value);
    if (wide < min || wide > max) return false;
    data[at] = wide;
    return true;
  };
}

/** The bits of the half that is nearest, to even where two are; infinity where it is too large. */
function halfOf(value: number): number {
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

/** Its elements as a flat list; `null` where one is not finite, for which JSON has no word. */
export function tensorDataText(tensor: NamedTensor): string {
  const { datatype, data } = tensor;
  if (datatype === "BYTES") return JSON.stringify(textsOf(tensor));
  if (datatype === "BOOL") return listText(data, (value) => (value === 0 ? "false" : "true"));
  if (datatype === "FP16") return listText(data, (bits) => finiteText(numberOfHalf(Number(bits))));
  if (datatype === "FP32" || datatype === "FP64") {
    return listText(data, (value) => finiteText(Number(value)));
  }
  return `[${data.join(",")}]`;
}

/** A loop, because to iterate over a typed array costs ten times as much. */
function listText(data: TensorData, write: (value: number | bigint) => string): string {
  const parts: string[] = [];
  for (let at = 0; at < data.length; at += 1) parts.push(write(data[at] ?? 0));
  return `[${parts.join(",")}]`;
}

function finiteText(value: number): string {
  return Number.isFinite(value) ? String(value) : "null";
}
