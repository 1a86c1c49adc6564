/**
 * READ FIRST of this folder. Listens for HTTP, for every front: sockets, limits, bodies, departures and replies. It speaks no protocol
 * of its own.
 *
 *   socket ─► connections ─► router ─► the front's handler ─► exchange.receive ─► body, decompression, budget
 *             too many?      whose?         │
 *             not HTTP?                     └──────────────► exchange.reply, .stream ─► writer ─► socket
 */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { MillraceError } from "millrace-client/wire";
import type { Access } from "../../access/access.js";
import { type TlsFiles, tlsVersionMin } from "../../access/tls-files.js";
import type { Log } from "../../log.js";
import { type Origins, originsOf } from "../../options/origins.js";
import { noTracer, type Tracer } from "../../tracing/tracer.js";
import type { Caller } from "../../work/caller.js";
import { BodyBudget } from "../body-budget.js";
import { callerOf, credentialOf } from "../caller-of.js";
import type { Identification } from "../identification.js";
import { listenOn, urlOf } from "../listening.js";
import { ReplyBudget } from "../reply-budget.js";
import { Rounds } from "../rounds.js";
import type { RunningListener } from "../running-listener.js";
import type { Upgrades } from "../upgrade.js";
import { Connections } from "./connections.js";
import { Cors, noContent } from "./cors.js";
import { DecompressionTurns } from "./decompression-turns.js";
import { Handshakes } from "./handshakes.js";
import type { HttpFront, Route } from "./http-front.js";
import { lingerMs } from "./linger.js";
import type { HttpLimits, ListenerContext } from "./listener-context.js";
import { OpenExchange } from "./open-exchange.js";
import { checkHost, checkOrigin, type OpenPages } from "./pages.js";
import { pathOf, Router } from "./router.js";
import { asksForWebSocket, responseTo, withoutUpgrade } from "./upgrading.js";

export interface HttpListenerParts {
  /** The first one answers what is nobody's. */
  readonly fronts: readonly [HttpFront, ...HttpFront[]];
  readonly identification: Identification;
  readonly access: Access;
  /** Null, the default: in the open. */
  readonly tls?: TlsFiles | null;
  /** Web pages that may call. Default: none. */
  readonly origins?: Origins;
  /** Names of this server, where nobody is asked for a key and only this machine is to reach it. Default: it is not so. */
  readonly ownHosts?: readonly string[] | null;
  readonly limits: HttpLimits;
  readonly metrics: ListenerContext["metrics"];
  readonly log: Log;
  /** Default: nobody traces anything. */
  readonly tracer?: Tracer;
  /** Who takes connections over; absent: nobody, and requests that ask for it are as any other. */
  readonly upgrades?: Upgrades;
  /** Default: 15 s, under what proxies and clients take for a dead connection. */
  readonly signOfLifeMs?: number;
  /** Default: `performance.now()`. By it is told who idles and which body stalls. */
  readonly nowMs?: () => number;
}

export interface HttpListener extends RunningListener {
  readonly port: number;
  /** From memory, for the status. */
  held(): HeldByListener;
  /** From now on every reply closes its connection. Resolves when no request is open. Again: the same promise. */
  drained(): Promise<void>;
  /** Stops listening and closes what is open, at once where it idles, else after a second. */
  close(): Promise<void>;
}

export interface HeldByListener {
  readonly connections: number;
  /** Of bodies that are being read; at most `bodiesBytesMax`. */
  readonly bodiesBytes: number;
  /** Of replies that wait for their readers; at most `repliesBytesMax`. */
  readonly repliesBytes: number;
}

const signOfLifeMsDefault = 15_000;
/** Node has no limit of its own for both of these, and drops without a word what is over the second. */
const headBytesMax = 16 * 1024;
const headFieldsMax = 200;

/** @throws the error of `listen`, for instance EADDRINUSE. */
export async function startHttpListener(parts: HttpListenerParts): Promise<HttpListener> {
  const listener = new Listener(parts);
  await listener.listen();
  return listener;
}

class Listener implements HttpListener {
  readonly #context: ListenerContext;
  readonly #router: Router;
  readonly #connections: Connections;
  readonly #server: Server;
  readonly #tls: TlsFiles | null;
  readonly #cors: Cors;
  /** Null: a key, or whatever is in front of the server, keeps them out. */
  readonly #pages: OpenPages | null;
  #stopReloading: () => void = () => {};
  readonly #stopHearing: () => void;
  readonly #open = new Set<OpenExchange>();
  /** Kept, because a server that was closed has forgotten it. */
  #address: AddressInfo;
  #draining: Promise<void> | null = null;
  #onIdle: (() => void) | null = null;

  constructor(parts: HttpListenerParts) {
    const { fronts, limits, signOfLifeMs = signOfLifeMsDefault, ...others } = parts;
    const { nowMs = () => performance.now(), tls = null, ownHosts = null, ...own } = others;
    const { origins = originsOf(null), ...shared } = own;
    this.#address = { address: limits.host, family: "IPv4", port: limits.port };
    this.#context = {
      upgrades: null,
      tracer: noTracer,
      ...shared,
      limits,
      defaultFront: fronts[0],
      bodies: new BodyBudget(limits.bodiesBytesMax, nowMs),
      replies: new ReplyBudget(limits.repliesBytesMax),
      decompressions: new DecompressionTurns(),
      reads: new Rounds(),
      signOfLifeMs,
      nowMs,
      isDraining: () => this.#draining !== null,
    };
    this.#router = new Router(fronts);
    this.#connections = new Connections(this.#context);
    this.#tls = tls;
    this.#cors = new Cors(origins);
    this.#pages = ownHosts === null ? null : { hosts: ownHosts, origins };
    this.#server = this.#createServer(limits);
    const { access } = this.#context;
    this.#stopHearing = access.onChange(() => this.#endStrangers(access));
  }

  /** Keys have changed: who looks on for as long as he likes, and may no longer, is told nothing more. */
  #endStrangers(access: Pick<Access, "renewed">): void {
    for (const exchange of this.#open) {
      if (exchange.needed === "admin" && !mayAdministrate(exchange.caller, access))
        exchange.leave();
    }
  }

  #createServer({ headersTimeoutMs, keepAliveMs }: HttpLimits): Server | TlsServer {
    const settings: ServerOptions = {
      headersTimeout: headersTimeoutMs,
      // The body has its own limit, which is answered in the exchange (body.ts).
      requestTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      // How late the headers' limit may be noticed.
      connectionsCheckingInterval: Math.min(1000, Math.ceil(headersTimeoutMs / 4)),
      maxHeaderSize: headBytesMax,
      // Node would answer it, without our headers.
      requireHostHeader: false,
      noDelay: true,
    };
    const server = this.#tls === null ? createServer(settings) : this.#overTls(this.#tls, settings);
    server.maxHeadersCount = 0;
    const established = this.#tls === null ? "connection" : "secureConnection";
    server.on(established, (socket: Socket) => this.#connections.opened(socket));
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
      void this.#answer(request, response);
    };
    server.on("request", onRequest);
    // Leave to send the body is given when the headers were checked, not by Node beforehand.
    server.on("checkContinue", onRequest);
    server.on("checkExpectation", onRequest);
    server.on("clientError", (error, socket) => {
      this.#connections.failed(error, socket as IncomingMessage["socket"]);
    });
    const { upgrades } = this.#context;
    if (upgrades === null) return server;
    server.on("upgrade", (request, _socket, head: Buffer) => {
      // Replies are still to come on it, and whose they are nobody could tell any more.
      if (this.#connections.isAnswering(request.socket)) request.socket.destroy();
      else if (asksForWebSocket(request)) this.#upgrade(request, head, upgrades);
      else withoutUpgrade(server, request, head);
    });
    return server;
  }

  /** What a connection is allowed counts from the end of its handshake; those before it have their own bound. */
  #overTls(tls: TlsFiles, settings: ServerOptions): TlsServer {
    const { headersTimeoutMs } = this.#context.limits;
    const server = createTlsServer({
      ...settings,
      ...tls.current,
      minVersion: tlsVersionMin,
      handshakeTimeout: headersTimeoutMs,
    });
    const handshakes = new Handshakes();
    server.on("connection", (socket: Socket) => handshakes.began(socket));
    server.on("secureConnection", (socket) => handshakes.ended(socket));
    this.#stopReloading = tls.onChange((pair) => {
      server.setSecureContext({ ...pair, minVersion: tlsVersionMin });
    });
    return server;
  }

  async listen(): Promise<void> {
    this.#address = await listenOn(this.#server, this.#context.limits);
  }

  get port(): number {
    return this.#address.port;
  }

  get url(): string {
    return urlOf(this.#tls === null ? "http" : "https", this.#address);
  }

  held(): HeldByListener {
    const { bodies, replies } = this.#context;
    return {
      connections: this.#connections.count,
      bodiesBytes: bodies.heldBytes,
      repliesBytes: replies.heldBytes,
    };
  }

  drained(): Promise<void> {
    this.#draining ??= new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.#open.size === 0) resolve();
      this.#context.upgrades?.drain();
    });
    return this.#draining;
  }

  async close(): Promise<void> {
    this.#stopReloading();
    this.#stopHearing();
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#context.upgrades?.close();
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), lingerMs);
    await closed;
    clearTimeout(timer);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#connections.answers(request.socket)) return;
    const exchange = this.#begin(request, response);
    try {
      const route = this.#admit(exchange);
      if (route === null) return;
      if (route.fromMemory === true) this.#context.metrics.polled(route.path);
      await route.handler(exchange);
      exchange.handled();
    } catch (thrown) {
      exchange.fail(thrown);
    }
  }

  /** The exchange lasts as long as the connection. */
  #upgrade(request: IncomingMessage, head: Buffer, upgrades: Upgrades): void {
    const { socket } = request;
    if (!this.#connections.answers(socket)) return;
    const exchange = this.#begin(request, responseTo(request, socket));
    try {
      const route = this.#admit(exchange, upgrades);
      if (route === null) return;
      const { path } = route;
      upgrades.check(request, path);
      const { id, caller } = exchange;
      const { identification, bodies, replies, reads } = this.#context;
      const headers = identification.headersFor(id);
      exchange.handOver();
      const shared = { bodies, replies, reads };
      upgrades.accept({ request, socket, head, id, caller, path, headers, ...shared });
    } catch (thrown) {
      exchange.isLast = true;
      exchange.fail(thrown);
    }
  }

  #begin(request: IncomingMessage, response: ServerResponse): OpenExchange {
    const exchange = new OpenExchange(request, response, this.#context);
    this.#connections.begin(exchange);
    this.#open.add(exchange);
    exchange.lifetime.onEnd(() => {
      this.#open.delete(exchange);
      if (this.#open.size === 0) this.#onIdle?.();
    });
    return exchange;
  }

  /** Everything that comes before the route's own work. Null: it is answered. */
  #admit(exchange: OpenExchange, upgrades: Upgrades | null = null): Route | null {
    const { request, response } = exchange;
    const found = this.#router.find(request.method ?? "", pathOf(request.url ?? "/"));
    exchange.front = found.front;
    if ("route" in found) exchange.found(found.route);
    const isPreflight = this.#cors.isPreflight(request);
    const fromMemory = isPreflight || ("route" in found && found.route.fromMemory === true);
    this.#connections.refuseWhereFull(exchange, fromMemory);
    checkHead(request);
    if (this.#pages !== null) {
      checkHost(request, this.#pages);
      const { isForAnyPage = false, isHeld = false } = "route" in found ? found.route : {};
      if (!isForAnyPage) checkOrigin(request, this.#pages, isHeld);
    }
    this.#cors.checkSocket(request, this.#context.access.isOpen);
    this.#cors.addHeaders(request, response);
    if (isPreflight) {
      exchange.route = "preflight";
      exchange.reply(noContent);
      return null;
    }
    // Before the path: a caller that reached the wrong deployment must not learn it from a missing route.
    this.#context.identification.check(request.headers);
    if ("error" in found) {
      exchange.route = found.path ?? "none";
      if (found.allow !== null) response.setHeader("allow", found.allow);
      throw found.error;
    }
    const { route, params } = found;
    exchange.params = params;
    const credential = credentialOf(request.headers) ?? upgrades?.credentialOf(request) ?? null;
    exchange.needed = route.access ?? "key";
    exchange.caller = callerOf(credential, exchange.needed, this.#context.access);
    return route;
  }
}

function mayAdministrate(caller: Caller, access: Pick<Access, "renewed">): boolean {
  try {
    return access.renewed(caller).isAdmin;
  } catch {
    return false;
  }
}

/** What HTTP asks of every head, and Node would let pass or answer without our headers. */
function checkHead({ headers, rawHeaders, httpVersion }: IncomingMessage): void {
  if (rawHeaders.length > 2 * headFieldsMax) {
    const message = `The request has more than ${headFieldsMax} header fields.`;
    throw new MillraceError("headers_too_large", message);
  }
  if (headers.host === undefined && httpVersion === "1.1") {
    throw new MillraceError("bad_request", "The header `host` is missing.", { param: "host" });
  }
  const { expect } = headers;
  if (expect !== undefined && expect.toLowerCase() !== "100-continue") {
    const shown = JSON.stringify(expect.slice(0, 64));
    throw new MillraceError("bad_request", `Nothing is known of the expectation ${shown}.`, {
      param: "expect",
    });
  }
}
