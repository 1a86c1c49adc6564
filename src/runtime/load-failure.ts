/** Whose fault it is that a load failed: the folder's, for good, or that of the machine as it is now. */
import { type ErrorCode, MillraceError } from "millrace-client/wire";

/** What the system was short of, as Node names it. */
const shortages: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EIO"]);
/** As the runtime and the engine say it: an error without a code, or one whose code says nothing. */
const shortOfMemory = /bad[_ ]alloc|failed to allocate memory|array buffer allocation failed/i;

/** `internal` where the same folder may be loaded later, whatever the error that was made of it. */
export function loadFailureCode(error: unknown): ErrorCode {
  if (!(error instanceof MillraceError)) return "internal";
  return isShortage(error) ? "internal" : error.code;
}

function isShortage(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ("code" in cause && shortages.has(cause.code)) return true;
    if (shortOfMemory.test(cause.message)) return true;
  }
  return false;
}
