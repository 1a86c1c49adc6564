/**
 * Durable jobs ask the routes of the fronts as callers over HTTP do, without HTTP: an exchange is made, and what would have been
 * sent is kept. So a line of a job has the result, to the byte, that the same request has.
 */
import { MillraceError } from "millrace-client/wire";
import type { CallRoute, RouteReply } from "../jobs/jobs.js";
import type { HttpFront } from "../listen/http/http-front.js";
import { HttpSpan } from "../listen/http/http-span.js";
import { type MadeBody, MadeExchange, type ReplyTaker } from "../listen/http/made-exchange.js";
import { Router } from "../listen/http/router.js";
import type { Log } from "../log.js";
import type { Tracer } from "../tracing/tracer.js";

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
    const taker = new WholeReply();
    // A job is for hours: each line, or the lines that are asked together, has a trace of its own, and the id says of which job.
    const begun = tracer.begin(`job ${path}`, null, {
      attributes: { "http.route": path, "millrace.request.id": call.id },
    });
    const span = begun === null ? null : new HttpSpan(begun);
    const made = {
      id: call.id,
      caller: call.caller,
      headers: { accept: call.accept, "content-type": "application/json" },
      query: new URLSearchParams(),
      departed: signal,
      body: bodyOf(call.body),
      span,
    };
    const exchange = new MadeExchange(made, { taker, log });
    try {
      if (!paths.has(path) || !("route" in found)) {
        throw new MillraceError("not_found", `Jobs cannot ask ${JSON.stringify(path)}.`);
      }
      await found.route.handler(exchange);
      return taker.taken();
    } catch (thrown) {
      const error = exchange.told(thrown);
      const { status, body } = found.front.renderError(error, call.id);
      return { status, text: textOf(body), error };
    } finally {
      span?.over();
    }
  };
}

/** The reply as one text. */
class WholeReply implements ReplyTaker {
  readonly #parts: string[] = [];
  #status: number | null = null;

  head({ status }: { readonly status: number }): void {
    this.#status = status;
  }

  data(piece: string | Uint8Array): void {
    this.#parts.push(textOf(piece));
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  end(): void {}

  taken(): RouteReply {
    if (this.#status === null) throw new Error("a route has not replied");
    return { status: this.#status, text: this.#parts.join("") };
  }
}

/** Its bytes are the job's: the runner bounds them. */
function bodyOf(bytes: Uint8Array): MadeBody {
  return {
    whole: () => Promise.resolve(bytes),
    pieces: () => {
      throw new Error("a route that a job asks reads its body as a whole");
    },
    bytesMax: null,
  };
}

function textOf(body: string | Uint8Array): string {
  return typeof body === "string" ? body : Buffer.from(body).toString("utf8");
}
