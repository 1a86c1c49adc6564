/** How a span ends whose request failed: with its code, and as an error where that is the server's doing, as the conventions have it. */
import { type ErrorCode, errorRegistry } from "millrace-client/wire";
import { errorCodeOf } from "./thrown.js";
import type { TraceSpan } from "./trace-span.js";

export function endFailed(span: TraceSpan | null | undefined, thrown: unknown): void {
  if (span === null || span === undefined) return;
  const code = errorCodeOf(thrown);
  span.set({ "millrace.error.code": code });
  span.end(isSpanError(code) ? { error: code } : {});
}

/** Also of the caller who left (499): nobody has an answer. */
export function isSpanError(code: ErrorCode): boolean {
  return (errorRegistry[code].status ?? 500) >= 499;
}
