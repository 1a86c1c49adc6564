/**
 * What the listener and a front know of each other. A front has endpoints; for each connection it gets a channel, hears
 * messages and says messages. It never sees a socket.
 */
import type { MillraceError, WorkClass } from "millrace-client/wire";
import type { Caller } from "../../work/caller.js";
import type { TraceSpan } from "../../work/trace-span.js";

export interface WebSocketFront {
  readonly endpoints: readonly Endpoint[];
}

export interface Endpoint {
  /**
   * Of a route of this front over HTTP, which says who may come, describes it, and answers who asks without a WebSocket. It
   * has no names in it.
   */
  readonly path: string;
  /** @throws MillraceError where it is refused; before the handshake, hence over HTTP. */
  readonly check?: (query: URLSearchParams) => void;
  readonly open: (channel: Channel) => Hearer;
}

/** One connection, from its handshake until it is closed. */
export interface Channel {
  readonly id: string;
  readonly caller: Caller;
  readonly query: URLSearchParams;
  /** Aborts when nobody is there any more, whoever has left. */
  readonly closed: AbortSignal;
  /**
   * Waits for nobody: what the peer does not take is kept, in budget. After the close: does nothing. Bytes are those of a text that
   * many are told.
   */
  say(text: string | Buffer): void;
  /** So many more bytes (fewer, where negative) are kept for the peer, who has not asked for them yet: they count as what it does not take. */
  keep(bytes: number): void;
  /**
   * Something is under way for it: until the returned function is called it is neither closed for the sake of others nor
   * because the server stops. Again: nothing.
   */
  hold(): () => void;
  /**
   * Of a request on it, which has a trace of its own: that of `carried`, where that can be read. The front ends it. Null: nobody traces
   * it.
   */
  begin(carried: unknown, start: { readonly atMs: number; readonly id: string }): TraceSpan | null;
  /** Counts the error, logs it where it is a bug, and gives what may be told. */
  told(thrown: unknown): MillraceError;
  /** Counts a request that was answered, by the status that it would have over HTTP. */
  replied(status: number, workClass: WorkClass | "none"): void;
}

export interface Hearer {
  /**
   * One message at a time: the next one comes when this is over. Binary messages are bytes. What it throws is a bug.
   */
  onMessage(message: string | Uint8Array, arrival: MessageArrival): void | Promise<void>;
}

export interface MessageArrival {
  /** On the clock of `performance.now()`. */
  readonly atMs: number;
  readonly bytes: number;
}
