/** Errors that cross from the thread: their class is lost on the way, their code is not. */
import { isErrorCode, MillraceError } from "millrace-client/wire";
import { messageOf } from "../../work/thrown.js";

interface ThrownError {
  readonly code: string | null;
  readonly message: string;
  readonly param: string | undefined;
}

export function thrownError(thrown: unknown): ThrownError {
  const isOurs = thrown instanceof MillraceError;
  return {
    code: isOurs ? thrown.code : null,
    message: messageOf(thrown),
    param: isOurs ? thrown.param : undefined,
  };
}

export function errorOf(told: unknown): MillraceError {
  const { code, message, param } = told as ThrownError;
  if (!isErrorCode(code)) return new MillraceError("job_store_failed", message);
  return new MillraceError(code, message, param === undefined ? {} : { param });
}
