/** What a request for a WebSocket must be like, before the library sees it: it would refuse in words of its own. */
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { MillraceError, subprotocols } from "millrace-client/wire";

/** @throws MillraceError `bad_request` */
export function checkHandshake({ method, headers }: IncomingMessage): void {
  if (method !== "GET") throw refusal("A WebSocket begins with GET.");
  const key = headers["sec-websocket-key"] ?? "";
  if (!/^[+/0-9A-Za-z]{22}==$/.test(key)) throw refusal("The key is none.", "sec-websocket-key");
  if (headers["sec-websocket-version"] !== "13") {
    throw refusal("Version 13 is spoken, and no other.", "sec-websocket-version");
  }
  const offered = offeredBy(headers);
  if (offered.length > 0 && !offered.includes(subprotocols.v1)) {
    const message = `Offer ${subprotocols.v1}, alone or beside a key, or nothing.`;
    throw refusal(message, "sec-websocket-protocol");
  }
  const isToken = offered.every((name) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name));
  if (!isToken || new Set(offered).size < offered.length) {
    throw refusal("The list is none, or names one twice.", "sec-websocket-protocol");
  }
}

/** A browser can set no header of a handshake but this one. */
export function keyAskedWith({ headers }: Pick<IncomingMessage, "headers">): string | null {
  const named = offeredBy(headers).find((name) => name.startsWith(subprotocols.keyPrefix));
  return named?.slice(subprotocols.keyPrefix.length) ?? null;
}

function offeredBy(headers: IncomingMessage["headers"]): readonly string[] {
  const header = headers["sec-websocket-protocol"];
  return header === undefined ? [] : header.split(",").map((name) => name.trim());
}

export interface OriginRules {
  /** Pages that may connect beside our own, by their origins; null: not this one. */
  readonly origins: { allowed(origin: string): string | null };
  /** Whether callers need no key: then a page of any name would do. */
  readonly isOpen: boolean;
}

/**
 * A browser lets every page connect to every address, and only says which page it is: one that is not ours must not reach a
 * server on its reader's machine. Where nobody is asked for a key our own pages are those of an address or of `localhost`: a
 * name can be made to mean this machine by whoever owns it.
 *
 * @throws MillraceError `forbidden`
 */
export function checkOrigin(
  { headers }: Pick<IncomingMessage, "headers">,
  { origins, isOpen }: OriginRules,
): void {
  const { origin, host = "" } = headers;
  if (origin === undefined || isOwn(origin, host, isOpen)) return;
  if (origins.allowed(origin) !== null) return;
  const shown = JSON.stringify(origin.slice(0, 128));
  const message = `Pages of ${shown} may not connect; the server's options say which may.`;
  throw new MillraceError("forbidden", message, { param: "origin" });
}

function isOwn(origin: string, host: string, isOpen: boolean): boolean {
  let page: URL;
  try {
    page = new URL(origin);
  } catch {
    return false;
  }
  if (page.host === "" || page.host !== host.toLowerCase()) return false;
  const name = page.hostname.replace(/^\[|\]$/g, "");
  return !isOpen || name === "localhost" || isIP(name) !== 0;
}

function refusal(what: string, param?: string): MillraceError {
  return new MillraceError("bad_request", what, param === undefined ? {} : { param });
}
