/** One request and its reply: departure, the body's way in, and every way out. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { MillraceError, WorkClass } from "millrace-client/wire";
import { type Caller, nobody } from "../../work/caller.js";
import { loggedTrace, traceparentOf } from "../../work/trace-context.js";
import type { TraceSpan } from "../../work/trace-span.js";
import { queryOf } from "../query-of.js";
import { toldError } from "../told-error.js";
import { type BodyParts, receiveBody } from "./body.js";
import { BodyReading } from "./body-reading.js";
import { BodyStream } from "./body-stream.js";
import type {
  Exchange,
  HttpFront,
  ReceivedBody,
  Reply,
  ReplyStream,
  Route,
  StreamHead,
} from "./http-front.js";
import { beginHttpSpan, type HttpSpan } from "./http-span.js";
import { Lifetime } from "./lifetime.js";
import { lingerMs } from "./linger.js";
import type { ListenerContext } from "./listener-context.js";
import { LiveStream } from "./reply-stream.js";
import { ReplyWriter } from "./reply-writer.js";

/** A body this small is discarded and the connection kept; behind a longer one it is closed. */
const discardedBytesMax = 64 * 1024;

export class OpenExchange implements Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly id: string;
  readonly arrivedAtMs: number = performance.now();
  workClass: WorkClass | "none" = "none";
  /** The route's pattern, for metrics; `none` for a path that is no route's. */
  route = "none";
  params: Readonly<Record<string, string>> = {};
  /** From when its route is known; null: nobody traces it. */
  #span: HttpSpan | null = null;
  /** Until it is known who asks: nobody. */
  caller: Caller = nobody;
  /** What that caller had to have. */
  needed: NonNullable<Route["access"]> = "open";
  /** In whose words an error is told. */
  front: HttpFront;
  /** True: the connection ends with this reply. */
  isLast = false;
  readonly #context: ListenerContext;
  readonly lifetime: Lifetime = new Lifetime();
  #departure: AbortController | null = null;
  readonly #writer: ReplyWriter;
  readonly reading: BodyReading;
  #bodyStream: BodyStream | null = null;
  /** Nothing of what is still to come of the reply is wanted by anybody, though its connection is whole. */
  #isLeft = false;
  #counted = false;
  #received = false;

  constructor(request: IncomingMessage, response: ServerResponse, context: ListenerContext) {
    this.request = request;
    this.response = response;
    this.#context = context;
    this.front = context.defaultFront;
    this.reading = new BodyReading(request, context.reads);
    this.id = context.identification.idOf(request.headers);
    const headers = context.identification.headersFor(this.id);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    this.#writer = new ReplyWriter(response, {
      lifetime: this.lifetime,
      stallMs: context.limits.replyTimeoutMs,
      budget: context.replies,
      disconnect: () => request.socket.destroy(),
    });
    this.lifetime.onEnd(() => {
      if (this.#hasDeparted) this.#departure?.abort();
      this.#count(499);
      this.#span?.over();
    });
    response.once("close", () => this.lifetime.end());
    // A reset connection is a departure, and 'close' follows; without a listener it would end the process.
    request.on("error", () => {});
    response.on("error", () => {});
  }

  /** Its path is a route's. What is answered from memory is not traced: most of it is polls. */
  found(route: Pick<Route, "path" | "method" | "fromMemory">): void {
    this.route = route.path;
    if (route.fromMemory === true) return;
    const { request, arrivedAtMs: atMs } = this;
    this.#span = beginHttpSpan(this.#context.tracer, request, { route, atMs, id: this.id });
    const { span } = this;
    if (span?.isKept === true)
      this.response.setHeader("traceresponse", traceparentOf(span.context));
  }

  get span(): TraceSpan | null {
    return this.#span?.span ?? null;
  }

  /** Made when somebody asks: most exchanges are over before anybody could leave. */
  get departed(): AbortSignal {
    this.#departure ??= new AbortController();
    if (this.#hasDeparted) this.#departure.abort();
    return this.#departure.signal;
  }

  get #hasDeparted(): boolean {
    return this.#isLeft || (this.lifetime.isOver && !this.response.writableFinished);
  }

  /** As if the caller had left: who may no longer hear of it is told nothing more, and the reply ends. */
  leave(): void {
    this.#isLeft = true;
    this.#departure?.abort();
  }

  get headers(): IncomingHttpHeaders {
    return this.request.headers;
  }

  get query(): URLSearchParams {
    return queryOf(this.request.url ?? "");
  }

  async receive(bytesMax?: number): Promise<ReceivedBody> {
    return await receiveBody(this.request, this.response, this.#bodyParts(bytesMax));
  }

  async receiveStream(bytesMax: number): Promise<AsyncIterable<Uint8Array>> {
    const stream = new BodyStream(this.request, this.response, this.#bodyParts(bytesMax));
    this.#bodyStream = stream;
    return await Promise.resolve(stream.pieces());
  }

  #bodyParts(bytesMax: number | undefined): BodyParts {
    if (this.#received) throw new Error("a body is received once");
    this.#received = true;
    const { limits, bodies: budget, decompressions: turns } = this.#context;
    const { reading, lifetime } = this;
    const bodyBytesMax = bytesMax ?? limits.bodyBytesMax;
    return {
      bodyTimeoutMs: limits.bodyTimeoutMs,
      bodyBytesMax,
      budget,
      turns,
      reading,
      lifetime,
    };
  }

  reply(reply: Reply): void {
    const { response } = this;
    if (response.headersSent || this.lifetime.isOver) return;
    this.#begin(reply.status, {
      "content-type": reply.contentType,
      "content-length": String(Buffer.byteLength(reply.body)),
      ...reply.headers,
    });
    if (this.#bodyIsLeft()) this.#sendThenDiscard(reply.body);
    else void this.#writer.end(reply.body);
  }

  stream({ status, contentType, headers, signOfLife }: StreamHead): ReplyStream {
    if (!this.response.headersSent && !this.lifetime.isOver) {
      this.#begin(status, { "content-type": contentType, ...headers });
      if (this.request.method === "HEAD") return this.#headOnly();
      this.response.flushHeaders();
    }
    const everyMs = this.#context.signOfLifeMs;
    const alive = signOfLife === undefined ? null : { text: signOfLife, everyMs };
    return new LiveStream(this.#writer, this.lifetime, alive);
  }

  /** Who asks for the head has the whole reply with it, and the connection is free for the next one. */
  #headOnly(): ReplyStream {
    void this.#writer.end();
    this.leave();
    const done = (): Promise<void> => Promise.resolve();
    return { write: () => {}, ready: done, end: done };
  }

  told(thrown: unknown): MillraceError {
    const error = this.#errorOf(thrown);
    this.#context.metrics.refused(error.code);
    this.#span?.failed(error.code);
    return error;
  }

  /** Whatever a handler threw → an error in its front's words, unless nobody is there to read it. */
  fail(thrown: unknown): void {
    const { response, request } = this;
    const error = this.#errorOf(thrown);
    if (this.lifetime.isOver || response.writableEnded) return;
    if (response.headersSent) {
      // The front has begun a reply that it cannot end: a bug, which must not hold the connection.
      request.socket.destroy();
      return;
    }
    this.#context.metrics.refused(error.code);
    this.#span?.failed(error.code);
    this.reply(this.front.renderError(error, this.id));
  }

  /** Its connection is somebody else's from now on, and so is the head of the reply. */
  handOver(): void {
    this.#count(101);
    this.response.detachSocket(this.request.socket);
  }

  /** By the listener when the handler has returned: it must have begun a reply. */
  handled(): void {
    if (!this.response.headersSent && !this.lifetime.isOver)
      this.fail(new Error(`${this.route} has not replied`));
  }

  #errorOf(thrown: unknown): MillraceError {
    const { log } = this.#context;
    return toldError(thrown, () =>
      log.error(
        { err: thrown, requestId: this.id, ...loggedTrace(this.span?.context) },
        "internal error",
      ),
    );
  }

  #begin(status: number, headers: Readonly<Record<string, string>>): void {
    this.#count(status);
    // What is left of the body is whoever's who ends the exchange.
    this.#bodyStream?.leave();
    if (this.#closes(status)) this.response.setHeader("connection", "close");
    this.response.writeHead(status, { "cache-control": "no-store", ...headers });
  }

  /**
   * Closing a socket with unread bytes sends a reset, and the reset may overtake the reply. So the reply is written,
   * the rest of the body thrown away for a bounded time, and only then the exchange ended.
   */
  #sendThenDiscard(body: string | Uint8Array): void {
    const { request } = this;
    this.#writer.write(body);
    const end = (): void => {
      clearTimeout(timer);
      request.off("end", end);
      // The connection is in the middle of a body: nothing that comes on it could be understood.
      void this.#writer.end().then(() => {
        if (!request.complete) request.socket.destroy();
      });
    };
    const timer = setTimeout(end, lingerMs);
    this.lifetime.onEnd(() => clearTimeout(timer));
    request.once("end", end);
    request.on("data", (chunk: Buffer) => this.reading.took(chunk.length));
    request.resume();
  }

  #closes(status: number): boolean {
    if (this.isLast || this.#context.isDraining()) return true;
    if (!this.#bodyIsLeft()) return false;
    const { headers } = this.request;
    // The body is late, or its caller waits for `100 Continue` and may never send it: what follows could be anything.
    if (status === 408 || headers.expect !== undefined) return true;
    return !(Number(headers["content-length"]) <= discardedBytesMax);
  }

  #bodyIsLeft(): boolean {
    const { headers, complete, readableEnded } = this.request;
    if (complete && readableEnded) return false;
    return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  }

  #count(status: number): void {
    if (this.#counted) return;
    this.#counted = true;
    const { metrics, log } = this.#context;
    metrics.replied({ route: this.route, status, class: this.workClass });
    const { method, url } = this.request;
    this.#span?.replies(status);
    const of = { requestId: this.id, ...loggedTrace(this.span?.context) };
    log.debug({ ...of, method, url: url?.slice(0, 256), status }, "request");
  }
}
