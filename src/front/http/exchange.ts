/** One request and its reply: identity, departure, and the one way in which every reply leaves. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  apiLimits,
  type ErrorResponse,
  errorRegistry,
  headerNames,
  MillraceError,
  type WorkClass,
} from "millrace-client/wire";
import type { HttpContext } from "./context.js";
import { deploymentHeader } from "./deployment.js";

/** A body that nobody reads is discarded for this long, so that the caller gets to read the reply before the close. */
export const lingerMs = 1000;
/** A body this small is discarded and the connection kept; behind a longer one it is closed. */
const discardedBytesMax = 64 * 1024;

export interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly id: string;
  /** On the clock of `performance.now()`. */
  readonly arrivedAtMs: number = performance.now();
  /** Set by the router; `none` for a path that is no route's. */
  route = "none";
  /** Set where the reply knows it. */
  workClass: WorkClass | "none" = "none";
  /** Aborts when the caller leaves before it has its whole reply. */
  readonly departed: AbortSignal;
  readonly #context: HttpContext;
  #counted = false;

  constructor(request: IncomingMessage, response: ServerResponse, context: HttpContext) {
    this.request = request;
    this.response = response;
    this.#context = context;
    this.id = requestId(request.headers[headerNames.requestId]);
    response.setHeader(headerNames.requestId, this.id);
    response.setHeader(headerNames.deployment, deploymentHeader(context.views.identity));
    const departure = new AbortController();
    this.departed = departure.signal;
    response.once("close", () => {
      if (!response.writableFinished) departure.abort();
      this.#count(499);
    });
    // A reset connection is a departure, and 'close' follows; without a listener it would end the process.
    request.on("error", () => {});
    response.on("error", () => {});
  }

  json(status: number, value: object, headers: Readonly<Record<string, string>> = {}): void {
    const body = JSON.stringify(value);
    this.send({ status, contentType: "application/json; charset=utf-8", body, headers });
  }

  /** Whatever was thrown → an error reply, unless a reply has begun or nobody is there to read it. */
  fail(thrown: unknown): void {
    const error = this.toMillraceError(thrown);
    if (this.response.headersSent || this.response.destroyed) return;
    this.#context.metrics.refused(error.code);
    const status = errorRegistry[error.code].status ?? 500;
    const headers: Record<string, string> = {};
    if (status === 429 || status === 503) headers["retry-after"] = retryAfterSeconds(error);
    const body: ErrorResponse = {
      error: error.toWire(),
      id: this.id,
      deployment: this.#context.views.identity,
    };
    this.json(status, body, headers);
  }

  /** A thrown value that is no `MillraceError` is a bug: logged in full, told in general. */
  toMillraceError(thrown: unknown): MillraceError {
    if (thrown instanceof MillraceError) return thrown;
    this.#context.log.error({ err: thrown, requestId: this.id }, "internal error");
    return new MillraceError(
      "internal",
      "A bug in Millrace; the log has it under the request id.",
      {
        cause: thrown,
      },
    );
  }

  send(reply: Reply): void {
    const { response, request } = this;
    if (response.headersSent || response.destroyed) return;
    this.begin(reply.status, {
      "content-type": reply.contentType,
      "content-length": String(Buffer.byteLength(reply.body)),
      ...reply.headers,
    });
    // Counts only while bytes wait to be taken: a caller that stops reading may not keep the reply for ever.
    response.setTimeout(this.#context.options.replyTimeoutMs, () => request.socket.destroy());
    if (this.#bodyIsLeft()) this.#sendThenDiscard(reply.body);
    else response.end(reply.body);
  }

  /** The head of a reply; what follows is written by the caller. */
  begin(status: number, headers: Readonly<Record<string, string>>): void {
    this.#count(status);
    if (this.#closes(status)) this.response.setHeader("connection", "close");
    this.response.writeHead(status, { "cache-control": "no-store", ...headers });
  }

  /**
   * Closing a socket with unread bytes sends a reset, and the reset may overtake the reply. So the reply is written,
   * the rest of the body thrown away for a bounded time, and only then the exchange ended.
   */
  #sendThenDiscard(body: string): void {
    const { request, response } = this;
    response.write(body);
    const end = (): void => {
      clearTimeout(timer);
      request.off("end", end);
      // The connection is in the middle of a body: nothing that comes on it could be understood.
      response.end(() => {
        if (!request.complete) request.socket.destroy();
      });
    };
    const timer = setTimeout(end, lingerMs);
    response.once("close", () => clearTimeout(timer));
    request.once("end", end);
    request.resume();
  }

  #closes(status: number): boolean {
    if (this.#context.isDraining()) return true;
    if (!this.#bodyIsLeft()) return false;
    const { headers } = this.request;
    // The body is late, or its caller waits for `100 Continue` and may never send it: what follows could be anything.
    if (status === 408 || headers.expect !== undefined) return true;
    return !(Number(headers["content-length"]) <= discardedBytesMax);
  }

  #bodyIsLeft(): boolean {
    const { headers, complete, readableEnded } = this.request;
    if (complete && readableEnded) return false;
    return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  }

  #count(status: number): void {
    if (this.#counted) return;
    this.#counted = true;
    const { metrics, log } = this.#context;
    metrics.replied({ route: this.route, status, class: this.workClass });
    const { method, url } = this.request;
    log.debug({ requestId: this.id, method, url: url?.slice(0, 256), status }, "request");
  }
}

/** Ours where the caller sent none, or one that does not belong into a header or a log line. */
export function requestId(sent: string | readonly string[] | undefined): string {
  const usable =
    typeof sent === "string" &&
    sent.length <= apiLimits.requestIdCharactersMax &&
    /^[\x21-\x7e]+$/.test(sent);
  return usable ? sent : randomUUID();
}

/** Whole seconds, at least one: HTTP knows no smaller unit. */
export function retryAfterSeconds(error: MillraceError): string {
  return String(Math.max(1, Math.ceil((error.retryAfterMs ?? 1000) / 1000)));
}
