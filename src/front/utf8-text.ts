import { MillraceError } from "millrace-client/wire";

/** `what`: what the bytes are, as the message begins. @throws MillraceError `bad_encoding` */
export function utf8Text(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new MillraceError("bad_encoding", `${what} is not UTF-8`, { cause });
  }
}
