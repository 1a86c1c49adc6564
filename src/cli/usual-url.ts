import { configurationFrom } from "./option-flags.js";

/** Where `millrace serve` would listen with the same variables, as this machine reaches it. @throws MillraceError `option_invalid` */
export function usualUrl(): string {
  const { host, port, tlsCert } = configurationFrom({}).options;
  const scheme = tlsCert === null ? "http" : "https";
  const name = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `${scheme}://${name.includes(":") ? `[${name}]` : name}:${port}`;
}
