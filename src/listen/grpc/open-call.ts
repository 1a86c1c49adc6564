/** One call: who asks, for how long, its messages on their way in, and how it ends. */
import { setMaxListeners } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import type { Metadata } from "@grpc/grpc-js";
import type { MillraceError, WorkClass } from "millrace-client/wire";
import type { Metrics } from "../../metrics/metrics.js";
import type { Asker } from "../../work/asker.js";
import { type Caller, nobody } from "../../work/caller.js";
import type { TraceSpan } from "../../work/trace-span.js";
import { toldError } from "../told-error.js";
import type { GrpcCall, GrpcMessage } from "./grpc-front.js";
import { endGrpcSpan } from "./grpc-span.js";

export interface CallParts {
  /** `/package.Service/Method`, for metrics. */
  readonly path: string;
  readonly id: string;
  /** Who asked and who answers. */
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number | null;
  /** Null: nobody traces it. */
  readonly span: TraceSpan | null;
  readonly draining: AbortSignal;
  readonly metrics: Pick<Metrics, "refused" | "replied">;
  readonly onBug: (call: Pick<Asker, "id" | "span">, thrown: unknown) => void;
}

export class OpenCall implements GrpcCall {
  readonly #parts: CallParts;
  readonly arrivedAtMs: number = performance.now();
  /** Until it is known who asks: nobody. */
  caller: Caller = nobody;
  workClass: WorkClass | "none" = "none";
  readonly #departure = new AbortController();
  #isHeld = false;
  #next: (() => void) | null = null;
  #ended = false;
  readonly #onFree: (() => void)[] = [];
  readonly #onEnd: (() => void)[] = [];

  constructor(parts: CallParts) {
    this.#parts = parts;
    // As many as a stream has requests and replies under way.
    setMaxListeners(0, this.#departure.signal);
  }

  get id(): string {
    return this.#parts.id;
  }

  get span(): TraceSpan | null {
    return this.#parts.span;
  }

  get timeoutMs(): number | null {
    return this.#parts.timeoutMs;
  }

  get headers(): Readonly<Record<string, string>> {
    return this.#parts.headers;
  }

  get departed(): AbortSignal {
    return this.#departure.signal;
  }

  get draining(): AbortSignal {
    return this.#parts.draining;
  }

  /** A status was given, or the caller has left. */
  get ended(): boolean {
    return this.#ended;
  }

  /** No message is held any more; may be called more than once. */
  onFree(action: () => void): void {
    this.#onFree.push(action);
  }

  onEnd(action: () => void): void {
    this.#onEnd.push(action);
  }

  /** A message is delivered when the one before it is not held any more. */
  hold(deliver: () => void): void {
    if (this.#isHeld) {
      this.#next = deliver;
      return;
    }
    this.#isHeld = true;
    deliver();
  }

  /** For whoever works on the message that was delivered last. */
  message(bytes: Buffer): GrpcMessage {
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      this.release();
    };
    return { bytes, release };
  }

  release(): void {
    const next = this.#next;
    this.#next = null;
    if (next !== null) return next();
    this.#isHeld = false;
    for (const action of this.#onFree) action();
  }

  /** Once; whatever the way out. `status` is gRPC's number. */
  end(status: number): void {
    if (this.#ended) return;
    this.#ended = true;
    const { path: route, metrics, span } = this.#parts;
    metrics.replied({ route, status, class: this.workClass });
    endGrpcSpan(span, status);
    this.#next = null;
    for (const action of [...this.#onFree, ...this.#onEnd]) action();
  }

  /** The caller left, or its deadline passed, before it had its reply. */
  left(status: number): void {
    if (this.#ended) return;
    this.end(status);
    this.#departure.abort();
  }

  told(thrown: unknown): MillraceError {
    const error = toldError(thrown, () => this.#parts.onBug(this, thrown));
    this.#parts.metrics.refused(error.code);
    this.span?.set({ "millrace.error.code": error.code });
    return error;
  }
}

/** Those that are text, as identification and access read them. */
export function textHeadersOf(metadata: Metadata): IncomingHttpHeaders {
  const headers: IncomingHttpHeaders = {};
  for (const [name, value] of Object.entries(metadata.getMap())) {
    if (typeof value === "string") headers[name] = value;
  }
  return headers;
}
