import { MillraceError } from "millrace-client/wire";

/** What a request ends with whose caller has left. */
export function cancelled(): MillraceError {
  return new MillraceError("cancelled", "the caller left");
}
