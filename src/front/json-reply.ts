import type { Reply } from "../listen/http/http-front.js";

/** Of a value, or of what is JSON already. */
export function jsonReply(
  status: number,
  value: object | string,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  const body = typeof value === "string" ? value : JSON.stringify(value);
  return { status, contentType: "application/json; charset=utf-8", body, headers };
}
