/** Texts and pairs of texts as inputs, for every task whose inputs are items as they stand. */
import type { Gathering, Inputs } from "./task.js";
import { MillraceError, type TextOrPair } from "./wire/index.js";

/** Large enough to be packed well, four at once; small enough that the first is done soon. */
const requestInputsMax = 256;
/** In characters, of a request of texts that come from a long source. */
export const requestCharactersMax = 262_144;

/** Throws `bad_request` or `input_empty`. Copies. */
export function textInputs(texts: string | readonly TextOrPair[]): Inputs {
  const values = copyOfList<TextOrPair>(typeof texts === "string" ? [texts] : texts, "texts");
  for (const [index, value] of values.entries()) {
    if (isText(value)) continue;
    const message = "A text must be a string, or a pair of strings.";
    throw new MillraceError("bad_request", message, { param: `texts[${index}]` });
  }
  const characters = values.reduce((sum, value) => sum + sizeOfText(value), 0);
  return { field: "texts", values, characters, itemsMax: values.length };
}

export function gatherPlainTexts<Value extends TextOrPair>(): Gathering<Value> {
  return {
    sizeOf: sizeOfText,
    inputsOf: textInputs,
    requestInputsMax,
    requestSizeMax: requestCharactersMax,
  };
}

function isText(value: unknown): boolean {
  if (typeof value === "string") return true;
  return Array.isArray(value) && value.length === 2 && value.every((e) => typeof e === "string");
}

function sizeOfText(value: TextOrPair): number {
  return typeof value === "string" ? value.length : value[0].length + value[1].length;
}

/** Throws `bad_request` or `input_empty`. Copies: what the caller does to its list later changes no retry. */
export function copyOfList<Value>(list: readonly Value[], param: string): readonly Value[] {
  if (!Array.isArray(list)) {
    throw new MillraceError("bad_request", `\`${param}\` must be a list.`, { param });
  }
  if (list.length === 0) {
    throw new MillraceError("input_empty", `\`${param}\` is empty.`, { param });
  }
  return [...list];
}
