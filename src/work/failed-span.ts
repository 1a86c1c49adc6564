/** How a span ends whose request failed: with its code, and as an error where that is the server's doing, as the conventions have it. */
import { errorRegistry, MillraceError } from "millrace-client/wire";
import type { TraceSpan } from "./trace-span.js";

/** Also of the caller who left: nobody has an answer. */
export function endFailed(span: TraceSpan | null | undefined, thrown: unknown): void {
  if (span === null || span === undefined) return;
  const code = thrown instanceof MillraceError ? thrown.code : "internal";
  span.set({ "millrace.error.code": code });
  const status = errorRegistry[code].status ?? 500;
  span.end(status >= 499 ? { error: code } : {});
}
