/**
 * The routes without a port: `fetch` of this process's own, with the same meaning. Whoever can call it owns the process, so
 * nobody is asked for a key, and may everything.
 */
import { MillraceError } from "millrace-client/wire";
import type { Log } from "../../log.js";
import type { Metrics } from "../../metrics/metrics.js";
import type { Tracer } from "../../tracing/tracer.js";
import { anyCaller } from "../../work/caller.js";
import { traceparentOf } from "../../work/trace-context.js";
import { withResolvers } from "../../work/with-resolvers.js";
import type { Identification } from "../identification.js";
import { queryOf } from "../query-of.js";
import type { RunningListener } from "../running-listener.js";
import type { HttpFront } from "./http-front.js";
import { beginCallSpan, type HttpSpan } from "./http-span.js";
import { type MadeBody, MadeExchange, type ReplyTaker } from "./made-exchange.js";
import { pathOf, Router } from "./router.js";

export interface InProcessParts {
  readonly fronts: readonly HttpFront[];
  readonly identification: Identification;
  readonly bodyBytesMax: number;
  readonly metrics: Pick<Metrics, "replied" | "refused" | "polled">;
  readonly log: Log;
  readonly tracer: Tracer;
}

/** Of a reply whose reader is slow: more than this waits only where a handler does not ask. */
const readyBytesMax = 64 * 1024;

export class InProcessListener implements RunningListener {
  /** No name that anybody could look up. */
  readonly url = "http://in-process.invalid";
  readonly #parts: InProcessParts;
  readonly #router: Router;
  readonly #open = new Set<OpenCall>();
  #drained: Promise<void> | null = null;
  #onIdle: () => void = () => {};
  #isClosed = false;

  constructor(parts: InProcessParts) {
    this.#parts = parts;
    this.#router = new Router(parts.fronts);
  }

  /** As `globalThis.fetch`; rejects with `cancelled` once all is closed. */
  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    if (this.#isClosed) throw new MillraceError("cancelled", "It was closed.");
    const call = new OpenCall(new Request(url, init));
    this.#open.add(call);
    void this.#answer(call).finally(() => {
      this.#open.delete(call);
      if (this.#open.size === 0) this.#onIdle();
    });
    return await call.response;
  }

  drained(): Promise<void> {
    this.#drained ??= new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.#open.size === 0) resolve();
    });
    return this.#drained;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const reason = new MillraceError("cancelled", "It was closed.");
    for (const call of this.#open) call.leave(reason);
    await this.drained();
  }

  async #answer(call: OpenCall): Promise<void> {
    const { identification, metrics, log, tracer } = this.#parts;
    const { request, departed } = call;
    const headers = Object.fromEntries(request.headers);
    const id = identification.idOf(headers);
    call.headers = identification.headersFor(id);
    const found = this.#router.find(request.method, pathOf(request.url));
    const route = "error" in found ? null : found.route;
    const isTraced = route !== null && route.fromMemory !== true;
    const start = { id, atMs: performance.now() };
    const span = isTraced ? beginCallSpan(tracer, headers, { ...start, route }) : null;
    call.traced(span);
    const body = bodyOf(request, this.#parts.bodyBytesMax);
    const query = queryOf(request.url);
    const made = { id, caller: anyCaller, headers, query, departed, body, span };
    const exchange = new MadeExchange(made, { taker: call, log });
    try {
      identification.check(headers);
      if ("error" in found) throw found.error;
      exchange.params = found.params;
      if (found.route.fromMemory === true) metrics.polled(found.route.path);
      await found.route.handler(exchange);
      if (!exchange.hasBegun) throw new Error(`${found.route.path} has not replied`);
    } catch (thrown) {
      const error = exchange.told(thrown);
      metrics.refused(error.code);
      // A front that has begun a reply and cannot end it has a bug: its reader must hear of it.
      if (exchange.hasBegun) call.leave(error);
      else exchange.reply(found.front.renderError(error, id));
    }
    await call.taken;
    span?.over();
    metrics.replied({
      route: route?.path ?? "none",
      status: call.status,
      class: exchange.workClass,
    });
  }
}

function bodyOf(request: Request, bytesMax: number): MadeBody {
  return {
    whole: async () => new Uint8Array(await request.arrayBuffer()),
    pieces: () => (request.body ?? new ReadableStream()) as AsyncIterable<Uint8Array>,
    bytesMax,
  };
}

/** What is made of a reply as it comes, and who leaves before its end. */
class OpenCall implements ReplyTaker {
  readonly request: Request;
  /** On every reply. */
  headers: Readonly<Record<string, string>> = {};
  /** As it is counted: 499 for who left before there was one. */
  status = 499;
  #span: HttpSpan | null = null;
  readonly #departure = new AbortController();
  readonly #response = withResolvers<Response>();
  readonly #taken = withResolvers();
  #isOver = false;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #wake: () => void = () => {};
  readonly #onAbort = (): void => this.leave(this.request.signal.reason);

  constructor(request: Request) {
    this.request = request;
    if (request.signal.aborted) this.#onAbort();
    else request.signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  get response(): Promise<Response> {
    return this.#response.promise;
  }

  /** Resolves when the reply is read, or nobody will read it. */
  get taken(): Promise<void> {
    return this.#taken.promise;
  }

  get departed(): AbortSignal {
    return this.#departure.signal;
  }

  /** Before its head. */
  traced(span: HttpSpan | null): void {
    this.#span = span;
    if (span?.span.isKept !== true) return;
    this.headers = { ...this.headers, traceresponse: traceparentOf(span.span.context) };
  }

  /** A second call does nothing, and so does one behind the end. */
  leave(reason: unknown): void {
    if (this.#isOver) return;
    if (this.status === 499) this.#span?.replies(499);
    this.#departure.abort();
    this.#response.reject(reason);
    this.#controller?.error(reason);
    this.#finish();
  }

  head({ status, headers }: Parameters<ReplyTaker["head"]>[0]): void {
    if (this.#isOver) return;
    this.status = status;
    this.#span?.replies(status);
    const body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#wake(),
        cancel: (reason) => this.leave(reason),
      },
      { highWaterMark: readyBytesMax, size: ({ length }) => length },
    );
    const hasBody = status !== 204 && status !== 304;
    this.#response.resolve(
      new Response(hasBody ? body : null, { status, headers: { ...this.headers, ...headers } }),
    );
  }

  data(piece: string | Uint8Array): void {
    if (this.#isOver || piece.length === 0) return;
    this.#controller?.enqueue(typeof piece === "string" ? Buffer.from(piece) : piece);
  }

  async ready(): Promise<void> {
    if (this.#isOver || (this.#controller?.desiredSize ?? 1) > 0) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  end(): void {
    if (this.#isOver) return;
    this.#controller?.close();
    this.#finish();
  }

  #finish(): void {
    this.#isOver = true;
    this.request.signal.removeEventListener("abort", this.#onAbort);
    this.#wake();
    this.#taken.resolve();
  }
}
