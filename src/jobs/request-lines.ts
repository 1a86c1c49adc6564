/** A line of an OpenAI batch → the request that it is, and what comes of it → a line of the output. */
import { MillraceError, type WireError } from "millrace-client/wire";
import { parseObject, tensorBody } from "../work/json-object.js";
import { isJsonObject } from "../work/payload.js";
import type { RequestLine } from "./jobs.js";

/** @throws MillraceError `bad_request` */
export function readRequestLine(text: string, endpoint: string): RequestLine {
  const { custom_id: customId, method, url, body } = parseObject(text, tensorBody);
  if (typeof customId !== "string") throw wrong("custom_id", "must be a string");
  if (method !== "POST") throw wrong("method", "must be POST");
  if (url !== endpoint) throw wrong("url", `must be ${endpoint}, as the batch says`);
  if (!isJsonObject(body)) throw wrong("body", "must be an object");
  return { customId, endpoint, body };
}

function wrong(param: string, what: string): MillraceError {
  return new MillraceError("bad_request", `${param} ${what}.`, { param });
}

/** `body`: JSON as the route wrote it. */
export function requestResult(
  { id, customId }: { readonly id: string; readonly customId: string },
  { status, body }: { readonly status: number; readonly body: string },
): string {
  const custom = JSON.stringify(customId);
  const response = `{"status_code":${status},"request_id":${JSON.stringify(id)},"body":${body}}`;
  return `{"id":"batch_${id}","custom_id":${custom},"response":${response},"error":null}`;
}

/** Of a line that was not run. */
export function requestNotRun(id: string, customId: string, { code, message }: WireError): string {
  const error = { code, message };
  return JSON.stringify({ id: `batch_${id}`, custom_id: customId, response: null, error });
}
