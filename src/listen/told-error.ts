/** What a caller is told of whatever was thrown, over every protocol. */
import { MillraceError } from "millrace-client/wire";

/** What is no `MillraceError` is a bug: `onBug` logs it in full, and it is told in general. */
export function toldError(thrown: unknown, onBug: () => void): MillraceError {
  if (thrown instanceof MillraceError) return thrown;
  onBug();
  const message = "A bug in Millrace; the log has it under the request id.";
  return new MillraceError("internal", message, { cause: thrown });
}
