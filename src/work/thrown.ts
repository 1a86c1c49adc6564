/** What was thrown may be anything: what can be told of it. */
import { type ErrorCode, MillraceError } from "millrace-client/wire";

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** An error of the system, such as `ENOENT`. */
export function hasCode(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === code;
}

/** What a caller is told of it: what is none of the registry's is a bug. */
export function errorCodeOf(thrown: unknown): ErrorCode {
  return thrown instanceof MillraceError ? thrown.code : "internal";
}
