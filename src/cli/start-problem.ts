/** Why a server did not start, in words that say what to do. */
import { MillraceError } from "millrace-client/wire";
import type { Options } from "../options/options.js";

export interface StartProblem {
  /** For the log record: `code` for scripts; a stack only where the error is none that we know. */
  readonly fields: object;
  readonly message: string;
}

export function startProblem(error: unknown, options: Options): StartProblem {
  if (error instanceof MillraceError)
    return { fields: { code: error.code }, message: error.message };
  const { code = "" } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  const { host, port, flags } = placeOf(error, options);
  const advice = listenAdvice(code, flags);
  if (advice === null) return { fields: { err: error }, message: "could not start" };
  return { fields: { code, host, port }, message: `cannot listen on ${host}:${port}: ${advice}` };
}

interface Place {
  readonly host: string;
  readonly port: number;
  /** What they are called. */
  readonly flags: { readonly host: string; readonly port: string };
}

/** The main port, unless the error says that it was the operators'. */
function placeOf(error: unknown, { host, port, adminHost, adminPort }: Options): Place {
  const said = { port: 0, hostname: "", ...(error as object) };
  if (adminPort !== null && (said.port === adminPort || said.hostname === adminHost)) {
    const flags = { host: "--admin-host", port: "--admin-port" };
    return { host: adminHost, port: adminPort, flags };
  }
  return { host, port, flags: { host: "--host", port: "--port" } };
}

/** Null where the error is not one of listening. */
function listenAdvice(code: string, flags: Place["flags"]): string | null {
  switch (code) {
    case "EADDRINUSE":
      return `the port is taken; end whoever has it, or give another ${flags.port} (0 picks a free one)`;
    case "EACCES":
      return `this user may not use that port; give a ${flags.port} of 1024 or more`;
    case "EADDRNOTAVAIL":
      return `this machine has no such address; give one of its own as ${flags.host}, 0.0.0.0 for all`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the name cannot be resolved; correct ${flags.host}, or give an address (0.0.0.0 for all)`;
    default:
      return null;
  }
}
