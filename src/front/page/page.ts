/**
 * READ FIRST of this folder. The page that a browser shows of the server, at `/`: what `scripts/page.js` made of `page/`. It holds no
 * secret: what it shows it asks the native front for, with the key of whoever looks on.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { MillraceError } from "millrace-client/wire";
import type { Exchange, HttpFront, Reply, Route, RouteDoc } from "../../listen/http/http-front.js";
import type { JsonObject } from "../../work/payload.js";
import type { ServerViews } from "../../work/views.js";
import type { Front, FrontParts } from "../front.js";
import { ownError, ownErrorSchema } from "../own-error.js";

const folder = fileURLToPath(new URL(import.meta.url.replace(/front\/page\/[^/]*$/, "page/")));

/** What of a file's name its content type is told by. */
const contentTypes: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** Pictures that somebody dropped are shown from the browser's own memory (`blob:`). */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const safeHeaders: Readonly<Record<string, string>> = {
  "content-security-policy": contentSecurityPolicy,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
};

const text: JsonObject = { type: "string" };
const docs = {
  index: { summary: "The page of this server, for a browser", reply: { "text/html": text } },
  asset: {
    summary: "What the page is made of; its names are in it",
    reply: { "text/html": text, "text/javascript": text, "text/css": text, "image/svg+xml": text },
  },
} satisfies Readonly<Record<string, RouteDoc>>;

const indexName = "index.html";
/** Its name says what is in it. */
const forEver = "public, max-age=31536000, immutable";

export function openPageFront({ views }: FrontParts): Front {
  return { http: new PageFront(readPage(), views) };
}

interface PageFile {
  readonly contentType: string;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** By name. @throws where it was not built */
function readPage(): ReadonlyMap<string, PageFile> {
  return new Map(
    readdirSync(folder).map((name) => {
      const body = readFileSync(folder + name);
      const contentType = contentTypes[name.slice(name.lastIndexOf(".") + 1)];
      if (contentType === undefined)
        throw new Error(`dist/page has ${name}: nobody knows what it is`);
      const etag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
      const cached = { etag, "cache-control": name === indexName ? "no-cache" : forEver };
      return [name, { contentType, body, headers: { ...safeHeaders, ...cached } }];
    }),
  );
}

class PageFront implements HttpFront {
  readonly name = "page";
  readonly routes: readonly Route[];
  readonly pathPrefixes: readonly string[] = ["/page/"];
  readonly errorSchema = ownErrorSchema;
  readonly #files: ReadonlyMap<string, PageFile>;
  readonly #views: ServerViews;

  constructor(files: ReadonlyMap<string, PageFile>, views: ServerViews) {
    this.#files = files;
    this.#views = views;
    const shared = { method: "GET", access: "open", fromMemory: true, isAdminOnly: true } as const;
    this.routes = [
      {
        ...shared,
        path: "/",
        doc: docs.index,
        handler: (exchange) => this.#send(exchange, indexName),
      },
      {
        ...shared,
        path: "/page/{file}",
        doc: docs.asset,
        handler: (exchange) => this.#send(exchange, exchange.params["file"] ?? ""),
      },
    ];
  }

  renderError(error: MillraceError, id: string): Reply {
    return ownError(error, id, this.#views);
  }

  #send(exchange: Exchange, name: string): void {
    const file = this.#files.get(name);
    if (file === undefined) throw new MillraceError("not_found", "The page has no such file.");
    const { contentType, body, headers } = file;
    const isKnown = exchange.headers["if-none-match"]?.includes(headers["etag"] ?? "") === true;
    if (!isKnown) return exchange.reply({ status: 200, contentType, body, headers });
    // Of a reply without a body it is the length that the body would have.
    const length = { "content-length": String(body.length) };
    exchange.reply({ status: 304, contentType, body: "", headers: { ...headers, ...length } });
  }
}
