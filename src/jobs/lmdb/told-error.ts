/** Errors that cross from the thread: their class is lost on the way, their code is not. */
import { isErrorCode, MillraceError } from "millrace-client";
import { messageOf } from "../../work/thrown.js";

interface ToldError {
  readonly code: string | null;
  readonly message: string;
  readonly param: string | undefined;
}

export function toldError(thrown: unknown): ToldError {
  const isOurs = thrown instanceof MillraceError;
  return {
    code: isOurs ? thrown.code : null,
    message: messageOf(thrown),
    param: isOurs ? thrown.param : undefined,
  };
}

export function errorOf(told: unknown): MillraceError {
  const { code, message, param } = told as ToldError;
  if (!isErrorCode(code)) return new MillraceError("job_store_failed", message);
  return new MillraceError(code, message, param === undefined ? {} : { param });
}
