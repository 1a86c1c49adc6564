/**
 * Durable jobs ask the routes of the fronts as callers over HTTP do, without HTTP: an exchange is made, and what would have been
 * sent is kept. So a line of a job has the result, to the byte, that the same request has.
 */
import { isUtf8 } from "node:buffer";
import { MillraceError, type WorkClass } from "millrace-client/wire";
import type { CallRoute, RouteCall, RouteReply } from "../jobs/jobs.js";
import type {
  Exchange,
  HttpFront,
  ReceivedBody,
  Reply,
  ReplyStream,
  StreamHead,
} from "../listen/http/http-front.js";
import { Router } from "../listen/http/router.js";
import { toldError } from "../listen/told-error.js";
import type { Log } from "../log.js";
import type { Tracer } from "../tracing/tracer.js";
import type { Caller } from "../work/caller.js";
import { endFailed } from "../work/failed-span.js";
import { loggedTrace } from "../work/trace-context.js";
import type { TraceSpan } from "../work/trace-span.js";

export interface CallRouteParts {
  readonly fronts: readonly HttpFront[];
  /** The routes that may be asked, and no others. */
  readonly paths: ReadonlySet<string>;
  readonly log: Log;
  readonly tracer: Tracer;
}

export function callRouteOf({ fronts, paths, log, tracer }: CallRouteParts): CallRoute {
  const router = new Router(fronts);
  return async (call, signal) => {
    const { path } = call;
    const found = router.find("POST", path);
    const exchange = new MadeExchange(call, { departed: signal, log, tracer });
    const { span } = exchange;
    try {
      if (!paths.has(path) || !("route" in found)) {
        throw new MillraceError("not_found", `Jobs cannot ask ${JSON.stringify(path)}.`);
      }
      await found.route.handler(exchange);
      const reply = exchange.taken();
      span?.end();
      return reply;
    } catch (thrown) {
      const error = exchange.told(thrown);
      endFailed(span, error);
      const { status, body } = found.front.renderError(error, call.id);
      return { status, text: textOf(body), error };
    }
  };
}

class MadeExchange implements Exchange {
  readonly id: string;
  readonly caller: Caller;
  readonly arrivedAtMs: number = performance.now();
  readonly departed: AbortSignal;
  workClass: WorkClass | "none" = "none";
  readonly params: Readonly<Record<string, string>> = {};
  readonly query: URLSearchParams = new URLSearchParams();
  readonly headers: Exchange["headers"];
  readonly span: TraceSpan | null;
  readonly #log: Log;
  readonly #body: Uint8Array;
  #reply: RouteReply | null = null;

  constructor(
    call: RouteCall,
    {
      departed,
      log,
      tracer,
    }: Pick<CallRouteParts, "log" | "tracer"> & { readonly departed: AbortSignal },
  ) {
    this.id = call.id;
    this.caller = call.caller;
    this.departed = departed;
    this.headers = { accept: call.accept, "content-type": "application/json" };
    this.#body = call.body;
    this.#log = log;
    // A job is for hours: each line, or the lines that are asked together, has a trace of its own, and the id says of which job.
    this.span = tracer.begin(`job ${call.path}`, null, {
      attributes: { "http.route": call.path, "millrace.request.id": call.id },
    });
  }

  receive(): Promise<ReceivedBody> {
    return Promise.resolve(new KnownBody(this.#body));
  }

  receiveStream(): Promise<AsyncIterable<Uint8Array>> {
    throw new Error("a route that is asked without HTTP reads its body as a whole");
  }

  reply({ status, body }: Reply): void {
    this.#reply ??= { status, text: textOf(body) };
  }

  stream({ status }: StreamHead): ReplyStream {
    const parts: string[] = [];
    return {
      write: (data) => void parts.push(textOf(data)),
      ready: () => Promise.resolve(),
      end: () => {
        this.#reply ??= { status, text: parts.join("") };
        return Promise.resolve();
      },
    };
  }

  told(thrown: unknown): MillraceError {
    return toldError(thrown, () =>
      this.#log.error(
        { err: thrown, requestId: this.id, ...loggedTrace(this.span?.context) },
        "internal error",
      ),
    );
  }

  taken(): RouteReply {
    if (this.#reply === null) throw new Error("a route has not replied");
    return this.#reply;
  }
}

/** Its bytes are the job's: the runner bounds them. */
class KnownBody implements ReceivedBody {
  readonly bytes: number;
  #rest: Uint8Array | null;

  constructor(body: Uint8Array) {
    this.bytes = body.length;
    this.#rest = body;
  }

  buffer(): Buffer {
    const body = this.#rest ?? new Uint8Array();
    this.#rest = null;
    return Buffer.from(body.buffer, body.byteOffset, body.length);
  }

  text(): string {
    const body = this.buffer();
    if (!isUtf8(body)) throw new MillraceError("bad_encoding", "The body is not UTF-8.");
    return body.toString("utf8");
  }

  release(): void {
    this.#rest = null;
  }
}

function textOf(body: string | Uint8Array): string {
  return typeof body === "string" ? body : Buffer.from(body).toString("utf8");
}
