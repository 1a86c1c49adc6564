/** The neutral seam over a `Submit` that knows translations only, until tasks read their own fields behind the seam. */
import { apiLimits, MillraceError } from "millrace-client/wire";
import { badField, Fields, kindOf, loneSurrogate, show } from "../work/fields.js";
import type { Submit } from "./contract.js";
import type { SubmitRequest as TranslationRequest, Submit as TranslationSubmit } from "./submit.js";

export interface InputLimits {
  readonly requestItemsMax: number;
}

/** The fields of the task `translate` beside those that every task has. */
export const translationFields = [
  "texts",
  "tokenIds",
  "beams",
  "lengthPenalty",
  "maxLength",
  "nBest",
  "truncate",
  "split",
] as const;

type Field = (typeof translationFields)[number];
type Values = Readonly<Record<string, unknown>>;

export function translationAdapter(inner: TranslationSubmit, limits: InputLimits): Submit {
  return {
    async submit({ task, fields: values, ...request }, signal, { onAccepted, onOutcome }) {
      if (task !== "translate") throw new Error(`there is no task ${task}`);
      const read = readTranslation(values, limits);
      const summary = await inner.submit({ ...request, ...read }, signal, {
        ...(onAccepted === undefined ? {} : { onAccepted }),
        onOutcome: ({ index, item }) =>
          onOutcome({ index, outcome: "error" in item ? item : { value: item } }),
      });
      const { inputs } = read;
      const count = inputs.kind === "texts" ? inputs.texts.length : inputs.tokenIds.length;
      return { ...summary, task, inputs: count };
    },
  };
}

function readTranslation(
  values: Values,
  limits: InputLimits,
): Pick<TranslationRequest, "inputs" | "truncate" | "split" | "settings"> {
  const fields = new Fields(values);
  const settings = readSettings(fields);
  return {
    inputs: readInputs(values, limits),
    truncate: fields.flag("truncate") ?? false,
    split: fields.flag("split") ?? true,
    settings,
  };
}

function readInputs(body: Values, limits: InputLimits): TranslationRequest["inputs"] {
  const { texts, tokenIds } = body;
  if ((texts === undefined) === (tokenIds === undefined)) {
    throw badField("texts", "exactly one of `texts` and `tokenIds` is needed");
  }
  if (texts !== undefined) {
    const list: unknown = typeof texts === "string" ? [texts] : texts;
    return { kind: "texts", texts: readList(list, "texts", limits).map(readText) };
  }
  return {
    kind: "tokenIds",
    tokenIds: readList(tokenIds, "tokenIds", limits).map(readTokenIds),
  };
}

function readList(value: unknown, field: Field, limits: InputLimits): readonly unknown[] {
  if (!Array.isArray(value)) throw badField(field, `must be a list, not ${kindOf(value)}`);
  if (value.length === 0) {
    throw new MillraceError("input_empty", `\`${field}\` is empty.`, { param: field });
  }
  if (value.length > limits.requestItemsMax) {
    throw new MillraceError(
      "too_many_items",
      `\`${field}\` has ${value.length} items; at most ${limits.requestItemsMax} are taken.`,
      { param: field },
    );
  }
  return value;
}

/** Null characters are text like any other: JSON can say them, and a tokenizer treats them as unknown. */
function readText(value: unknown, index: number): string {
  if (typeof value !== "string")
    throw badField(`texts[${index}]`, `must be a text, not ${kindOf(value)}`);
  if (!value.isWellFormed()) throw loneSurrogate(`texts[${index}]`);
  return value;
}

function readTokenIds(value: unknown, index: number): readonly number[] {
  const param = `tokenIds[${index}]`;
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

function readSettings(fields: Fields): TranslationRequest["settings"] {
  const beams = fields.integer("beams", [1, apiLimits.beamsMax]);
  const nBest = fields.integer("nBest", [1, apiLimits.beamsMax]);
  if ((nBest ?? 1) > (beams ?? 1)) {
    throw badField("nBest", `is ${nBest}, but only ${beams ?? 1} beams are kept`);
  }
  const lengthPenalty = fields.finite("lengthPenalty", [-10, 10]);
  const maxLength = fields.integer("maxLength", [2, 1_000_000]);
  return {
    ...(beams === undefined ? {} : { beams }),
    ...(nBest === undefined ? {} : { nBest }),
    ...(lengthPenalty === undefined ? {} : { lengthPenalty }),
    ...(maxLength === undefined ? {} : { maxLength }),
  };
}
