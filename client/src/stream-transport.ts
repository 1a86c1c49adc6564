/**
 * Attempts over a WebSocket: many at once on one connection, which is opened when it is needed, and anew when it was lost. What
 * has files goes over HTTP.
 */
import type { Carrier } from "./courier.js";
import type { ExpectedDeployment } from "./expect.js";
import { abortFailure, Scope } from "./scope.js";
import { type Hearing, type StreamCall, StreamConnection } from "./stream-connection.js";
import type { Outgoing, Transport } from "./transport.js";
import type { WebSocketClass } from "./web-socket.js";
import { MillraceError, subprotocols } from "./wire/index.js";

export interface StreamTransportParts {
  readonly WebSocket: WebSocketClass;
  /** For the address, for what cannot go over a WebSocket, and to ask why there is none. */
  readonly transport: Transport;
  readonly expect: ExpectedDeployment;
  readonly headers: Readonly<Record<string, string>>;
  readonly headMsMax: number;
  readonly silenceMsMax: number;
}

const path = "v1/stream";
/** Outcomes that a server may send ahead of whoever reads them. */
const creditOutcomes = 1_024;

export class StreamTransport implements Carrier {
  readonly #parts: StreamTransportParts;
  readonly #url: string;
  readonly #protocols: readonly string[];
  /** In the order in which they were opened; a second one where the first has all the requests that a server takes on one. */
  readonly #connections = new Set<StreamConnection>();

  /** Throws `option_invalid` for a key that no handshake can carry. */
  constructor(parts: StreamTransportParts) {
    this.#parts = parts;
    const url = parts.transport.addressOf(path);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#url = url.href;
    this.#protocols = protocolsFor(parts.headers);
  }

  async *lines(outgoing: Outgoing, signal: AbortSignal): AsyncGenerator<readonly unknown[], void> {
    const { content } = outgoing;
    const { transport, headMsMax } = this.#parts;
    if (content?.kind !== "json") {
      yield* transport.lines(outgoing, signal);
      return;
    }
    const scope = new Scope([signal]);
    let call: StreamCall | null = null;
    let leave = (): void => undefined;
    try {
      if (scope.signal.aborted) throw abortFailure(scope.signal);
      const connection = this.#connection();
      leave = connection.join();
      await this.#greeted(connection, scope);
      const lines = new Lines(outgoing);
      const fields = { task: outgoing.path.replace("v1/", ""), credit: creditOutcomes };
      call = connection.request({ ...fields, ...(content.value as object) }, lines);
      await scope.within({ ms: headMsMax, reason: headless }, lines.begun);
      for (;;) {
        const { values, isLast } = await aborted(scope, lines.next());
        yield values;
        if (isLast) return;
        call.grant(values.length);
      }
    } finally {
      call?.leave();
      leave();
      scope.end();
    }
  }

  /** What is under way fails; what is asked later opens a connection anew. */
  close(): void {
    for (const connection of this.#connections) {
      connection.over(new MillraceError("cancelled", "The client was closed."));
    }
  }

  async #greeted(connection: StreamConnection, scope: Scope): Promise<void> {
    try {
      await aborted(scope, connection.ready);
    } catch (error) {
      if (scope.signal.aborted) throw abortFailure(scope.signal);
      if (connection.isRefused) await this.#askWhy(scope);
      throw error;
    }
  }

  #connection(): StreamConnection {
    for (const connection of this.#connections) if (!connection.isFull) return connection;
    const { WebSocket, expect, headMsMax, silenceMsMax } = this.#parts;
    const connection: StreamConnection = new StreamConnection({
      socket: new WebSocket(this.#url, [...this.#protocols]),
      expect,
      headMsMax,
      silenceMsMax,
      onOver: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
    return connection;
  }

  /** No WebSocket says why it was refused: over HTTP the same address does, for whoever may not come, or reached somebody else. */
  async #askWhy(scope: Scope): Promise<void> {
    const asked: Outgoing = { path, accept: "application/json" };
    try {
      await this.#parts.transport.json(asked, scope.signal);
    } catch (error) {
      const isNoAnswer =
        error instanceof MillraceError &&
        ["upgrade_required", "connection_failed", "response_invalid"].includes(error.code);
      if (!isNoAnswer) throw error;
    }
  }
}

/** The reply of one request, as it comes: handed out in the portions in which it is asked for. */
class Lines implements Hearing {
  /** The server took the request in, or said why not. */
  readonly begun: Promise<void>;
  readonly #outgoing: Outgoing;
  #begin: () => void = () => undefined;
  #values: unknown[] = [];
  #isOver = false;
  #failure: MillraceError | null = null;
  #wake: () => void = () => undefined;

  constructor(outgoing: Outgoing) {
    this.#outgoing = outgoing;
    this.begun = new Promise((resolve) => {
      this.#begin = resolve;
    });
  }

  accepted(id: string, deployment: Parameters<Hearing["accepted"]>[1]): void {
    this.#outgoing.onHead?.({ id, deployment, headers: null });
    this.#begin();
  }

  line(value: unknown): void {
    this.#values.push(value);
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#begin();
    this.#wake();
  }

  fail(error: MillraceError): void {
    this.#failure = error;
    this.end();
  }

  /** What came since, at least one value unless it is over. One waiter at a time. */
  async next(): Promise<{ readonly values: readonly unknown[]; readonly isLast: boolean }> {
    if (this.#values.length === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const values = this.#values;
    this.#values = [];
    // What came before it is worth handing out.
    if (values.length === 0 && this.#failure !== null) throw this.#failure;
    return { values, isLast: this.#isOver && this.#failure === null };
  }
}

/** The promise, unless the scope ends first. */
async function aborted<T>(scope: Scope, promise: Promise<T>): Promise<T> {
  return await scope.within({ ms: Number.POSITIVE_INFINITY, reason: headless }, promise);
}

/** The key stands where a browser can put it. */
function protocolsFor(headers: Readonly<Record<string, string>>): readonly string[] {
  const named = new Headers(headers);
  const [, bearer] = /^Bearer +(\S+)$/i.exec(named.get("authorization") ?? "") ?? [];
  const key = bearer ?? named.get("x-api-key");
  if (key === null) return [subprotocols.v1];
  if (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(key)) {
    return [subprotocols.v1, `${subprotocols.keyPrefix}${key}`];
  }
  throw new MillraceError("option_invalid", "A WebSocket cannot carry a key with such characters.");
}

function headless(ms: number): MillraceError {
  return new MillraceError("connection_failed", `No word of a request within ${ms} ms.`);
}
