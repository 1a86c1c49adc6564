/** The header of a safetensors file: what it may say, and every way in which it can lie. */
import { MillraceError } from "millrace-client/wire";
import type { TensorInfo } from "./tensor-file.js";

export interface SafetensorsEntry extends TensorInfo {
  /** From the start of the file. */
  readonly byteOffset: number;
}

/** Bytes before the header, which hold its length. */
export const lengthBytes: number = 8;

/** The reference implementation's bound. */
const headerBytesMax = 100_000_000;
/** Bounds what JSON.parse builds from a header: a hundred megabytes of `{}` would take gigabytes. */
const objectsMax = 3_000_000;
/** The header is an object of objects that hold lists. */
const depthMax = 3;

const elementBytesOf: ReadonlyMap<string, number> = new Map([
  ...["BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"].map((type) => [type, 1] as const),
  ...["U16", "I16", "F16", "BF16"].map((type) => [type, 2] as const),
  ...["U32", "I32", "F32"].map((type) => [type, 4] as const),
  ...["U64", "I64", "F64", "C64"].map((type) => [type, 8] as const),
]);

/** Checks the length against the bound and the file, before anybody takes memory for the header. */
export function readHeaderLength(bytes: Uint8Array, fileBytes: number): number {
  if (bytes.byteLength < lengthBytes) {
    throw invalid(`the file has ${fileBytes} bytes, too few for a header length`);
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > headerBytesMax) {
    throw invalid(`the header length is ${length} bytes; the limit is ${headerBytesMax}`);
  }
  if (length > fileBytes - lengthBytes) {
    throw invalid(`the header length is ${length} bytes, but the file has ${fileBytes}`);
  }
  return Number(length);
}

/** The entries in the order of the header, checked against each other and against the size of the file. */
export function parseHeader(header: Uint8Array, fileBytes: number): Map<string, SafetensorsEntry> {
  const dataStart = lengthBytes + header.byteLength;
  const entries = new Map<string, SafetensorsEntry>();
  for (const [name, value] of Object.entries(parseJson(header))) {
    if (name === "__metadata__") continue;
    entries.set(name, parseEntry(name, value, dataStart));
  }
  checkCoverage([...entries.values()], dataStart, fileBytes);
  return entries;
}

function parseJson(header: Uint8Array): object {
  let value: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(header);
    checkStructure(text);
    value = JSON.parse(text);
  } catch (cause) {
    if (cause instanceof MillraceError) throw cause;
    throw invalid("the header is not JSON", cause);
  }
  if (!isObject(value)) throw invalid("the header is not a JSON object");
  return value;
}

/**
 * Walks over the text before it is parsed and refuses what JSON.parse would let pass: a key that comes twice
 * in one object (the last would win), lists in lists, and more objects than any model has tensors.
 */
function checkStructure(text: string): void {
  /** The open objects and lists; an object is the set of its keys so far. */
  const open: (Set<string> | null)[] = [];
  let objects = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === "{" || character === "[") {
      objects += 1;
      open.push(character === "{" ? new Set() : null);
      if (open.length > depthMax) throw invalid("the header is nested too deeply");
      if (objects > objectsMax)
        throw invalid(`the header has over ${objectsMax} objects and lists`);
    } else if (character === "}" || character === "]") {
      open.pop();
    } else if (character === '"') {
      const end = endOfString(text, at);
      if (isKey(text, end)) addKey(open.at(-1), text.slice(at, end));
      at = end - 1;
    }
  }
}

/** The place after the closing quote. A string that never ends is left to JSON.parse, which says so. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

function isKey(text: string, from: number): boolean {
  let at = from;
  while (at < text.length && " \t\r\n".includes(text.charAt(at))) at += 1;
  return text[at] === ":";
}

function addKey(keys: Set<string> | null | undefined, quoted: string): void {
  const key = String(JSON.parse(quoted));
  if (keys?.has(key)) throw invalid(`the header has the key ${JSON.stringify(key)} twice`);
  keys?.add(key);
}

function parseEntry(name: string, value: unknown, dataStart: number): SafetensorsEntry {
  const label = `tensor ${JSON.stringify(name)}`;
  if (!isObject(value)) throw invalid(`${label} is not described by an object`);
  const fields: Partial<Record<"dtype" | "shape" | "data_offsets", unknown>> = value;
  const { dtype, shape, data_offsets: offsets } = fields;
  const elementBytes = typeof dtype === "string" ? elementBytesOf.get(dtype) : undefined;
  if (typeof dtype !== "string" || elementBytes === undefined) {
    throw invalid(`${label} has the unknown dtype ${brief(dtype)}`);
  }
  if (!isSizes(shape)) throw invalid(`${label} has the shape ${brief(shape)}`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw invalid(`${label} has the data_offsets ${brief(offsets)}`);
  }
  const [from = 0, to = 0] = offsets;
  if (to < from) throw invalid(`${label} has data_offsets that end before they begin`);
  const byteLength = shape.reduce((product, size) => {
    const next = product * size;
    if (next > Number.MAX_SAFE_INTEGER)
      throw invalid(`${label} has an absurd shape ${brief(shape)}`);
    return next;
  }, elementBytes);
  if (byteLength !== to - from) {
    const claim = `shape ${brief(shape)} of ${dtype} is ${byteLength} bytes`;
    throw invalid(`${label}: its ${claim}, its data_offsets span ${to - from}`);
  }
  return { name, dtype, shape, byteOffset: dataStart + from, byteLength };
}

/** The tensors, in order of their place, must follow each other to the last byte of the file. */
function checkCoverage(entries: SafetensorsEntry[], dataStart: number, fileBytes: number): void {
  entries.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let end = dataStart;
  for (const { name, byteOffset, byteLength } of entries) {
    const label = `tensor ${JSON.stringify(name)}`;
    if (byteOffset < end) throw invalid(`${label} overlaps the tensor before it`);
    if (byteOffset > end)
      throw invalid(`${label} leaves a gap of ${byteOffset - end} bytes before it`);
    end = byteOffset + byteLength;
    if (end > fileBytes) {
      throw invalid(`${label} ends at byte ${end}, but the file has ${fileBytes}: it is truncated`);
    }
  }
  if (end < fileBytes) throw invalid(`${fileBytes - end} bytes follow the last tensor`);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** What a stranger wrote, short enough for a message. */
function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? "that is missing";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function invalid(message: string, cause?: unknown): MillraceError {
  return new MillraceError("weights_invalid", message, { cause });
}
