/**
 * What the lines of a job are counted as for a key: as many inputs as the line's route would read, and one where it would read none, for
 * a line that fails has its result too. Lines are counted before anybody looks at them otherwise.
 *
 *   "text"                             1
 *   {"texts": [a, b, c], …}            3
 *   {"custom_id": …, "body": {…}}      as its body; `input` is a text, token ids, or a list of either
 */
import type { KeyAmount } from "../access/access.js";
import { inputFields } from "../work/input-fields.js";
import { type BodyShape, parseJson } from "../work/json-object.js";
import { isJsonObject } from "../work/payload.js";
import { linesInChunk } from "./line-chunks.js";
import type { Chunk } from "./store.js";

export const nothing: KeyAmount = { inputs: 0, characters: 0 };

/** As generous as the most generous route: what is refused here would be refused there, and is one input. */
const lineShape: BodyShape = {
  depthMax: 34,
  keysMax: 16_384,
  listsMax: Infinity,
  keepsDigits: false,
};

/** Those in which texts are; of the others no characters are counted. */
const textFields: readonly string[] = ["texts", "input"];

export function amountOfChunk(chunk: Pick<Chunk, "bytes">): KeyAmount {
  return linesInChunk(chunk)
    .map(({ text }) => amountOfLine(text))
    .reduce(sumOf, nothing);
}

export function amountOfLine(text: string): KeyAmount {
  let value: unknown;
  try {
    value = parseJson(text, lineShape);
  } catch {
    return one;
  }
  if (typeof value === "string") return { inputs: 1, characters: value.length };
  if (!isJsonObject(value)) return one;
  const { body = value } = value;
  if (!isJsonObject(body)) return one;
  // A request has inputs of one kind; one that has more is refused, and is counted as the largest.
  return [...inputFields, "input"]
    .map((field) => amountOfField(field, body[field]))
    .reduce((most, each) => (each.inputs >= most.inputs ? each : most), one);
}

export function sumOf(left: KeyAmount, right: KeyAmount): KeyAmount {
  return {
    inputs: left.inputs + right.inputs,
    characters: left.characters + right.characters,
  };
}

const one: KeyAmount = { inputs: 1, characters: 0 };

function amountOfField(field: string, value: unknown): KeyAmount {
  if (value === undefined) return nothing;
  // Numbers are the token ids of one text.
  const isOne = !Array.isArray(value) || typeof value[0] === "number";
  const inputs = isOne ? 1 : Math.max(1, value.length);
  return { inputs, characters: textFields.includes(field) ? charactersOf(value) : 0 };
}

/** Of a text, of a list of texts, or of pairs of texts. */
function charactersOf(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (!Array.isArray(value) || typeof value[0] === "number") return 0;
  let characters = 0;
  for (const each of value as readonly unknown[]) characters += charactersOf(each);
  return characters;
}
