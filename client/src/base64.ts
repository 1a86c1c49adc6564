/** Base64 with what every runtime has. */
import { MillraceError } from "./wire/index.js";

/** Throws `response_invalid`. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  let characters: string;
  try {
    characters = atob(text);
  } catch (cause) {
    throw new MillraceError("response_invalid", "The reply's base64 is none.", { cause });
  }
  const bytes = new Uint8Array(characters.length);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = characters.charCodeAt(at);
  return bytes;
}
