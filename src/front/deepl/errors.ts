/** Errors in DeepL's words: a message, and a status of which its clients make a class. */
import type { ErrorCode, MillraceError } from "millrace-client/wire";
import type { Reply } from "../../listen/http/http-front.js";
import type { JsonObject } from "../../work/payload.js";
import { errorHead } from "../reply-heads.js";

/** What has another status there than in the registry of codes. */
const statuses: Partial<Readonly<Record<ErrorCode, number>>> = {
  unauthenticated: 403,
  quota_exceeded: 456,
  input_empty: 400,
  input_too_long: 400,
  item_failed: 400,
  item_poison: 400,
};

export function deepLError(error: MillraceError): Reply {
  const { status, headers } = errorHead(error);
  return {
    status: statuses[error.code] ?? status,
    contentType: "application/json",
    body: JSON.stringify({ message: error.message }),
    headers,
  };
}

export const deepLErrorSchema: JsonObject = {
  type: "object",
  required: ["message"],
  properties: { message: { type: "string" } },
};
