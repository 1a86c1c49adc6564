/**
 * Which web pages a browser lets read our answers (CORS). Nothing is said to pages that are not allowed, and never that credentials
 * of the browser (cookies, certificates) may be sent: a key is a header that the page sets itself.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { MillraceError } from "millrace-client/wire";
import type { Origins } from "../../options/origins.js";
import type { Reply } from "./http-front.js";

export const noContent: Reply = { status: 204, contentType: "text/plain", body: "" };

/** What a page asks leave to send: names of headers, and not too many. */
const headerNames = /^[\w!#$%&'*+.^`|~-]+(?: *, *[\w!#$%&'*+.^`|~-]+){0,63}$/;

export class Cors {
  readonly #origins: Origins;

  constructor(origins: Origins) {
    this.#origins = origins;
  }

  /** A browser asks on behalf of a page that is allowed; any other is asked like everybody. */
  isPreflight(request: IncomingMessage): boolean {
    return (
      request.method === "OPTIONS" &&
      request.headers["access-control-request-method"] !== undefined &&
      this.#allowed(request) !== null
    );
  }

  /**
   * A WebSocket is no request that a browser would ask about first, and hides none of its answers: any page of a user who can
   * reach the server could talk over one. Who sends no origin is no page. Where nobody is asked for a key, our own pages are those
   * of an address or of `localhost`: whoever owns a name can make it mean this machine.
   *
   * @throws MillraceError `forbidden`
   */
  checkSocket(request: IncomingMessage, isOpen: boolean): void {
    const { origin, host = "", upgrade } = request.headers;
    if (upgrade === undefined || origin === undefined || this.#allowed(request) !== null) return;
    if (isOwn(origin, host, isOpen)) return;
    const shown = JSON.stringify(origin.slice(0, 128));
    const message = `Pages of ${shown} may open no connection here; --cors-origins names those that may.`;
    throw new MillraceError("forbidden", message, { param: "origin" });
  }

  addHeaders(request: IncomingMessage, response: ServerResponse): void {
    const allowed = this.#allowed(request);
    if (allowed === null) return;
    response.setHeader("access-control-allow-origin", allowed);
    if (allowed !== "*") response.setHeader("vary", "origin");
    if (!this.isPreflight(request)) {
      response.setHeader("access-control-expose-headers", "*");
      return;
    }
    const wanted = request.headers["access-control-request-headers"] ?? "";
    // The same for every path: whoever has no key learns nothing of routes.
    response.setHeader("access-control-allow-methods", "GET, POST, PUT, DELETE");
    if (headerNames.test(wanted)) response.setHeader("access-control-allow-headers", wanted);
    response.setHeader("access-control-max-age", "600");
  }

  #allowed({ headers }: IncomingMessage): string | null {
    return headers.origin === undefined ? null : this.#origins.allowed(headers.origin);
  }
}

function isOwn(origin: string, host: string, isOpen: boolean): boolean {
  const page = URL.canParse(origin) ? new URL(origin) : null;
  if (page === null || page.host === "" || page.host !== host.toLowerCase()) return false;
  const name = page.hostname.replace(/^\[|\]$/g, "");
  return !isOpen || name === "localhost" || isIP(name) !== 0;
}
