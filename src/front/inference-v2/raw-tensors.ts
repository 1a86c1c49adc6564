/** Tensors as the protocol has them in bytes: little-endian, row-major; a text is four bytes of its length and its UTF-8. */
import { isUtf8 } from "node:buffer";
import type { TensorDatatype } from "millrace-client/wire";
import { elementsOf, tensorArrays } from "../../work/payload.js";
import { wrong } from "../../work/tensor-json.js";
import { type NamedTensor, shapeText, tensorTypes } from "../../work/tensors.js";

export interface RawTensor {
  readonly name: string;
  readonly datatype: TensorDatatype;
  readonly shape: readonly number[];
  /** What an error names. */
  readonly param: string;
}

/** A copy: the bytes belong to the body, and lie anywhere. @throws MillraceError `tensor_invalid` */
export function rawTensor(bytes: Buffer, raw: RawTensor): NamedTensor {
  const { name, datatype, shape } = raw;
  const elements = elementsOf(shape);
  if (datatype === "BYTES") return rawTexts(bytes, raw, elements);
  const Elements = tensorArrays[tensorTypes[datatype]];
  const wanted = elements * Elements.BYTES_PER_ELEMENT;
  if (bytes.length !== wanted) {
    const size = `${shapeText(shape)} of ${datatype} has ${wanted}`;
    throw wrong(raw, `its data have ${bytes.length} bytes, its shape ${size}`);
  }
  const data = new Elements(elements);
  new Uint8Array(data.buffer).set(bytes);
  if (datatype === "BOOL") {
    const bad = bytes.findIndex((byte) => byte > 1);
    if (bad !== -1) throw wrong(raw, `element ${bad} is no BOOL: ${bytes[bad] ?? ""}`);
  }
  return { name, datatype, shape, data };
}

const lengthBytes = 4;

export function rawTexts(bytes: Buffer, raw: RawTensor, elements: number): NamedTensor {
  // Each has a length at least: nothing is allocated by what the shape says before the bytes are there.
  if (elements * lengthBytes > bytes.length) {
    throw wrong(
      raw,
      `its data have ${bytes.length} bytes, its shape ${shapeText(raw.shape)} has ${elements} texts`,
    );
  }
  const lengths = new Int32Array(elements);
  const data = new Uint8Array(bytes.length - elements * lengthBytes);
  let from = 0;
  let at = 0;
  for (let text = 0; text < elements; text += 1) {
    const left = bytes.length - from - lengthBytes;
    const length = left < 0 ? Infinity : bytes.readUInt32LE(from);
    if (length > left) throw wrong(raw, `text ${text} is longer than what is left of its data`);
    const own = from + lengthBytes;
    // What goes on in the middle of a letter is no text; with that, they are UTF-8 if all of them together are.
    if (length > 0 && ((bytes[own] ?? 0) & 0xc0) === 0x80)
      throw wrong(raw, `text ${text} is not UTF-8`);
    for (let byte = 0; byte < length; byte += 1) data[at + byte] = bytes[own + byte] ?? 0;
    lengths[text] = length;
    at += length;
    from += lengthBytes + length;
  }
  if (from < bytes.length)
    throw wrong(raw, `${bytes.length - from} bytes of its data belong to no text`);
  if (!isUtf8(data)) throw wrong(raw, "its texts are not UTF-8");
  const { name, shape } = raw;
  return { name, datatype: "BYTES", shape, data, lengths };
}

export function rawBytes({ data, lengths }: NamedTensor): Buffer {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (lengths === undefined) return bytes;
  const raw = Buffer.allocUnsafe(bytes.length + lengths.length * lengthBytes);
  let from = 0;
  let at = 0;
  for (const length of lengths) {
    at = raw.writeUInt32LE(length, at);
    at += bytes.copy(raw, at, from, from + length);
    from += length;
  }
  return raw;
}
