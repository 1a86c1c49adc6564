/** The open connections: how many, which came too late, and what is answered where HTTP itself went wrong. */
import type { Socket } from "node:net";
import {
  type ErrorResponse,
  errorRegistry,
  headerNames,
  MillraceError,
} from "millrace-client/wire";
import type { HttpContext } from "./context.js";
import { deploymentHeader } from "./deployment.js";
import { type Exchange, lingerMs, requestId, retryAfterSeconds } from "./exchange.js";

interface Connection {
  /** Came when there were `connectionsMax`: its first request is answered with that. */
  readonly refused: boolean;
  readonly open: Set<Exchange>;
  /** Bytes that are no HTTP came after requests that are still at work; answered when these are. */
  failure: MillraceError | null;
}

export class Connections {
  readonly #context: HttpContext;
  readonly #bySocket = new Map<Socket, Connection>();
  #taken = 0;

  constructor(context: HttpContext) {
    this.#context = context;
  }

  get count(): number {
    return this.#bySocket.size;
  }

  opened(socket: Socket): void {
    const refused = this.#taken >= this.#context.options.connectionsMax;
    if (!refused) this.#taken++;
    this.#bySocket.set(socket, { refused, open: new Set(), failure: null });
    socket.once("close", () => {
      this.#bySocket.delete(socket);
      if (!refused) this.#taken--;
    });
  }

  /** @throws MillraceError `too_many_connections` */
  begin(exchange: Exchange): void {
    const { socket } = exchange.request;
    const connection = this.#bySocket.get(socket);
    if (connection === undefined) return;
    connection.open.add(exchange);
    exchange.response.once("close", () => {
      connection.open.delete(exchange);
      if (connection.open.size === 0 && connection.failure !== null) {
        this.#answerRaw(socket, connection.failure);
      }
    });
    if (!connection.refused) return;
    exchange.response.setHeader("connection", "close");
    const most = this.#context.options.connectionsMax;
    throw new MillraceError("too_many_connections", `There are ${most} connections already.`);
  }

  /** Node's parser gave up on a connection: no reply object exists for the request that it could not read. */
  failed(cause: Error & { readonly code?: string }, socket: Socket): void {
    const connection = this.#bySocket.get(socket);
    // The bytes ended in the middle of a request, or the connection did: nobody is there to be answered.
    const left = cause.code === "ECONNRESET" || cause.code === "HPE_INVALID_EOF_STATE";
    if (connection === undefined || !socket.writable || left) {
      socket.destroy();
      return;
    }
    const error = parserError(cause);
    const unread = [...connection.open].find((exchange) => !exchange.request.complete);
    if (unread !== undefined) unread.fail(error);
    else if (connection.open.size > 0) connection.failure = error;
    else this.#answerRaw(socket, error);
  }

  /** A reply without a `ServerResponse`; then the connection ends, at the latest after `lingerMs`. */
  #answerRaw(socket: Socket, error: MillraceError): void {
    if (!socket.writable) return;
    const { views, metrics } = this.#context;
    const id = requestId(undefined);
    const status = errorRegistry[error.code].status ?? 400;
    metrics.refused(error.code);
    metrics.replied({ route: "none", status, class: "none" });
    const reply: ErrorResponse = { error: error.toWire(), id, deployment: views.identity };
    const body = JSON.stringify(reply);
    socket.end(
      [
        `HTTP/1.1 ${status} ${error.code}`,
        "content-type: application/json; charset=utf-8",
        `content-length: ${Buffer.byteLength(body)}`,
        `${headerNames.requestId}: ${id}`,
        `${headerNames.deployment}: ${deploymentHeader(views.identity)}`,
        ...(status === 503 ? [`retry-after: ${retryAfterSeconds(error)}`] : []),
        "connection: close",
        "",
        body,
      ].join("\r\n"),
    );
    // Read on, so that the close is no reset that overtakes the reply; but not for ever.
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    socket.once("close", () => clearTimeout(timer));
  }
}

function parserError(cause: Error & { readonly code?: string }): MillraceError {
  switch (cause.code ?? "") {
    case "HPE_HEADER_OVERFLOW":
      return new MillraceError("headers_too_large", "The headers have more than 16 KiB.", {
        cause,
      });
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new MillraceError("body_timeout", "The headers did not arrive in time.", { cause });
    default:
      return new MillraceError("bad_request", `This is not HTTP: ${cause.message}.`, { cause });
  }
}
