/** The text of a body → a JSON object, strictly, and with nothing in it that would hold the event loop. */
import { MillraceError } from "millrace-client/wire";
import { kindOf } from "./fields.js";
import { messageOf } from "./thrown.js";

/** What a body may be like: more of either and it is refused before it is parsed. */
export interface BodyShape {
  /** Deepest value of a valid body. */
  readonly depthMax: number;
  readonly keysMax: number;
  /** Lists of tensors with short rows: a million take ten times as long to parse as their numbers do. */
  readonly listsMax: number;
  /** Integers of sixteen digits or more come as strings of their digits: a double would lose some. */
  readonly keepsDigits: boolean;
}

const backslash = 0x5c;
/** Looked at without a pause: some milliseconds. */
const stepCharacters = 256 * 1024;

/**
 * The object, its list, a list of token ids, and some room, so that types are named first; twelve fields and room for mistakes
 * that deserve their names in the answer.
 */
export const usualBody: BodyShape = {
  depthMax: 8,
  keysMax: 64,
  listsMax: Infinity,
  keepsDigits: false,
};

/** Tensors nest as deep as they have axes, and a model may have a thousand inputs. */
export const tensorBody: BodyShape = {
  depthMax: 32,
  keysMax: 16_384,
  listsMax: 131_072,
  keepsDigits: true,
};

/** @throws MillraceError `bad_request` */
export function parseObject(
  text: string,
  shape: BodyShape = usualBody,
): Readonly<Record<string, unknown>> {
  const steps = parseSteps(text, shape);
  for (;;) {
    const next = steps.next();
    if (next.done === true) return next.value;
  }
}

/** Whatever JSON can say. @throws MillraceError `bad_request` */
export function parseJson(text: string, shape: BodyShape = usualBody): unknown {
  const steps = valueSteps(text, shape);
  for (;;) {
    const next = steps.next();
    if (next.done === true) return next.value;
  }
}

/** As `parseObject` in steps, of which the longest is that of `JSON.parse`. */
export function* parseSteps(
  text: string,
  shape: BodyShape,
): Generator<undefined, Readonly<Record<string, unknown>>> {
  const value = yield* valueSteps(text, shape);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new MillraceError("bad_request", `The body must be a JSON object, not ${kindOf(value)}.`);
  }
  return value as Readonly<Record<string, unknown>>;
}

function* valueSteps(text: string, shape: BodyShape): Generator<undefined, unknown> {
  yield* checkShape(text, shape);
  const kept = shape.keepsDigits ? withWideDigits(text) : text;
  yield;
  try {
    return JSON.parse(kept) as unknown;
  } catch (cause) {
    throw new MillraceError("bad_request", `The body is not JSON: ${briefMessageOf(cause)}.`, {
      cause,
    });
  }
}

/**
 * One pass before `JSON.parse`, which is quick for what we expect and slow for what we do not: two million opening
 * brackets hold the event loop for 0.6 s, four hundred thousand keys for 0.2 s, where 4 MiB of texts take 20 ms.
 */
function* checkShape(
  text: string,
  { depthMax, keysMax, listsMax }: BodyShape,
): Generator<undefined, void> {
  const quote = 0x22;
  let depth = 0;
  let keys = 0;
  let lists = 0;
  let paused = 0;
  for (let at = 0; at < text.length; at++) {
    if (at - paused > stepCharacters) {
      paused = at;
      yield;
    }
    switch (text.charCodeAt(at)) {
      case quote:
        do {
          at = text.indexOf('"', at + 1);
          if (at === -1) return; // Not closed: JSON.parse will say so.
        } while (text.charCodeAt(at - 1) === backslash && isEscaped(text, at));
        break;
      case 0x5b: // [
        if (++lists > listsMax) {
          throw badShape(`has more than ${listsMax} lists: send large tensors flat`);
        }
        if (++depth > depthMax) throw badShape(`nests deeper than ${depthMax}`);
        break;
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

/**
 * The text with integers that a double may not hold in quotes; the same text where there are none. One pass over such integers and
 * one over the quotes before them: a body may be a million short strings, and a slice for each would hold the event loop for a second.
 */
function withWideDigits(text: string): string {
  let outside = 0;
  let quote = nextQuote(text, outside);
  return text.replace(wideInteger, (digits, index: number) => {
    while (quote < index) {
      outside = endOfString(text, quote);
      quote = nextQuote(text, outside);
    }
    // The last string may have begun before it and end behind it.
    return outside > index ? digits : `"${digits}"`;
  });
}

function nextQuote(text: string, from: number): number {
  const at = text.indexOf('"', from);
  return at === -1 ? text.length : at;
}

/** Of a number of its own: no part of a fraction or an exponent. Longer ones are no number of any type. */
const wideInteger = /(?<![\d.eE+-])-?\d{16,400}(?![\d.eE])/g;

/** Behind the closing quote; the end of the text where there is none, which JSON.parse will say. */
function endOfString(text: string, open: number): number {
  let at = open;
  do {
    at = text.indexOf('"', at + 1);
    if (at === -1) return text.length;
  } while (text.charCodeAt(at - 1) === backslash && isEscaped(text, at));
  return at + 1;
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

function briefMessageOf(cause: unknown): string {
  // V8 quotes the text around the mistake; a caller's sentences do not belong into logs and replies at length.
  const message = messageOf(cause);
  return message.length > 120 ? `${message.slice(0, 120)}…` : message;
}
