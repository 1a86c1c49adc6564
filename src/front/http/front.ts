/**
 * The HTTP front: node:http without a framework. Start reading here.
 *
 *   socket ──► connections ──► exchange ──► routes ──► translate ──► submit
 *              too many?       id, identity,  expect,    body, JSON,
 *              not HTTP?       departure      path       fields
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Connections } from "./connections.js";
import type { HttpContext, HttpFrontDeps } from "./context.js";
import { Exchange, lingerMs } from "./exchange.js";
import { route } from "./routes.js";

export interface HttpFront {
  /** `http://127.0.0.1:8400` */
  readonly url: string;
  readonly port: number;
  /** Open connections, for the status. */
  connectionCount(): number;
  /** From now on every reply closes its connection. Resolves when no request is open. Again: the same promise. */
  drained(): Promise<void>;
  /** Stops listening and closes what is open, at once where it idles, else after a second. */
  close(): Promise<void>;
}

/** Connections beyond `connectionsMax` that are open while they are told so; above these Node drops silently. */
const refusedConnectionsMax = 256;

/** @throws the error of `listen`, for instance EADDRINUSE. */
export async function startHttpFront(deps: HttpFrontDeps): Promise<HttpFront> {
  const front = new Front(deps);
  await front.listen();
  return front;
}

class Front implements HttpFront {
  readonly #context: HttpContext;
  readonly #connections: Connections;
  readonly #server: Server;
  readonly #open = new Set<Exchange>();
  /** Kept, because a server that was closed has forgotten it. */
  #address: AddressInfo;
  #draining: Promise<void> | null = null;
  #onIdle: (() => void) | null = null;

  constructor(deps: HttpFrontDeps) {
    this.#address = { address: deps.options.host, family: "IPv4", port: deps.options.port };
    this.#context = { ...deps, isDraining: () => this.#draining !== null };
    this.#connections = new Connections(this.#context);
    const { headersTimeoutMs, keepAliveMs, connectionsMax } = deps.options;
    this.#server = createServer({
      headersTimeout: headersTimeoutMs,
      // The body has its own limit, which is answered in the exchange (body.ts).
      requestTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      // How late the headers' limit may be noticed.
      connectionsCheckingInterval: Math.min(1000, Math.ceil(headersTimeoutMs / 4)),
      noDelay: true,
    });
    this.#server.maxConnections = connectionsMax + refusedConnectionsMax;
    this.#server.on("connection", (socket) => this.#connections.opened(socket));
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
      void this.#answer(request, response);
    };
    this.#server.on("request", onRequest);
    // Leave to send the body is given when the headers were checked, not by Node beforehand.
    this.#server.on("checkContinue", onRequest);
    this.#server.on("clientError", (error, socket) => {
      this.#connections.failed(error, socket as IncomingMessage["socket"]);
    });
  }

  async listen(): Promise<void> {
    const { host, port } = this.#context.options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    const address = this.#server.address();
    if (address !== null && typeof address !== "string") this.#address = address;
  }

  get port(): number {
    return this.#address.port;
  }

  get url(): string {
    const { address, family, port } = this.#address;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  connectionCount(): number {
    return this.#connections.count;
  }

  drained(): Promise<void> {
    this.#draining ??= new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.#open.size === 0) resolve();
    });
    return this.#draining;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), lingerMs);
    await closed;
    clearTimeout(timer);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = new Exchange(request, response, this.#context);
    this.#open.add(exchange);
    response.once("close", () => {
      this.#open.delete(exchange);
      if (this.#open.size === 0) this.#onIdle?.();
    });
    try {
      this.#connections.begin(exchange);
      await route(exchange, this.#context);
    } catch (thrown) {
      exchange.fail(thrown);
    }
  }
}
