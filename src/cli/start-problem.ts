/** Why a server did not start, in words that say what to do. */
import { MillraceError } from "millrace-client/wire";
import type { Options } from "../options/options.js";

export interface StartProblem {
  /** For the log record: `code` for scripts; a stack only where the error is none that we know. */
  readonly fields: object;
  readonly message: string;
}

export function startProblem(error: unknown, { host, port }: Options): StartProblem {
  if (error instanceof MillraceError)
    return { fields: { code: error.code }, message: error.message };
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const advice = listenAdvice(code);
  if (advice === null) return { fields: { err: error }, message: "could not start" };
  return { fields: { code, host, port }, message: `cannot listen on ${host}:${port}: ${advice}` };
}

/** Null where the error is not one of listening. */
function listenAdvice(code: string): string | null {
  switch (code) {
    case "EADDRINUSE":
      return "the port is taken; end whoever has it, or give another --port (0 picks a free one)";
    case "EACCES":
      return "this user may not use that port; give a --port of 1024 or more";
    case "EADDRNOTAVAIL":
      return "this machine has no such address; give one of its own as --host, 0.0.0.0 for all";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the name cannot be resolved; correct --host, or give an address (0.0.0.0 for all)";
    default:
      return null;
  }
}
