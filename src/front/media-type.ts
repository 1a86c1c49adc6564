import type { Exchange } from "../listen/http/http-front.js";

/** What the body is said to be, in small letters and without parameters; empty where nothing is said. */
export function mediaTypeOf({ headers }: Pick<Exchange, "headers">): string {
  return (headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

/** Whether the caller named it among those that it takes; what else it names, and how much it would like each, is not weighed. */
export function accepts({ headers }: Pick<Exchange, "headers">, mediaType: string): boolean {
  const accepted = (headers.accept ?? "").split(",");
  return accepted.some((range) => range.split(";", 1)[0]?.trim().toLowerCase() === mediaType);
}
