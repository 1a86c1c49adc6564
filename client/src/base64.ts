/** Base64 with what every runtime has. */
import { MillraceError } from "./wire/index.js";

const alphabet = new TextEncoder().encode(
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
);
const padding = 61;

/** Through a table: `btoa` would want a string of as many characters first. */
export function toBase64(bytes: Uint8Array): string {
  const digits = new Uint8Array(Math.ceil(bytes.length / 3) * 4);
  let to = 0;
  for (let from = 0; from < bytes.length; from += 3) {
    const [first = 0, second, third] = [bytes[from], bytes[from + 1], bytes[from + 2]];
    const bits = (first << 16) | ((second ?? 0) << 8) | (third ?? 0);
    digits[to++] = alphabet[bits >> 18] ?? 0;
    digits[to++] = alphabet[(bits >> 12) & 63] ?? 0;
    digits[to++] = second === undefined ? padding : (alphabet[(bits >> 6) & 63] ?? 0);
    digits[to++] = third === undefined ? padding : (alphabet[bits & 63] ?? 0);
  }
  return new TextDecoder().decode(digits);
}

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
