/** What is wrong between options that say who may come in. */
import type { PlaceOf } from "./definition.js";
import { isOpenAddress, openWithoutKeys } from "./loopback.js";
import type { Options } from "./options.js";
import { isOrigins } from "./origins.js";

export function accessContradictions(options: Options, place: PlaceOf): string[] {
  const { host, adminHost, adminPort, keys, insecure, tlsCert, tlsKey, corsOrigins } = options;
  const problems: string[] = [];
  const isOpen = keys === null && !insecure;
  if (isOpen && isOpenAddress(host)) {
    problems.push(`${place("host")} is ${host}: ${openWithoutKeys}`);
  }
  if (isOpen && adminPort !== null && isOpenAddress(adminHost)) {
    problems.push(`${place("adminHost")} is ${adminHost}: ${openWithoutKeys}`);
  }
  if ((tlsCert === null) !== (tlsKey === null)) {
    problems.push(
      `${place("tlsCert")} and ${place("tlsKey")} come together: a certificate is of no use without its key`,
    );
  }
  if (corsOrigins !== null && !isOrigins(corsOrigins)) {
    problems.push(
      `${place("corsOrigins")}: ${JSON.stringify(corsOrigins)} is neither * nor a list of origins such as https://app.example, without a path and with commas between`,
    );
  }
  return problems;
}
