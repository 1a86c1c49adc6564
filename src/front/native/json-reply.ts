import type { Reply } from "../../listen/http/http-front.js";

export function jsonReply(
  status: number,
  value: object,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  const body = JSON.stringify(value);
  return { status, contentType: "application/json; charset=utf-8", body, headers };
}
