/** What a request for a WebSocket must be like, before the library sees it: it would refuse in words of its own. */
import type { IncomingMessage } from "node:http";
import { MillraceError, subprotocols } from "millrace-client/wire";

/** @throws MillraceError `bad_request` */
export function checkHandshake({ method, headers }: IncomingMessage): void {
  if (method !== "GET") throw refusal("A WebSocket begins with GET.");
  const key = headers["sec-websocket-key"] ?? "";
  if (!/^[+/0-9A-Za-z]{22}==$/.test(key))
    throw refusal("`sec-websocket-key` must be 16 bytes in base64.", "sec-websocket-key");
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
    throw refusal(
      "`sec-websocket-protocol` must be a list of names, none of them twice.",
      "sec-websocket-protocol",
    );
  }
}

/** A browser can set no header of a handshake but this one. */
export function offeredKeyOf({ headers }: Pick<IncomingMessage, "headers">): string | null {
  const named = offeredBy(headers).find((name) => name.startsWith(subprotocols.keyPrefix));
  return named?.slice(subprotocols.keyPrefix.length) ?? null;
}

function offeredBy(headers: IncomingMessage["headers"]): readonly string[] {
  const header = headers["sec-websocket-protocol"];
  return header === undefined ? [] : header.split(",").map((name) => name.trim());
}

function refusal(what: string, param?: string): MillraceError {
  return new MillraceError("bad_request", what, param === undefined ? {} : { param });
}
