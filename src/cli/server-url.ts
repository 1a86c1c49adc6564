/** Which server a command asks where no flag names one: every command the same. */
import { configurationFrom } from "./option-flags.js";

/** What MILLRACE_URL names; null: nothing. */
export function namedUrl(): string | null {
  const url = process.env["MILLRACE_URL"];
  return url === undefined || url === "" ? null : url;
}

/** Where `millrace serve` would listen with the same variables, as this machine reaches it. @throws MillraceError `option_invalid` */
export function usualUrl(): string {
  const { host, port, tlsCert } = configurationFrom({}).options;
  const scheme = tlsCert === null ? "http" : "https";
  const name = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `${scheme}://${name.includes(":") ? `[${name}]` : name}:${port}`;
}
