/** `application/x-www-form-urlencoded` → the same object as its JSON would be. */
import { MillraceError } from "millrace-client/wire";
import { badField } from "../work/fields.js";

/** Fields beside the texts: there are some thirty that clients know. */
const othersMax = 64;

/**
 * `repeated`: the field that may be there more than once, and is a list.
 *
 * @throws MillraceError `bad_request`, `bad_encoding`, `too_many_items`
 */
export function readForm(
  text: string,
  { repeated, repeatedMax }: { readonly repeated: string; readonly repeatedMax: number },
): Readonly<Record<string, unknown>> {
  // Before anything is cut: a body of four megabytes may be two million fields.
  const pairsMax = repeatedMax + othersMax;
  const pairs = text === "" ? [] : text.split("&", pairsMax + 1);
  if (pairs.length > pairsMax) {
    const message = `The form has more than ${pairsMax} fields; at most ${repeatedMax} texts are taken.`;
    throw new MillraceError("too_many_items", message, { param: repeated });
  }
  const list: string[] = [];
  const fields = new Map<string, string>();
  for (const pair of pairs) {
    if (pair === "") continue;
    const at = pair.indexOf("=");
    const name = decoded(at === -1 ? pair : pair.slice(0, at));
    const value = at === -1 ? "" : decoded(pair.slice(at + 1));
    const param = name.slice(0, 64);
    if (name === repeated) list.push(value);
    else if (fields.has(name)) throw badField(param, "is there twice");
    else fields.set(name, value);
  }
  const others = Object.fromEntries(fields);
  return list.length === 0 ? others : { ...others, [repeated]: list };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const [plus, percent, space] = [0x2b, 0x25, 0x20];

/**
 * By bytes and in place: with `replaceAll` and `decodeURIComponent` two million plus signs take a second, with `URLSearchParams` two,
 * and what is no UTF-8 would become something else without a word.
 */
function decoded(part: string): string {
  const bytes = Buffer.from(part);
  let to = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    let byte = bytes[at] ?? 0;
    if (byte === plus) byte = space;
    else if (byte === percent) {
      byte = 16 * hexDigit(bytes[at + 1]) + hexDigit(bytes[at + 2]);
      at += 2;
    }
    bytes[to] = byte;
    to += 1;
  }
  try {
    return utf8.decode(bytes.subarray(0, to));
  } catch (cause) {
    throw new MillraceError("bad_encoding", "The form is not UTF-8.", { cause });
  }
}

function hexDigit(byte = 0): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = (byte | 0x20) - 0x61;
  if (letter >= 0 && letter < 6) return 10 + letter;
  throw new MillraceError("bad_request", "The form has a percent sign that is no escape.");
}
