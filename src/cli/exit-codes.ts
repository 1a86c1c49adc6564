/** What the command's exit status means, for scripts: the only place where a number is given to it. See docs/command.md. */
import type { ErrorCode } from "millrace-client/wire";

export const exitCodes = {
  /** Everything was done. */
  ok: 0,
  /** A bug, or an error that has no status of its own below. */
  failed: 1,
  /** A flag, variable, file or argument is wrong; nothing was started. */
  usage: 2,
  /** The server could not start: the port is taken, or no model or pipeline came up. */
  notStarted: 3,
  /** The server stopped, but work was cut off when `drainMs` was over. */
  drainCutOff: 4,
  /** The server could not be reached, is not ready, or answered what is no reply of Millrace. */
  unreachable: 5,
  /** Some items failed; the others were done. */
  itemsFailed: 6,
  /** Another deployment answered than the one that was expected. */
  wrongDeployment: 7,
  /** The server broke down inside, which is a bug: every request failed, and it stopped. */
  broken: 8,
  /** Another run writes to the same output, or another server keeps its jobs there; nothing was touched. */
  outputInUse: 9,
  /** The server knows no such key, or the key may not do this. */
  refused: 10,
  /** `doctor`: something is wrong. */
  problemsFound: 11,
  /** Ctrl-C or SIGTERM ended the command; for `serve`, a second one ended it at once. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** The status with which an error ends a command; what is not named is `failed`. */
export const exitCodesOfErrors: Readonly<Partial<Record<ErrorCode, ExitCode>>> = {
  option_invalid: exitCodes.usage,
  key_file_invalid: exitCodes.usage,
  unauthenticated: exitCodes.refused,
  forbidden: exitCodes.refused,
  connection_failed: exitCodes.unreachable,
  response_invalid: exitCodes.unreachable,
  not_ready: exitCodes.unreachable,
  draining: exitCodes.unreachable,
  too_many_connections: exitCodes.unreachable,
  deployment_mismatch: exitCodes.wrongDeployment,
  output_in_use: exitCodes.outputInUse,
  data_in_use: exitCodes.outputInUse,
};
