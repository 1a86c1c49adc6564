/** The fields of a request that are this task's own: JSON → inputs and settings. */
import { embedPoolings } from "millrace-client/wire";
import { type EncoderTextInput, truncateEnds } from "../../prepare/text/encoder-texts.js";
import {
  heldBytes,
  readList,
  readText,
  readTextsOrPairs,
  readTokenIds,
} from "../../prepare/text/read-texts.js";
import { badField, Fields, kindOf } from "../../work/fields.js";
import type { ReadLimits, TaskRequest } from "../task.js";

/** What inputs may be; a request has those of one kind. */
export const embedInputFields = ["texts", "tokenIds", "tokens"] as const;

export type EmbedInputField = (typeof embedInputFields)[number];

export const embedFields: readonly string[] = [
  ...embedInputFields,
  "pooling",
  "layer",
  "normalize",
  "dimensions",
  "encoding",
  "truncate",
  "truncateFrom",
  "maxTokens",
  "returnTokens",
  "maskSpecial",
];

/** As far as any model goes; a model's own are fewer. */
const layersMax = 10_000;
const dimensionsMax = 1_000_000;
const tokensMax = 10_000_000;

/** @throws MillraceError `bad_request`, `bad_encoding`, `too_many_items`, `input_empty`; `param` says where. */
export function readEmbed(
  body: Readonly<Record<string, unknown>>,
  { requestInputsMax }: ReadLimits,
): TaskRequest<EncoderTextInput> {
  const fields = new Fields(body);
  const named = {
    pooling: fields.choice("pooling", embedPoolings),
    layer: fields.integer("layer", [-layersMax, -1]),
    normalize: fields.flag("normalize"),
    dimensions: fields.integer("dimensions", [1, dimensionsMax]),
    encoding: fields.choice("encoding", ["float", "base64"] as const),
    truncate: fields.flag("truncate"),
    truncateFrom: fields.choice("truncateFrom", truncateEnds),
    maxTokens: fields.integer("maxTokens", [1, tokensMax]),
    returnTokens: fields.flag("returnTokens"),
    maskSpecial: fields.flag("maskSpecial"),
  };
  const { kind, inputs, bytes } = readInputs(fields, requestInputsMax);
  const settings: Record<string, string | number | boolean> = { kind };
  for (const [name, value] of Object.entries(named)) {
    if (value !== undefined) settings[name] = value;
  }
  return { inputs, settings, bytes };
}

interface ReadInputs {
  readonly kind: EmbedInputField;
  readonly inputs: readonly EncoderTextInput[];
  readonly bytes: number;
}

function readInputs(fields: Fields, inputsMax: number): ReadInputs {
  const [kind, ...others] = embedInputFields.filter((each) => fields.value(each) !== undefined);
  if (kind === undefined || others.length > 0) {
    throw badField("texts", "exactly one of `texts`, `tokenIds` and `tokens` is needed");
  }
  const value = fields.value(kind);
  switch (kind) {
    case "texts": {
      const inputs = readTextsOrPairs(value, kind, inputsMax);
      return { kind, inputs, bytes: heldBytes(inputs) };
    }
    case "tokenIds": {
      const lists = readList(value, kind, inputsMax).map((ids, index) =>
        readTokenIds(ids, `${kind}[${index}]`),
      );
      return { kind, inputs: lists.map((tokenIds) => ({ tokenIds })), bytes: heldBytes(lists) };
    }
    case "tokens": {
      const lists = readList(value, kind, inputsMax).map((tokens, index) =>
        readTokens(tokens, `${kind}[${index}]`),
      );
      return { kind, inputs: lists.map((tokens) => ({ tokens })), bytes: heldBytes(lists.flat()) };
    }
  }
}

/** A text's tokens, or a list of two such lists. */
function readTokens(value: unknown, param: string): readonly (readonly string[])[] {
  if (!Array.isArray(value)) {
    throw badField(param, `must be a list of tokens, not ${kindOf(value)}`);
  }
  const list: readonly unknown[] = value;
  if (!Array.isArray(list[0])) return [readTokenTexts(list, param)];
  if (list.length !== 2) {
    throw badField(param, `is a list of ${list.length} lists; a pair has two lists of tokens`);
  }
  return list.map((each, index) => readTokenTexts(each, `${param}[${index}]`));
}

function readTokenTexts(value: unknown, param: string): readonly string[] {
  if (!Array.isArray(value)) {
    throw badField(param, `must be a list of tokens, not ${kindOf(value)}`);
  }
  return value.map((token, index) => readText(token, `${param}[${index}]`));
}
