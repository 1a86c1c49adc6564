/**
 * One WebSocket and the requests on it. It is over once: closed by somebody, silent for too long, or because something came
 * that is not Millrace's. Then every request on it fails with the same error, and nobody asks it any more.
 */
import { checkIdentity, type ExpectedDeployment } from "./expect.js";
import { isRecord, readError } from "./reply.js";
import { timerMs } from "./scope.js";
import type { WebSocketLike } from "./web-socket.js";
import {
  type DeploymentIdentity,
  MillraceError,
  type StreamClientMessage,
  streamLimits,
} from "./wire/index.js";

/** A connection on which nothing is under way is kept for so long: in Node it keeps the process alive. */
const idleMsMax = 5_000;
/** How often a server is asked whether it is there, while something is under way. */
const pingMsMax = 15_000;
/** RFC 6455: a message was too large for who got it. */
const tooLarge = 1009;
/** Shorter texts are not measured in bytes. */
const shortCharactersMax = 16 * 1024;

export interface ConnectionParts {
  readonly socket: WebSocketLike;
  readonly expect: ExpectedDeployment;
  /** From the start until the greeting. */
  readonly headMsMax: number;
  readonly silenceMsMax: number;
  /** It is over: not to be used for anything new. */
  readonly onOver: () => void;
}

/** Hears of one request. After `fail` or `end` there is nothing more. */
export interface Hearing {
  accepted(requestId: string, deployment: DeploymentIdentity): void;
  /** A line, as the reply over HTTP would have it. */
  line(value: unknown): void;
  end(): void;
  fail(error: MillraceError): void;
}

interface Sent {
  readonly hearing: Hearing;
  readonly bytes: number;
  isAccepted: boolean;
}

export class StreamConnection {
  /** When the greeting came; rejects where none did. */
  readonly ready: Promise<void>;
  /** It was closed before the greeting came; why, no WebSocket says. */
  isRefused = false;
  readonly #parts: ConnectionParts;
  readonly #requests = new Map<string, Sent>();
  /** Callers who wait for the greeting, or whose request is under way. */
  #callers = 0;
  #deployment: DeploymentIdentity | null = null;
  #settle: { readonly resolve: () => void; readonly reject: (error: MillraceError) => void };
  #isOver = false;
  #sent = 0;
  #heardAtMs = performance.now();
  #pings: ReturnType<typeof setInterval> | null = null;
  #idle: ReturnType<typeof setTimeout> | null = null;
  /** A server that is not there may never say so, and neither does every WebSocket. */
  readonly #greeting: ReturnType<typeof setTimeout>;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.#settle = { resolve: () => undefined, reject: () => undefined };
    this.ready = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever waits for it hears of it; and nobody may.
    this.ready.catch(() => undefined);
    const { socket, headMsMax } = parts;
    this.#greeting = setTimeout(() => this.over(unanswered(headMsMax)), timerMs(headMsMax));
    socket.addEventListener("message", (event) => this.#hear(Reflect.get(event, "data")));
    socket.addEventListener("close", (event) => {
      const code: unknown = Reflect.get(event, "code");
      this.isRefused = !this.#isOver && this.#deployment === null;
      if (code === tooLarge) this.#failLargest();
      this.over(closed(code));
    });
    // A close follows it.
    socket.addEventListener("error", () => undefined);
  }

  /** It has as many callers as a server takes requests on a connection. */
  get isFull(): boolean {
    return this.#callers >= streamLimits.requestsMax;
  }

  /** A caller is there, until the returned function is called. */
  join(): () => void {
    this.#callers += 1;
    this.#tend();
    return () => {
      this.#callers -= 1;
      this.#tend();
    };
  }

  /**
   * Sends a request; the greeting must have come. It may be over meanwhile.
   *
   * @throws MillraceError `connection_failed`, and `bad_request` for what is no JSON: a cycle is no connection's mistake
   */
  request(fields: Readonly<Record<string, unknown>>, hearing: Hearing): StreamCall {
    if (this.#isOver) throw closed(undefined);
    this.#sent += 1;
    const id = String(this.#sent);
    const text = toJson({ type: "request", id, ...fields });
    this.#requests.set(id, { hearing, bytes: bytesOf(text), isAccepted: false });
    this.#send(text);
    return {
      grant: (outcomes) => {
        if (this.#requests.has(id)) this.#say({ type: "credit", id, outcomes });
      },
      leave: () => {
        if (this.#remove(id) === null) return;
        this.#say({ type: "cancel", id });
      },
    };
  }

  /** Again: nothing. */
  over(error: MillraceError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#pings !== null) clearInterval(this.#pings);
    if (this.#idle !== null) clearTimeout(this.#idle);
    clearTimeout(this.#greeting);
    this.#parts.onOver();
    this.#settle.reject(error);
    const all = [...this.#requests.values()];
    this.#requests.clear();
    for (const { hearing } of all) hearing.fail(error);
    this.#parts.socket.close(1000);
  }

  #hear(data: unknown): void {
    this.#heardAtMs = performance.now();
    if (this.#isOver) return;
    try {
      const message = parse(data);
      if (this.#deployment === null) this.#greet(message);
      else this.#dispatch(message, this.#deployment);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.over(error);
    }
  }

  #greet(message: Readonly<Record<string, unknown>>): void {
    const deployment = message["deployment"];
    if (message["type"] !== "hello" || !isIdentity(deployment)) throw notOurs(message);
    checkIdentity(this.#parts.expect, deployment);
    this.#deployment = deployment;
    clearTimeout(this.#greeting);
    this.#settle.resolve();
  }

  #dispatch(message: Readonly<Record<string, unknown>>, deployment: DeploymentIdentity): void {
    const { type, id } = message;
    if (type === "pong") return;
    // One that was taken back may still be answered.
    const sent = typeof id === "string" ? this.#requests.get(id) : undefined;
    const hearing = sent?.hearing;
    switch (type) {
      case "accepted":
        if (sent !== undefined) sent.isAccepted = true;
        hearing?.accepted(String(message["requestId"]), deployment);
        return;
      case "outcome":
        if (!isRecord(message["outcome"])) throw notOurs(message);
        hearing?.line({ ...message["outcome"], index: message["index"] });
        return;
      case "done":
        hearing?.line({ done: message["summary"] });
        this.#remove(String(id))?.end();
        return;
      case "error":
        this.#failed(message, id);
        return;
      default:
        throw notOurs(message);
    }
  }

  #failed(message: Readonly<Record<string, unknown>>, id: unknown): void {
    const retryAfterMs = message["retryAfterMs"];
    const error = readError(message, typeof retryAfterMs === "number" ? retryAfterMs : undefined);
    if (error === null) throw notOurs(message);
    // A message of ours was refused that belongs to no request: nobody knows which of them is lost.
    if (typeof id !== "string") throw error;
    this.#remove(id)?.fail(error);
  }

  #remove(id: string): Hearing | null {
    const sent = this.#requests.get(id);
    this.#requests.delete(id);
    return sent?.hearing ?? null;
  }

  /** Of those that were not heard yet it is the one that was too large, or larger still: sent again it would end every connection. */
  #failLargest(): void {
    let largest: { readonly id: string; readonly bytes: number } | null = null;
    for (const [id, { bytes, isAccepted }] of this.#requests) {
      if (!isAccepted && bytes > (largest?.bytes ?? 0)) largest = { id, bytes };
    }
    if (largest === null) return;
    const message = `The server takes no message of ${largest.bytes} bytes.`;
    this.#remove(largest.id)?.fail(new MillraceError("body_too_large", message));
  }

  /** While something is under way the server is asked whether it is there; else the connection is closed after a while. */
  #tend(): void {
    if (this.#isOver) return;
    const isIdle = this.#callers === 0;
    if (isIdle && this.#pings !== null) {
      clearInterval(this.#pings);
      this.#pings = null;
    }
    if (isIdle) {
      this.#idle ??= setTimeout(() => this.over(closed(1000)), idleMsMax);
      return;
    }
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = null;
    if (this.#pings !== null) return;
    const { silenceMsMax } = this.#parts;
    this.#heardAtMs = performance.now();
    const everyMs = Math.max(1, Math.min(pingMsMax, silenceMsMax / 3));
    this.#pings = setInterval(() => {
      if (performance.now() - this.#heardAtMs > silenceMsMax) this.over(silent(silenceMsMax));
      else if (this.#deployment !== null) this.#say({ type: "ping" });
    }, timerMs(everyMs));
  }

  #say(message: StreamClientMessage): void {
    if (!this.#isOver) this.#send(JSON.stringify(message));
  }

  #send(text: string): void {
    try {
      this.#parts.socket.send(text);
    } catch (cause) {
      this.over(new MillraceError("connection_failed", "The connection broke.", { cause }));
    }
  }
}

/** A request that was sent. */
export interface StreamCall {
  /** So many more outcomes may be sent. */
  grant(outcomes: number): void;
  /** Where it is not over: its caller left. */
  leave(): void;
}

function toJson(message: object): string {
  try {
    return JSON.stringify(message);
  } catch (cause) {
    throw new MillraceError("bad_request", `The request is not JSON: ${String(cause)}`, { cause });
  }
}

function bytesOf(text: string): number {
  return text.length <= shortCharactersMax ? text.length : new TextEncoder().encode(text).length;
}

function parse(data: unknown): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = typeof data === "string" ? JSON.parse(data) : null;
  } catch {
    value = null;
  }
  if (isRecord(value)) return value;
  throw notOurs(data);
}

function isIdentity(value: unknown): value is DeploymentIdentity {
  const names = ["name", "environment", "version", "configHash", "node"];
  return isRecord(value) && names.every((name) => typeof value[name] === "string");
}

function notOurs(message: unknown): MillraceError {
  const start = (JSON.stringify(message) ?? "").slice(0, 200);
  return new MillraceError("response_invalid", `A message that is not Millrace's: ${start}`);
}

function closed(code: unknown): MillraceError {
  return new MillraceError("connection_failed", `The connection was closed (${String(code)}).`);
}

function unanswered(ms: number): MillraceError {
  return new MillraceError("connection_failed", `No greeting within ${ms} ms.`);
}

function silent(ms: number): MillraceError {
  return new MillraceError("connection_failed", `The server sent nothing for ${ms} ms.`);
}
