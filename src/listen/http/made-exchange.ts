/**
 * An exchange without a socket: the body is here already, and what would have been sent goes to a taker. For calls of this
 * process, which so have the reply, to the byte, that callers over HTTP have.
 */
import { isUtf8 } from "node:buffer";
import { MillraceError, type WorkClass } from "millrace-client/wire";
import type { Log } from "../../log.js";
import type { Caller } from "../../work/caller.js";
import { loggedTrace } from "../../work/trace-context.js";
import type { TraceSpan } from "../../work/trace-span.js";
import { toldError } from "../told-error.js";
import { tooLarge } from "./body.js";
import type { Exchange, ReceivedBody, Reply, ReplyStream, StreamHead } from "./http-front.js";
import type { HttpSpan } from "./http-span.js";

export interface MadeRequest {
  readonly id: string;
  readonly caller: Caller;
  readonly headers: Exchange["headers"];
  readonly query: URLSearchParams;
  readonly departed: AbortSignal;
  readonly body: MadeBody;
  /** Null where nobody traces it. */
  readonly span: HttpSpan | null;
}

/** One of the two is called, once. */
export interface MadeBody {
  readonly whole: () => Promise<Uint8Array>;
  readonly pieces: () => AsyncIterable<Uint8Array>;
  /** Null: whoever made the request bounds it. */
  readonly bytesMax: number | null;
}

/** Called in this order: `head` once, `data` any number of times, `end` once. */
export interface ReplyTaker {
  head(head: { readonly status: number; readonly headers: Readonly<Record<string, string>> }): void;
  data(piece: string | Uint8Array): void;
  /** Resolves when the taker wants more. */
  ready(): Promise<void>;
  end(): void;
}

export class MadeExchange implements Exchange {
  readonly id: string;
  readonly caller: Caller;
  readonly arrivedAtMs: number = performance.now();
  readonly departed: AbortSignal;
  workClass: WorkClass | "none" = "none";
  params: Readonly<Record<string, string>> = {};
  readonly query: URLSearchParams;
  readonly headers: Exchange["headers"];
  readonly #span: HttpSpan | null;
  readonly #body: MadeBody;
  readonly #taker: ReplyTaker;
  readonly #log: Log;
  #hasBegun = false;

  constructor(
    { id, caller, headers, query, departed, body, span }: MadeRequest,
    { taker, log }: { readonly taker: ReplyTaker; readonly log: Log },
  ) {
    this.id = id;
    this.caller = caller;
    this.headers = headers;
    this.query = query;
    this.departed = departed;
    this.#span = span;
    this.#body = body;
    this.#taker = taker;
    this.#log = log;
  }

  get span(): TraceSpan | null {
    return this.#span?.span ?? null;
  }

  /** Whether a reply has begun; a handler that has returned without one has a bug. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  async receive(bytesMax?: number): Promise<ReceivedBody> {
    const { whole, bytesMax: usualMax } = this.#body;
    const bytes = await whole();
    const bodyBytesMax = usualMax === null ? Number.POSITIVE_INFINITY : (bytesMax ?? usualMax);
    if (bytes.length > bodyBytesMax) throw tooLarge({ bodyBytesMax }, String(bytes.length));
    return new KnownBody(bytes);
  }

  receiveStream(bytesMax: number): Promise<AsyncIterable<Uint8Array>> {
    return Promise.resolve(bounded(this.#body.pieces(), bytesMax));
  }

  reply({ status, contentType, headers, body }: Reply): void {
    if (this.#hasBegun) return;
    this.#begin(status, { "content-type": contentType, ...headers });
    this.#taker.data(body);
    this.#taker.end();
  }

  stream({ status, contentType, headers }: StreamHead): ReplyStream {
    this.#begin(status, { "content-type": contentType, ...headers });
    const taker = this.#taker;
    return {
      write: (data) => taker.data(data),
      ready: () => taker.ready(),
      end: () => Promise.resolve(taker.end()),
    };
  }

  told(thrown: unknown): MillraceError {
    const error = toldError(thrown, () =>
      this.#log.error(
        { err: thrown, requestId: this.id, ...loggedTrace(this.span?.context) },
        "internal error",
      ),
    );
    this.#span?.failed(error.code);
    return error;
  }

  #begin(status: number, headers: Readonly<Record<string, string>>): void {
    this.#hasBegun = true;
    this.#taker.head({ status, headers });
  }
}

async function* bounded(
  pieces: AsyncIterable<Uint8Array>,
  bodyBytesMax: number,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of pieces) {
    bytes += piece.length;
    if (bytes > bodyBytesMax) throw tooLarge({ bodyBytesMax }, `more than ${bodyBytesMax}`);
    yield piece;
  }
}

/** Its bytes are the caller's, in this process: nobody else counts them. */
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
