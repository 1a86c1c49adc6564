/** Why a server did not start, in words that say what to do. */
import { MillraceError } from "millrace-client/wire";
import type { Options } from "../options/options.js";
import { listenerPorts } from "../options/port-contradictions.js";
import { flagOf } from "../options/table.js";
import { type ExitCode, exitCodes, exitCodesOfErrors } from "./exit-codes.js";

export interface StartProblem {
  /** For the log record: `code` for scripts; a stack only where the error is none that we know. */
  readonly fields: object;
  readonly message: string;
  readonly exitCode: ExitCode;
}

export function startProblem(error: unknown, options: Options): StartProblem {
  const exitCode = exitCodes.notStarted;
  if (error instanceof MillraceError) {
    const { code, message } = error;
    // A file that an option names is looked at here only; for scripts it is wrong as the option would be.
    const isUsage = exitCodesOfErrors[code] === exitCodes.usage;
    return { fields: { code }, message, exitCode: isUsage ? exitCodes.usage : exitCode };
  }
  const { code = "" } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  const { host, port, flags } = placeOf(error, options);
  const advice = listenAdvice(code, flags);
  if (advice === null) return { fields: { err: error }, message: "could not start", exitCode };
  const message = `cannot listen on ${host}:${port}: ${advice}`;
  return { fields: { code, host, port }, message, exitCode };
}

interface Place {
  readonly host: string;
  readonly port: number;
  /** What they are called. */
  readonly flags: { readonly host: string; readonly port: string };
}

/** The main port, unless the error says that it was another one's. */
function placeOf(error: unknown, options: Options): Place {
  const said = { port: -1, address: "", hostname: "", ...(error as object) };
  const places = listenerPorts.map((each): Place & { readonly isOn: boolean } => {
    const [host, port] = [options[each.host], options[each.port]];
    const flags = { host: flagOf(each.host), port: flagOf(each.port) };
    return { host, port: port ?? 0, flags, isOn: port !== null };
  });
  const on = places.filter(({ isOn }) => isOn);
  const ofPort = on.filter(({ port }) => port === said.port);
  const found =
    ofPort.find(({ host }) => host === said.address) ??
    ofPort[0] ??
    on.find(({ host }) => host === said.hostname || host === said.address);
  const { host, port } = options;
  return found ?? { host, port, flags: { host: flagOf("host"), port: flagOf("port") } };
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
    // ZeroMQ's, of what is neither an address nor a network interface.
    case "ENODEV":
      return `ZeroMQ resolves no names; give an address as ${flags.host}`;
    default:
      return null;
  }
}
