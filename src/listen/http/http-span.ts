/** A request over HTTP as OpenTelemetry's conventions have it; never its path or query, which may hold what its caller wrote. */
import type { IncomingMessage } from "node:http";
import type { ErrorCode } from "millrace-client/wire";
import type { Tracer } from "../../tracing/tracer.js";
import { isSpanError } from "../../work/failed-span.js";
import { readTraceContext } from "../../work/trace-context.js";
import type { SpanStart, TraceSpan } from "../../work/trace-span.js";
import type { Exchange, Route } from "./http-front.js";

export interface HttpSpanStart {
  readonly route: Pick<Route, "path" | "method">;
  readonly atMs: number;
  readonly id: string;
}

/** Null where nobody traces it. */
export function beginHttpSpan(
  tracer: Tracer,
  { headers, socket, httpVersion }: IncomingMessage,
  start: HttpSpanStart,
): HttpSpan | null {
  return begin(tracer, headers, {
    ...start,
    kind: "server",
    attributes: {
      "url.scheme": "encrypted" in socket ? "https" : "http",
      "network.protocol.version": httpVersion,
    },
  });
}

/** Of a call of this process, which came over no network. */
export function beginCallSpan(
  tracer: Tracer,
  headers: Exchange["headers"],
  start: HttpSpanStart,
): HttpSpan | null {
  return begin(tracer, headers, { ...start, kind: "internal", attributes: {} });
}

function begin(
  tracer: Tracer,
  headers: Exchange["headers"],
  {
    route: { path, method },
    id,
    atMs,
    kind,
    attributes,
  }: HttpSpanStart & Required<Pick<SpanStart, "kind" | "attributes">>,
): HttpSpan | null {
  const parent = readTraceContext(headers["traceparent"], headers["tracestate"]);
  const span = tracer.begin(`${method} ${path}`, parent, {
    kind,
    atMs,
    attributes: {
      "http.request.method": method,
      "http.route": path,
      ...attributes,
      "millrace.request.id": id,
    },
  });
  return span === null ? null : new HttpSpan(span);
}

/** From its arrival until its reply was taken, and below it the reply. */
export class HttpSpan {
  readonly span: TraceSpan;
  #reply: TraceSpan | null = null;
  #error: string | null = null;

  constructor(span: TraceSpan) {
    this.span = span;
  }

  failed(code: ErrorCode): void {
    this.span.set({ "millrace.error.code": code });
    if (isSpanError(code)) this.#error = code;
  }

  /** 499: the caller has left, and no status was sent; 101: the connection is somebody else's now. */
  replies(status: number): void {
    if (status !== 499) this.span.set({ "http.response.status_code": status });
    if (status === 499) this.#error ??= "cancelled";
    else if (status >= 500) this.#error ??= "internal";
    if (status === 101) this.span.end();
    else if (status !== 499) this.#reply = this.span.child("reply");
  }

  over(): void {
    this.#reply?.end();
    this.span.end(this.#error === null ? {} : { error: this.#error });
  }
}
