import { type ErrorCode, MillraceError } from "millrace-client/wire";

/** An error of the command itself, which knows better what to type than its code does. */
export class AdvisedError extends MillraceError {
  readonly advice: string;

  constructor(code: ErrorCode, message: string, advice: string) {
    super(code, message);
    this.advice = advice;
  }
}
