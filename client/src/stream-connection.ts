/**
 * One WebSocket and the requests on it. It is over once: closed by somebody, silent for too long, or because something came
 * that is not Millrace's. Then every request on it fails with the same error, and nobody asks it any more.
 */
import { checkIdentity, type ExpectedDeployment } from "./expect.js";
import { isRecord, readError } from "./reply.js";
import { timerMs } from "./scope.js";
import type { WebSocketLike } from "./web-socket.js";
import { type DeploymentIdentity, MillraceError, type StreamClientMessage } from "./wire/index.js";

/** A connection on which nothing is under way is kept for so long: in Node it keeps the process alive. */
const idleMsMax = 5_000;
/** How often a server is asked whether it is there, while something is under way. */
const pingMsMax = 15_000;

export interface ConnectionParts {
  readonly socket: WebSocketLike;
  readonly expect: ExpectedDeployment;
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

export class StreamConnection {
  /** When the greeting came; rejects where none did. */
  readonly ready: Promise<void>;
  /** It was there once: what ended it later was no refusal. */
  hasGreeted = false;
  readonly #parts: ConnectionParts;
  readonly #requests = new Map<string, Hearing>();
  #deployment: DeploymentIdentity | null = null;
  #settle: { readonly resolve: () => void; readonly reject: (error: MillraceError) => void };
  #isOver = false;
  #sent = 0;
  #heardAtMs = performance.now();
  #pings: ReturnType<typeof setInterval> | null = null;
  #idle: ReturnType<typeof setTimeout> | null = null;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.#settle = { resolve: () => undefined, reject: () => undefined };
    this.ready = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever waits for it hears of it; and nobody may.
    this.ready.catch(() => undefined);
    const { socket } = parts;
    socket.addEventListener("message", (event) => this.#hear(Reflect.get(event, "data")));
    socket.addEventListener("close", (event) => this.over(closed(Reflect.get(event, "code"))));
    // A close follows it.
    socket.addEventListener("error", () => undefined);
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
    this.#requests.set(id, hearing);
    this.#tend();
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
    this.#parts.onOver();
    this.#settle.reject(error);
    const all = [...this.#requests.values()];
    this.#requests.clear();
    for (const hearing of all) hearing.fail(error);
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
    this.hasGreeted = true;
    this.#settle.resolve();
  }

  #dispatch(message: Readonly<Record<string, unknown>>, deployment: DeploymentIdentity): void {
    const { type, id } = message;
    if (type === "pong") return;
    // One that was taken back may still be answered.
    const hearing = typeof id === "string" ? this.#requests.get(id) : undefined;
    switch (type) {
      case "accepted":
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
    const hearing = this.#requests.get(id) ?? null;
    this.#requests.delete(id);
    this.#tend();
    return hearing;
  }

  /** While something is under way the server is asked whether it is there; else the connection is closed after a while. */
  #tend(): void {
    if (this.#isOver) return;
    const isIdle = this.#requests.size === 0;
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
      else this.#say({ type: "ping" });
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

function silent(ms: number): MillraceError {
  return new MillraceError("connection_failed", `The server sent nothing for ${ms} ms.`);
}
