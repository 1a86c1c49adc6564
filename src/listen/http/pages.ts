/**
 * Web pages in the browser of somebody on this machine, where nobody is asked for a key: what they could do by being there. A page
 * may make a name of its own mean 127.0.0.1, and reads every answer then (rebinding); and it may send what a browser asks nobody's
 * leave for, and hides only the answer of.
 */
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { MillraceError } from "millrace-client/wire";
import type { Origins } from "../../options/origins.js";

export interface OpenPages {
  /** Names that mean this server, as options have them: pages of these are the server's own. */
  readonly hosts: readonly string[];
  readonly origins: Origins;
}

/** What changes nothing: the answer is hidden, and that is all there is. */
const reading: readonly string[] = ["GET", "HEAD", "OPTIONS"];

/**
 * Addresses and `localhost` are nobody's own names. A name may be one that others own, unless an option says otherwise. Who sends
 * no name is no browser.
 *
 * @throws MillraceError `forbidden`
 */
export function checkHost({ headers }: IncomingMessage, { hosts, origins }: OpenPages): void {
  const { host } = headers;
  if (host === undefined) return;
  const name = nameOf(host);
  if (name !== null && (isNobodys(name) || hosts.includes(name))) return;
  for (const scheme of ["http", "https"]) {
    if (origins.allowed(`${scheme}://${host.toLowerCase()}`) !== null) return;
  }
  const shown = JSON.stringify(host.slice(0, 128));
  const message = `Nobody is asked for a key here, so that the server answers to its address and to localhost only, not to ${shown}: the name could be a web page's. A proxy that passes its own name on needs --cors-origins with it (https://its.name), --keys, or --insecure.`;
  throw new MillraceError("forbidden", message, { param: "host" });
}

/**
 * Of a request with an origin: a page of another one must not set anything to work, nor keep for itself what there is little of
 * (`isHeld`). What a page only shows, as pictures are, comes without an origin, and with whether it is of another site.
 *
 * @throws MillraceError `forbidden`
 */
export function checkOrigin(
  { method = "", headers }: IncomingMessage,
  pages: OpenPages,
  isHeld: boolean,
): void {
  const { origin, host = "", "sec-fetch-site": site = "none" } = headers;
  if (reading.includes(method) && !isHeld) return;
  if (origin === undefined) {
    if (!isHeld || site === "none" || site === "same-origin") return;
    throw new MillraceError("forbidden", "Pages of other sites may watch nothing here.");
  }
  if (pages.origins.allowed(origin) !== null || isOwn(origin, host)) return;
  const shown = JSON.stringify(origin.slice(0, 128));
  const message = `Pages of ${shown} may send nothing here; --cors-origins names those that may.`;
  throw new MillraceError("forbidden", message, { param: "origin" });
}

/** Whose name has been checked. */
function isOwn(origin: string, host: string): boolean {
  const page = URL.canParse(origin) ? new URL(origin) : null;
  return page !== null && page.host !== "" && page.host === hostOf(page.protocol, host);
}

/** Without the port that is the scheme's own. */
function hostOf(scheme: string, host: string): string | null {
  const url = `${scheme}//${host}`;
  return URL.canParse(url) ? new URL(url).host : null;
}

function nameOf(host: string): string | null {
  // A port, and nothing else that a URL may have.
  if (!/^(?:\[[\da-f:.]+\]|[^\s/?#@:[\]\\]+)(?::\d{0,5})?$/i.test(host)) return null;
  const url = `http://${host}`;
  if (!URL.canParse(url)) return null;
  return new URL(url).hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
}

/** Browsers ask nobody what `localhost`, or a name under it, is. */
function isNobodys(name: string): boolean {
  return isIP(name) !== 0 || name === "localhost" || name.endsWith(".localhost");
}
