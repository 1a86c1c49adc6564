/** `application/x-www-form-urlencoded` → the same object as its JSON would be. */
import { MillraceError } from "millrace-client/wire";
import { badField } from "../../work/fields.js";

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

function decoded(part: string): string {
  try {
    return decodeURIComponent(part.replaceAll("+", " "));
  } catch (cause) {
    const message = "The form is not UTF-8, or its percent signs are not escapes.";
    throw new MillraceError("bad_encoding", message, { cause });
  }
}
