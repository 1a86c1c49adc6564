/**
 * The open connections: who has a place, who came too late, and what is answered where HTTP itself went wrong.
 *
 *   a new one ─► a place is free? ── yes ─► has it until it closes, or idles and somebody asks for a place
 *                     │ no                                                              ▲
 *                     ▼                                                                 │
 *                  extra: asks for work? ── yes ─► gets the place of the one that has idled longest, or of one whose body has
 *                         │                        stopped coming; else refused
 *                         asks what is in memory? answered. Then closed; two seconds at the most.
 *                  Are all extra places taken, the oldest goes: who polls is answered in any flood.
 */
import type { Socket } from "node:net";
import { MillraceError } from "millrace-client/wire";
import { HeadsBudget, headBytes } from "./heads-budget.js";
import type { Reply } from "./http-front.js";
import { IdleConnections } from "./idle-connections.js";
import { lingerThenDestroy } from "./linger.js";
import type { ListenerContext } from "./listener-context.js";
import type { OpenExchange } from "./open-exchange.js";

/** Connections beyond `connectionsMax`, while they are answered. */
const extraConnectionsMax = 256;
/** From the open to the close of one of these. */
const extraConnectionMs = 2_000;
/** A body of which nothing came for so long has stopped, where others wait for a place. */
const stalledMsMin = 1_000;
/** Requests of one connection that are open at once, as nobody's are who waits for a reply before he asks again. */
const pipelinedRequestsMax = 16;

interface Connection {
  /** It has no place: `connectionsMax` others had theirs when it came. */
  extra: boolean;
  readonly open: Set<OpenExchange>;
  /** Bytes that are no HTTP came after requests that are still at work; answered when these are. */
  failure: MillraceError | null;
  /** It ends with a reply that is on its way: nothing more is answered. */
  isEnding: boolean;
  /** Its last request's head is too large for the room that is left. */
  headTooLarge: boolean;
  timer: NodeJS.Timeout | null;
  /** What it had read when a place was last looked for and how often we had enough, and since when it is no more. */
  progress: { readonly mark: number; readonly sinceMs: number } | null;
}

export class Connections {
  readonly #context: ListenerContext;
  /** In the order in which they came. */
  readonly #bySocket = new Map<Socket, Connection>();
  readonly #extra = new Set<Socket>();
  readonly #idle: IdleConnections;
  readonly #heads = new HeadsBudget();

  constructor(context: ListenerContext) {
    this.#context = context;
    this.#idle = new IdleConnections(context.limits.headersTimeoutMs, context.nowMs);
  }

  get count(): number {
    return this.#bySocket.size;
  }

  /** Again, for one that was given back: nothing. */
  opened(socket: Socket): void {
    if (this.#bySocket.has(socket)) return;
    const extra = !this.#placeIsFree;
    const connection: Connection = {
      extra,
      open: new Set(),
      failure: null,
      isEnding: false,
      headTooLarge: false,
      timer: null,
      progress: null,
    };
    if (extra) {
      if (this.#extra.size >= extraConnectionsMax) this.#endOldestExtra();
      this.#extra.add(socket);
      connection.timer = setTimeout(() => socket.destroy(), extraConnectionMs);
    } else this.#idle.add(socket);
    this.#bySocket.set(socket, connection);
    socket.once("close", () => this.#forget(socket));
  }

  /** False where a request is not to be answered: its connection is on its way out. */
  answers(socket: Socket): boolean {
    const connection = this.#bySocket.get(socket);
    if (connection === undefined || socket.destroyed) return false;
    // It goes on asking behind the reply that ends it, and each request would be kept.
    if (connection.isEnding) socket.destroy();
    return !connection.isEnding;
  }

  /** Whether requests of it are not answered yet. */
  isAnswering(socket: Socket): boolean {
    return (this.#bySocket.get(socket)?.open.size ?? 0) > 0;
  }

  begin(exchange: OpenExchange): void {
    const { socket } = exchange.request;
    const connection = this.#bySocket.get(socket);
    if (connection === undefined) throw new Error("begin: ask answers() first");
    connection.open.add(exchange);
    this.#idle.delete(socket);
    const bytes = headBytes(exchange.request);
    connection.headTooLarge = !this.#heads.open(bytes);
    exchange.lifetime.onEnd(() => {
      this.#heads.close(bytes);
      connection.open.delete(exchange);
      if (connection.open.size === 0) this.#allAnswered(socket, connection);
    });
    if (connection.extra && this.#placeIsFree) this.#givePlace(socket, connection);
    connection.isEnding =
      connection.extra || connection.headTooLarge || connection.open.size > pipelinedRequestsMax;
    exchange.isLast = connection.isEnding;
  }

  /** @throws MillraceError `too_many_connections`, `queue_full` */
  refuseWhereFull(exchange: OpenExchange, fromMemory: boolean): void {
    const { socket } = exchange.request;
    const connection = this.#bySocket.get(socket);
    if (connection === undefined || !connection.isEnding) return;
    if (connection.open.size > pipelinedRequestsMax) {
      const message = `This connection has ${pipelinedRequestsMax} requests that are not answered yet.`;
      throw new MillraceError("queue_full", message);
    }
    if (fromMemory) return;
    if (connection.headTooLarge) {
      const message = "The heads of the requests that are open leave no room for one so large.";
      throw new MillraceError("queue_full", message);
    }
    if (this.#freePlace()) {
      this.#givePlace(socket, connection);
      connection.isEnding = false;
      exchange.isLast = false;
      return;
    }
    const most = this.#context.limits.connectionsMax;
    throw new MillraceError(
      "too_many_connections",
      `There are ${most} connections already (--connections-max); come again later.`,
    );
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

  get #placeIsFree(): boolean {
    const taken = this.#bySocket.size - this.#extra.size;
    return taken < this.#context.limits.connectionsMax;
  }

  /** False where nobody idles for long enough, nor sends a body that has stopped: who waits for us is never closed. */
  #freePlace(): boolean {
    const idle = this.#idle.longest();
    if (idle !== null) {
      this.#close(idle);
      return true;
    }
    const handedOver = this.#context.upgrades?.closeIdle() ?? null;
    if (handedOver !== null) {
      this.#forget(handedOver);
      return true;
    }
    const stalled = this.#stalled();
    if (stalled === null) return false;
    this.#forget(stalled);
    const message = `No byte of the body came for ${stalledMsMin} ms, and others wait for a connection.`;
    this.#answerRaw(stalled, new MillraceError("body_timeout", message));
    return true;
  }

  /** One whose body has not grown since a look that is long enough ago. */
  #stalled(): Socket | null {
    const nowMs = this.#context.nowMs();
    for (const [socket, connection] of this.#bySocket) {
      const sending = [...connection.open].filter(({ request }) => !request.complete);
      if (connection.extra || sending.length === 0) continue;
      // One that we keep from sending has not stopped, and has all its time once we go on.
      if (sending.some(({ reading }) => reading.isHeld)) continue;
      const holds = sending.reduce((sum, { reading }) => sum + reading.holds, 0);
      const mark = socket.bytesRead + holds;
      if (connection.progress?.mark !== mark) {
        connection.progress = { mark, sinceMs: nowMs };
      } else if (nowMs - connection.progress.sinceMs >= stalledMsMin) return socket;
    }
    return null;
  }

  #givePlace(socket: Socket, connection: Connection): void {
    connection.extra = false;
    this.#extra.delete(socket);
    if (connection.timer !== null) clearTimeout(connection.timer);
  }

  #allAnswered(socket: Socket, { failure, isEnding }: Connection): void {
    if (failure !== null) this.#answerRaw(socket, failure);
    else if (this.#bySocket.has(socket) && !isEnding) this.#idle.add(socket);
  }

  /** One that has asked nothing where there is one: the oldest has had the longest time to. */
  #endOldestExtra(): void {
    let oldest: Socket | null = null;
    for (const socket of this.#extra) {
      oldest ??= socket;
      if (this.#bySocket.get(socket)?.open.size !== 0) continue;
      oldest = socket;
      break;
    }
    if (oldest === null) return;
    this.#close(oldest);
  }

  /** The end is told later, and until then others come: its place is free from now on. */
  #close(socket: Socket): void {
    socket.destroy();
    this.#forget(socket);
  }

  #forget(socket: Socket): void {
    const connection = this.#bySocket.get(socket);
    if (connection === undefined) return;
    if (connection.timer !== null) clearTimeout(connection.timer);
    this.#bySocket.delete(socket);
    this.#extra.delete(socket);
    this.#idle.delete(socket);
    for (const exchange of connection.open) exchange.lifetime.end();
  }

  /** A reply without a `ServerResponse`; then the connection ends, at the latest after `lingerMs`. */
  #answerRaw(socket: Socket, error: MillraceError): void {
    if (!socket.writable) return;
    const { identification, metrics, defaultFront } = this.#context;
    const id = identification.idOf({});
    const reply = defaultFront.renderError(error, id);
    metrics.refused(error.code);
    metrics.replied({ route: "none", status: reply.status, class: "none" });
    socket.end(rawReply(reply, { reason: error.code, ...identification.headersFor(id) }));
    lingerThenDestroy(socket);
  }
}

function rawReply(
  { status, contentType, body, headers }: Reply,
  { reason, ...more }: Readonly<Record<string, string>>,
): Buffer {
  const fields = {
    "content-type": contentType,
    "content-length": String(Buffer.byteLength(body)),
    ...more,
    ...headers,
    "cache-control": "no-store",
    connection: "close",
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = Buffer.from(`HTTP/1.1 ${status} ${reason ?? ""}\r\n${lines.join("")}\r\n`);
  return Buffer.concat([head, Buffer.from(body as string)]);
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
