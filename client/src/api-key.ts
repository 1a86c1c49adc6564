import { MillraceError } from "./wire/index.js";

/** Throws `option_invalid` for a key that no header can carry, or where the headers have another credential. */
export function headersOf({
  apiKey,
  headers = {},
}: {
  readonly apiKey?: string;
  readonly headers?: Readonly<Record<string, string>>;
}): Readonly<Record<string, string>> {
  if (apiKey === undefined) return headers;
  if (!/^[\x21-\x7e]+$/.test(apiKey)) {
    // Never the key itself: errors are logged.
    throw new MillraceError("option_invalid", "`apiKey` must be visible ASCII, without spaces.");
  }
  if (Object.keys(headers).some((name) => name.toLowerCase() === "authorization")) {
    const message = "`apiKey` and the header `authorization` are two credentials: give one.";
    throw new MillraceError("option_invalid", message);
  }
  return { ...headers, authorization: `Bearer ${apiKey}` };
}
