/** Errors in OpenAI's words: their clients choose the class by the status, and callers ask for `type` and `code`. */
import { type ErrorCode, errorRegistry, type MillraceError } from "millrace-client/wire";
import type { Reply } from "../../listen/http/http-front.js";
import type { JsonObject } from "../../work/payload.js";
import { errorHead } from "../reply-heads.js";

const types = [
  "invalid_request_error",
  "permission_error",
  "rate_limit_error",
  "insufficient_quota",
  "server_error",
] as const;

type ErrorType = (typeof types)[number];

interface Told {
  readonly status?: number;
  readonly type?: ErrorType;
  /** Default: Millrace's own, where that protocol has no word for it. */
  readonly code?: string;
}

/** What is said otherwise than by its status in the registry of codes. */
const told: Partial<Readonly<Record<ErrorCode, Told>>> = {
  // That protocol has 400 for whatever is wrong with the request itself.
  too_many_items: { status: 400, code: "array_above_max_length" },
  input_empty: { status: 400 },
  input_too_long: { status: 400, code: "context_length_exceeded" },
  token_out_of_range: { status: 400 },
  not_found: { code: "unknown_url" },
  method_not_allowed: { code: "method_not_supported" },
  unauthenticated: { code: "invalid_api_key" },
  forbidden: { type: "permission_error", code: "insufficient_permissions" },
  job_not_found: { code: "batch_not_found" },
  jobs_off: { code: "batches_not_supported" },
  rate_limited: { code: "rate_limit_exceeded" },
  quota_exceeded: { type: "insufficient_quota", code: "insufficient_quota" },
};

export function openAiError(error: MillraceError): Reply {
  const { code, message, param = null, retryable } = error;
  const head = errorHead(error);
  const { status = head.status, type = typeOf(status), code: toldCode = code } = told[code] ?? {};
  const body = { error: { message, type, param, code: toldCode } };
  return {
    status,
    contentType: "application/json",
    body: JSON.stringify(body),
    // Their clients would try a 429, and what is from 500, again, whatever it is; unless they are told.
    headers: { ...head.headers, "x-should-retry": String(retryable) },
  };
}

function typeOf(status: number): ErrorType {
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

export const openAiErrorSchema: JsonObject = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["message", "type", "param", "code"],
      properties: {
        message: { type: "string" },
        type: { enum: types },
        param: { type: ["string", "null"], description: "The field that is wrong, as `input[3]`." },
        code: {
          type: "string",
          enum: [
            ...new Set(
              (Object.keys(errorRegistry) as ErrorCode[]).map((code) => told[code]?.code ?? code),
            ),
          ],
        },
      },
    },
  },
};
