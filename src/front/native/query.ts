/** What stands behind the `?` of a route: a typing mistake would otherwise give what nobody asked for. */
import { MillraceError } from "millrace-client/wire";
import { didYouMean } from "../../near-miss.js";
import { badField, show } from "../../work/fields.js";

/** @throws MillraceError `bad_request` */
export function refuseUnknownQuery(query: URLSearchParams, known: readonly string[]): void {
  for (const name of query.keys()) {
    if (known.includes(name)) continue;
    const param = name.slice(0, 64);
    const message = `There is no ${JSON.stringify(param)} here${didYouMean(name, known)}.`;
    throw new MillraceError("bad_request", message, { param });
  }
}

/** @throws MillraceError `bad_request` */
export function queryCount(
  query: URLSearchParams,
  name: string,
  [min, max]: readonly [min: number, max: number],
): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw badField(name, `must be a whole number from ${min} to ${max}, not ${show(text)}`);
}

/** @throws MillraceError `bad_request` */
export function queryFlag(query: URLSearchParams, name: string): boolean {
  const text = query.get(name) ?? "false";
  if (text === "true" || text === "false") return text === "true";
  throw badField(name, `must be true or false, not ${show(text)}`);
}
