import type { Exchange } from "../listen/http/http-front.js";

/** What the body is said to be, in small letters and without parameters; empty where nothing is said. */
export function mediaTypeOf({ headers }: Pick<Exchange, "headers">): string {
  return (headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}
