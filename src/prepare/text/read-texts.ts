/** Lists of texts in a caller's fields, for every task that takes texts. */
import { MillraceError, type TextOrPair } from "millrace-client/wire";
import { badField, kindOf, loneSurrogate, show } from "../../work/fields.js";

/** @throws MillraceError `bad_request`, `input_empty`, `too_many_items`; `param` is the field. */
export function readList(value: unknown, field: string, inputsMax: number): readonly unknown[] {
  if (!Array.isArray(value)) throw badField(field, `must be a list, not ${kindOf(value)}`);
  if (value.length === 0) {
    throw new MillraceError("input_empty", `\`${field}\` is empty.`, { param: field });
  }
  if (value.length > inputsMax) {
    throw new MillraceError(
      "too_many_items",
      `\`${field}\` has ${value.length} inputs; at most ${inputsMax} are taken.`,
      { param: field },
    );
  }
  return value;
}

/** A list of texts, or one. Throws as `readList`, and `bad_encoding`. */
export function readTexts(value: unknown, field: string, inputsMax: number): readonly string[] {
  const list: unknown = typeof value === "string" ? [value] : value;
  return readList(list, field, inputsMax).map((text, index) =>
    readText(text, `${field}[${index}]`),
  );
}

/** As `readTexts`, where an entry may also be a list of two: `["a", "b"]` by itself is two texts and no pair. */
export function readTextsOrPairs(
  value: unknown,
  field: string,
  inputsMax: number,
): readonly TextOrPair[] {
  const list: unknown = typeof value === "string" ? [value] : value;
  return readList(list, field, inputsMax).map((entry, index) => {
    const param = `${field}[${index}]`;
    return Array.isArray(entry) ? readPair(entry, param) : readText(entry, param);
  });
}

function readPair(entry: readonly unknown[], param: string): readonly [string, string] {
  if (entry.length !== 2)
    throw badField(param, `is a list of ${entry.length}; a pair has two texts`);
  return [readText(entry[0], `${param}[0]`), readText(entry[1], `${param}[1]`)];
}

/** Null characters are text like any other: JSON can say them, and a tokenizer treats them as unknown. */
export function readText(value: unknown, param: string): string {
  if (typeof value !== "string") throw badField(param, `must be a text, not ${kindOf(value)}`);
  if (!value.isWellFormed()) throw loneSurrogate(param);
  return value;
}

/** Token ids; where a vocabulary ends is the model's to say. */
export function readTokenIds(value: unknown, param: string): readonly number[] {
  if (!Array.isArray(value))
    throw badField(param, `must be a list of integers, not ${kindOf(value)}`);
  if (value.length === 0)
    throw new MillraceError("input_empty", `\`${param}\` is empty.`, { param });
  const wrong = value.findIndex((id) => !Number.isInteger(id) || id < 0 || id > 0x7fffffff);
  if (wrong !== -1) {
    throw badField(
      `${param}[${wrong}]`,
      `must be a token id (an integer from 0), not ${show(value[wrong])}`,
    );
  }
  return value as number[];
}

/** An object's head and its place in the list. */
const inputBytes = 32;
const wideCharacter = /[\u0100-\uffff]/;

/** V8 takes eight bytes for each number of a list, and two for each character of a text that has a single wide one. */
export function heldBytes(inputs: readonly (string | readonly (string | number)[])[]): number {
  let bytes = 0;
  for (const input of inputs) {
    bytes += inputBytes;
    if (typeof input === "string") bytes += textBytes(input);
    else if (typeof input[0] === "number") bytes += 8 * input.length;
    else {
      for (const text of input) bytes += inputBytes + textBytes(String(text));
    }
  }
  return bytes;
}

function textBytes(text: string): number {
  return (wideCharacter.test(text) ? 2 : 1) * text.length;
}
