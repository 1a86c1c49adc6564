/**
 * The lines of a chunk → calls of routes, and the replies → a result for each line.
 *
 *   native     "text" "text" …   ─► one call with all texts, a line of its reply each
 *              {fields}          ─► a call each
 *   requests   {custom_id, body} ─► a call each, its reply as it is
 */
import { createHash } from "node:crypto";
import { type ErrorCode, isErrorCode, MillraceError, type WireError } from "millrace-client/wire";
import { isJsonObject, type JsonObject } from "../work/payload.js";
import type { RouteCall, RouteReply } from "./jobs.js";
import { noResponseLine, readRequestLine, responseLine } from "./request-lines.js";
import type { StoredJob } from "./store.js";

export interface LineCall {
  /** In the chunk. */
  readonly places: readonly number[];
  readonly route: Pick<RouteCall, "path" | "id" | "body" | "accept">;
  /** Of those places that the reply has something for. */
  read(reply: RouteReply): readonly LineOutcome[];
}

export interface LineOutcome {
  readonly place: number;
  readonly isError: boolean;
  readonly json: string;
  /** Why there is no result, where that may be tried again. */
  readonly code: ErrorCode | null;
}

export interface ChunkLines {
  readonly job: StoredJob;
  readonly index: number;
  readonly firstLine: number;
  readonly texts: readonly string[];
}

export interface LineCallsOptions {
  readonly places: readonly number[];
  /** Of texts that one call has. */
  readonly textsMax: number;
  readonly timeoutMs: number;
}

/** Together they have every place once: lines that no route can be asked for are outcomes at once. */
export function callsOf(
  chunk: ChunkLines,
  options: LineCallsOptions,
): { readonly calls: readonly LineCall[]; readonly outcomes: readonly LineOutcome[] } {
  const calls: LineCall[] = [];
  const outcomes: LineOutcome[] = [];
  const texts: number[] = [];
  for (const place of options.places) {
    try {
      if (chunk.job.form.kind === "requests") calls.push(requestCall(chunk, place));
      else if (isTextLine(textAt(chunk, place))) texts.push(place);
      else calls.push(objectCall(chunk, place, options));
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      outcomes.push(failure(chunk, place, error.toWire()));
    }
  }
  for (let at = 0; at < texts.length; at += options.textsMax) {
    calls.push(textsCall(chunk, texts.slice(at, at + options.textsMax), options));
  }
  return { calls, outcomes };
}

/** A line that has an error as its result. */
export function failure(chunk: ChunkLines, place: number, error: WireError): LineOutcome {
  const { code } = error;
  return { place, isError: true, json: failureJson(chunk, place, error), code };
}

function failureJson(chunk: ChunkLines, place: number, error: WireError): string {
  const line = chunk.firstLine + place;
  const { form } = chunk.job;
  if (form.kind === "native") return `{"line":${line},"error":${JSON.stringify(error)}}`;
  const customId = customIdOf(chunk, place);
  return noResponseLine({ requestId: requestId(chunk.job, line), customId }, error);
}

/** The same whenever the line is run. */
function requestId({ id }: StoredJob, line: number): string {
  return `req_${createHash("sha256").update(`${id}:${line}`).digest("hex").slice(0, 24)}`;
}

function textAt({ texts }: ChunkLines, place: number): string {
  const text = texts[place];
  if (text === undefined) throw new Error(`a chunk has no line ${place}`);
  return text;
}

/** Lines were looked at before: this is for one that a later version refuses. */
function customIdOf(chunk: ChunkLines, place: number): string {
  try {
    const value: unknown = JSON.parse(textAt(chunk, place));
    const id = isJsonObject(value) ? value["custom_id"] : null;
    return typeof id === "string" ? id : "";
  } catch {
    return "";
  }
}

/** @throws MillraceError `bad_request` where it is neither text nor object */
function isTextLine(text: string): boolean {
  if (text.startsWith("{")) return false;
  try {
    if (text.startsWith('"') && typeof JSON.parse(text) === "string") return true;
  } catch {
    // Told below.
  }
  const message = "A line is a text as JSON string, or a JSON object with a request's fields.";
  throw new MillraceError("bad_request", message);
}

function settingsOf({ form }: StoredJob, { timeoutMs }: LineCallsOptions): JsonObject {
  if (form.kind !== "native") throw new Error("a job of requests has no settings");
  const { model, fields } = form;
  return { ...(model === null ? {} : { model }), timeoutMs, ...fields };
}

function pathOf({ form }: StoredJob): string {
  return form.kind === "native" ? `/v1/${form.task}` : form.endpoint;
}

function textsCall(
  chunk: ChunkLines,
  places: readonly number[],
  options: LineCallsOptions,
): LineCall {
  const { job, index } = chunk;
  const settings = JSON.stringify(settingsOf(job, options)).slice(0, -1);
  const texts = places.map((place) => textAt(chunk, place)).join(",");
  return {
    places,
    route: {
      path: pathOf(job),
      id: `${job.id}-${index}`,
      body: Buffer.from(`${settings},"texts":[${texts}]}`, "utf8"),
      accept: "application/x-ndjson",
    },
    read: ({ text }) => {
      const outcomes: LineOutcome[] = [];
      for (const line of text.split("\n")) {
        const [head = "", at] = /^\{"index":(\d+),/.exec(line) ?? [];
        const place = at === undefined ? undefined : places[Number(at)];
        if (place === undefined) continue;
        const rest = line.slice(head.length);
        const isError = rest.startsWith('"error":');
        const code = isError ? codeIn(line) : null;
        const json = `{"line":${chunk.firstLine + place},${rest}`;
        outcomes.push({ place, isError, json, code });
      }
      return outcomes;
    },
  };
}

/** Of an object with an error. */
function codeIn(json: string): ErrorCode | null {
  const value: unknown = JSON.parse(json);
  const error = isJsonObject(value) ? value["error"] : null;
  const code = isJsonObject(error) ? error["code"] : null;
  return isErrorCode(code) ? code : null;
}

/** Of a reply of which items have failed; what may be tried again counts before what may not. */
function codeOfItems(text: string): ErrorCode | null {
  if (!text.includes('{"error":{')) return null;
  const value: unknown = JSON.parse(text);
  const results = isJsonObject(value) ? value["results"] : null;
  if (!Array.isArray(results)) return null;
  const errors = (results as readonly unknown[]).flatMap((item) => {
    const error = isJsonObject(item) ? item["error"] : null;
    return isJsonObject(error) ? [error] : [];
  });
  const code = (errors.find(({ retryable }) => retryable === true) ?? errors[0])?.["code"];
  return isErrorCode(code) ? code : null;
}

function objectCall(chunk: ChunkLines, place: number, options: LineCallsOptions): LineCall {
  const { job, firstLine } = chunk;
  const line = firstLine + place;
  const settings = JSON.stringify(settingsOf(job, options)).slice(0, -1);
  const own = textAt(chunk, place).slice(1);
  // Settings first: of two of one name the line's own counts.
  const comma = own.trimStart().startsWith("}") ? "" : ",";
  return {
    places: [place],
    route: {
      path: pathOf(job),
      id: `${job.id}-line-${line}`,
      body: Buffer.from(`${settings}${comma}${own}`, "utf8"),
      accept: "application/json",
    },
    read: ({ text }) => {
      // Verbatim: a number that is read and written again may look another way.
      const results = text.slice(text.indexOf(',"results":[') + 1);
      const json = `{"line":${line},${results}`;
      return [{ place, isError: false, json, code: codeOfItems(text) }];
    },
  };
}

function requestCall(chunk: ChunkLines, place: number): LineCall {
  const { job, firstLine } = chunk;
  const path = pathOf(job);
  const line = firstLine + place;
  const read = readRequestLine(textAt(chunk, place), { line: line + 1, endpoint: path });
  if ("error" in read) throw new MillraceError(read.error.code, read.error.message);
  const { customId, body } = read.request;
  const id = requestId(job, line);
  return {
    places: [place],
    route: {
      path,
      id,
      body: Buffer.from(JSON.stringify(body), "utf8"),
      accept: "application/json",
    },
    read: (reply) => {
      const json = responseLine({ requestId: id, customId }, reply);
      const code = reply.error?.code ?? codeOfItems(reply.text);
      return [{ place, isError: reply.status >= 400, json, code }];
    },
  };
}
