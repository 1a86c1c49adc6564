/**
 * The messages of `/v1/stream`, a WebSocket for many requests at once, each one a JSON text. A client says `request`, `cancel`,
 * `credit` and `ping`; the server says the others.
 *
 *     client   request a ─┐  request b ─┐       cancel b
 *     server   hello   accepted a  accepted b  outcome b  outcome a  done a
 */
import type { DeploymentIdentity, ReplySummary, RequestFields } from "./api.js";
import type { WireError } from "./errors.js";

/** What a client offers in `Sec-WebSocket-Protocol`; where it can set no other header, its key beside it. */
export const subprotocols = {
  v1: "millrace.v1",
  /** Before the key: `millrace.key.KEY`. */
  keyPrefix: "millrace.key.",
} as const;

/** Hard bounds of a connection that no option can raise. */
export const streamLimits = {
  /** Characters of the name that a client gives a request. */
  idCharactersMax: 64,
  /** Requests of a connection that are not answered yet. */
  requestsMax: 256,
  /** Outcomes that wait for credit; where there are as many, no more requests are taken. */
  waitingOutcomesMax: 1_024,
  /** Of one grant, and of all that is not used up. */
  creditMax: 1_000_000_000,
} as const;

export type StreamClientMessage = StreamRequest | StreamCancel | StreamCredit | StreamPing;

/** Beside these the task's own fields stand here, as in the body of `POST /v1/<task>`. */
export interface StreamRequest extends RequestFields {
  readonly type: "request";
  /** What the client calls it; free again when it was answered. */
  readonly id: string;
  readonly task: string;
  /** So many of its outcomes are sent, until there is more credit. Default: all, as far as the connection's allows. */
  readonly credit?: number;
  /** W3C trace context, as the headers of a request over HTTP: whose trace it belongs to. One that breaks the rules is none. */
  readonly traceparent?: string;
  readonly tracestate?: string;
}

/** The request is dropped; its last message is an `error` with the code `cancelled`. */
export interface StreamCancel {
  readonly type: "cancel";
  readonly id: string;
}

/** So many more outcomes: of one request that has credit, or else of the connection, which is bound by it from then on. */
export interface StreamCredit {
  readonly type: "credit";
  readonly outcomes: number;
  readonly id?: string;
}

/** Answered with `pong`: browsers do not show the protocol's own pings. */
export interface StreamPing {
  readonly type: "ping";
}

export type StreamServerMessage =
  | StreamHello
  | StreamAccepted
  | StreamOutcome
  | StreamDone
  | StreamError
  | StreamPong;

/** The first one: who answers, for who cannot read the handshake's headers. */
export interface StreamHello {
  readonly type: "hello";
  readonly deployment: DeploymentIdentity;
}

/** It passed every door, and each of its inputs will have its outcome. Where preparing takes long, `queue_full` may still follow. */
export interface StreamAccepted {
  readonly type: "accepted";
  readonly id: string;
  /** By this name the server's log knows it. */
  readonly requestId: string;
}

/** Of the input at `index`, as it is ready. */
export interface StreamOutcome {
  readonly type: "outcome";
  readonly id: string;
  readonly index: number;
  /** The task's result, or `{"error": …}`. */
  readonly outcome: object;
}

/** Every outcome was sent. */
export interface StreamDone {
  readonly type: "done";
  readonly id: string;
  readonly summary: ReplySummary;
}

/** With `id`: that request has failed as a whole, and ends. Without: a message was refused, and nothing else changes. */
export interface StreamError {
  readonly type: "error";
  readonly id?: string;
  readonly error: WireError;
  /** When it is worth another try. */
  readonly retryAfterMs?: number;
}

export interface StreamPong {
  readonly type: "pong";
}
