/** The lines of an OpenAI batch: what each asks, what is wrong with it in their words, and the line that is its result. Pure. */
import { randomBytes } from "node:crypto";
import type { ErrorCode, WireError } from "millrace-client/wire";
import { type BodyShape, parseJson } from "../work/json-object.js";
import { isJsonObject } from "../work/payload.js";
import { HashTable } from "./hash-table.js";
import type { RequestLine, RouteReply } from "./jobs.js";
import type { JobLineError } from "./store.js";

/** Lines of one batch: their ids are held against each other, which takes 16 MiB for so many. */
export const requestLinesMax = 1_000_000;
export const customIdCharactersMax = 512;
/** That a batch tells; what stands behind them is not looked at. */
const errorsMax = 100;

/** A request within a line: what the route makes of it is the route's business. */
const lineShape: BodyShape = {
  depthMax: 34,
  keysMax: 16_384,
  listsMax: 131_072,
  keepsDigits: false,
};

export type ReadLine = { readonly request: RequestLine } | { readonly error: JobLineError };

/** `line` is from 1, counted with blank ones, which are no lines. */
export function readRequestLine(
  text: string,
  { line, endpoint }: { readonly line: number; readonly endpoint: string },
): ReadLine {
  const wrong = (word: string, message: string, param?: string): ReadLine => ({
    error: lineError({ word, message, line, ...(param === undefined ? {} : { param }) }),
  });
  let value: unknown;
  try {
    value = parseJson(text, lineShape);
  } catch {
    return wrong("invalid_json_line", "This line is not parseable as valid JSON.");
  }
  if (!isJsonObject(value)) {
    return wrong("invalid_request", "Each line of the file must be a JSON object.");
  }
  const { custom_id: customId, method, url, body } = value;
  for (const [param, found] of Object.entries({ custom_id: customId, method, url, body })) {
    if (found !== undefined && found !== null) continue;
    return wrong("missing_required_parameter", `Missing required parameter: '${param}'.`, param);
  }
  if (typeof customId !== "string" || customId === "" || !customId.isWellFormed()) {
    return wrong("invalid_type", "Invalid 'custom_id': expected a string with text.", "custom_id");
  }
  if (customId.length > customIdCharactersMax) {
    const message = `Invalid 'custom_id': string too long. Expected a string with maximum length ${customIdCharactersMax}, but got a string with length ${customId.length} instead.`;
    return wrong("string_above_max_length", message, "custom_id");
  }
  if (method !== "POST") {
    return wrong(
      "invalid_method",
      "Invalid 'method': only POST requests can be batched.",
      "method",
    );
  }
  if (url !== endpoint) {
    const message = "The URL provided for this request does not match the batch endpoint.";
    return wrong("invalid_url", message, "url");
  }
  if (!isJsonObject(body)) {
    return wrong("invalid_type", "Invalid 'body': expected a JSON object.", "body");
  }
  return { request: { customId, endpoint, body } };
}

interface Problem {
  readonly word: string;
  readonly message: string;
  readonly line?: number;
  readonly param?: string;
  /** Default: `bad_request`. */
  readonly code?: ErrorCode;
}

function lineError({ code = "bad_request", ...problem }: Problem): JobLineError {
  return { code, retryable: false, ...problem };
}

/** All lines of one batch, one after the other, but for blank ones. */
export class RequestCheck {
  readonly #endpoint: string;
  readonly #linesMax: number;
  readonly #ids = new HashTable(randomBytes(16));
  readonly #errors: JobLineError[] = [];
  #requests = 0;

  constructor(endpoint: string, linesMax: number = requestLinesMax) {
    this.#endpoint = endpoint;
    this.#linesMax = linesMax;
  }

  /** Nothing behind this line would be told: the batch has failed. */
  get isEnough(): boolean {
    return this.#errors.length >= errorsMax || this.#requests > this.#linesMax;
  }

  /** `line` as of `readRequestLine`. */
  add(text: string, line: number): void {
    const read = readRequestLine(text, { line, endpoint: this.#endpoint });
    this.#requests += 1;
    if (this.#requests > this.#linesMax) {
      if (this.#requests === this.#linesMax + 1) this.#errors.push(tooMany(this.#linesMax));
      return;
    }
    if (this.#errors.length >= errorsMax) return;
    if ("error" in read) {
      this.#errors.push(read.error);
      return;
    }
    const { customId } = read.request;
    if (this.#ids.add(customId)) return;
    const message = `The custom_id '${customId}' for this request is a duplicate of another request. The custom_id parameter must be unique for each request in a batch.`;
    const word = "duplicate_custom_id";
    this.#errors.push(lineError({ word, message, line, param: "custom_id" }));
  }

  /** What is wrong, when there is no further line. */
  finish(): readonly JobLineError[] {
    if (this.#requests > 0 || this.#errors.length > 0) return this.#errors;
    const message = "The file is empty: it has no request.";
    return [
      lineError({ word: "empty_file", message, param: "input_file_id", code: "input_empty" }),
    ];
  }
}

function tooMany(linesMax: number): JobLineError {
  const message = `The file has more than ${linesMax} requests; split it.`;
  return lineError({
    word: "too_many_tasks",
    message,
    param: "input_file_id",
    code: "too_many_items",
  });
}

/** Whose result a line is. */
export interface ResultOf {
  /** The same whenever the request is run. */
  readonly requestId: string;
  readonly customId: string;
}

/** What the route replied, also where it refused: a line without its end. */
export function responseLine(
  of: ResultOf,
  { status, text }: Pick<RouteReply, "status" | "text">,
): string {
  const head = JSON.stringify({ status_code: status, request_id: of.requestId }).slice(0, -1);
  // JSON already, and not parsed again: a number that is read and written may look another way. A line has no line ends within.
  const body = text.trim();
  const oneLine = body.includes("\n") ? JSON.stringify(JSON.parse(body)) : body;
  return `${headOf(of)},"response":${head},"body":${oneLine}},"error":null}`;
}

/** Why it was not run, or has no reply. */
export function noResponseLine(of: ResultOf, { code, message }: WireError): string {
  const error = notRun[code] ?? { code, message };
  return `${headOf(of)},"response":null,"error":${JSON.stringify(error)}}`;
}

const notRun: Partial<Record<ErrorCode, { readonly code: string; readonly message: string }>> = {
  job_cancelled: {
    code: "batch_cancelled",
    message: "This request could not be executed because the batch was cancelled.",
  },
  job_expired: {
    code: "batch_expired",
    message: "This request could not be executed before the completion window expired.",
  },
};

function headOf({ requestId, customId }: ResultOf): string {
  return JSON.stringify({ id: `batch_${requestId}`, custom_id: customId }).slice(0, -1);
}
