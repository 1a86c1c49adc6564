/**
 * The body of `POST /v1/translate` → what submit takes. Strict: a field that we do not know is refused, for a
 * caller who wrote `beam: 4` would otherwise get greedy results and never learn why.
 */
import { apiLimits, MillraceError, type WorkClass } from "millrace-client/wire";
import type { SubmitRequest } from "../../submit/submit.js";
import { badField, Fields, kindOf, loneSurrogate, show } from "../../work/fields.js";

export interface TranslateLimits {
  readonly requestInputsMax: number;
  readonly requestTimeoutMsMax: number;
}

export interface ParsedTranslate {
  readonly request: Omit<SubmitRequest, "id" | "deadlineAtMs" | "payloadBytes">;
  /** Null: the caller named none. */
  readonly timeoutMs: number | null;
}

/** @throws MillraceError `bad_request`, `bad_encoding`, `too_many_items`, `input_empty`; `param` says where. */
export function parseTranslate(text: string, limits: TranslateLimits): ParsedTranslate {
  const body = parseObject(text);
  const fields = new Fields(body);
  fields.refuseUnknown(knownFields);
  const settings = readSettings(fields);
  return {
    request: {
      inputs: readInputs(body, limits),
      model: fields.text("model", 256) ?? null,
      class: fields.choice<WorkClass>("class", ["realtime", "bulk"]) ?? null,
      tenant: fields.text("tenant", apiLimits.tenantCharactersMax) ?? "default",
      truncate: fields.flag("truncate") ?? false,
      split: fields.flag("split") ?? true,
      settings,
    },
    timeoutMs: fields.integer("timeoutMs", [1, limits.requestTimeoutMsMax]) ?? null,
  };
}

const knownFields = [
  "texts",
  "tokenIds",
  "model",
  "class",
  "beams",
  "lengthPenalty",
  "maxLength",
  "nBest",
  "timeoutMs",
  "tenant",
  "truncate",
  "split",
] as const;

type Field = (typeof knownFields)[number];
type JsonObject = Readonly<Record<string, unknown>>;

/** Deepest value of a valid body: the object, its list, a list of token ids. Some room, so that types are named first. */
const depthMax = 8;
/** Twelve fields and room for mistakes that deserve their names in the answer. */
const keysMax = 64;

function parseObject(text: string): JsonObject {
  checkShape(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new MillraceError("bad_request", `The body is not JSON: ${messageOf(cause)}.`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new MillraceError("bad_request", `The body must be a JSON object, not ${kindOf(value)}.`);
  }
  return value as JsonObject;
}

/**
 * One pass before `JSON.parse`, which is quick for what we expect and slow for what we do not: two million opening
 * brackets hold the event loop for 0.6 s, four hundred thousand keys for 0.2 s, where 4 MiB of texts take 20 ms.
 */
function checkShape(text: string): void {
  const quote = 0x22;
  const backslash = 0x5c;
  let depth = 0;
  let keys = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case quote:
        do {
          at = text.indexOf('"', at + 1);
          if (at === -1) return; // Not closed: JSON.parse will say so.
        } while (text.charCodeAt(at - 1) === backslash && isEscaped(text, at));
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > depthMax) throw badShape(`nests deeper than ${depthMax}`);
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
        break;
      case 0x3a: // :
        if (++keys > keysMax) throw badShape(`has more than ${keysMax} keys`);
        break;
    }
  }
}

/** An odd number of backslashes stands before it. */
function isEscaped(text: string, at: number): boolean {
  let first = at;
  while (text[first - 1] === "\\") first--;
  return (at - first) % 2 === 1;
}

function badShape(what: string): MillraceError {
  return new MillraceError("bad_request", `The body ${what}; no valid request does.`);
}

function readInputs(body: JsonObject, limits: TranslateLimits): SubmitRequest["inputs"] {
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

function readList(value: unknown, field: Field, limits: TranslateLimits): readonly unknown[] {
  if (!Array.isArray(value)) throw badField(field, `must be a list, not ${kindOf(value)}`);
  if (value.length === 0) {
    throw new MillraceError("input_empty", `\`${field}\` is empty.`, { param: field });
  }
  if (value.length > limits.requestInputsMax) {
    throw new MillraceError(
      "too_many_items",
      `\`${field}\` has ${value.length} items; at most ${limits.requestInputsMax} are taken.`,
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

function readSettings(fields: Fields): SubmitRequest["settings"] {
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

function messageOf(cause: unknown): string {
  // V8 quotes the text around the mistake; a caller's sentences do not belong into logs and replies at length.
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.length > 120 ? `${message.slice(0, 120)}…` : message;
}
