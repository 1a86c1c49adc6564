/**
 * What the listener and a front know of each other. A front has routes and words of its own for an error; it gets an
 * exchange, asks it for the body and hands it the reply. It never sees a socket.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { MillraceError } from "millrace-client/wire";
import type { Asker } from "../../work/asker.js";
import type { JsonObject } from "../../work/payload.js";

export interface HttpFront {
  readonly name: string;
  readonly routes: readonly Route[];
  /** A path that begins so and is no route's is not found by this front, in its words. The longest one counts. */
  readonly pathPrefixes: readonly string[];
  renderError(error: MillraceError, exchangeId: string): Reply;
  /** Of what `renderError` gives, for the description of all routes (OpenAPI). */
  readonly errorSchema?: JsonObject;
}

export interface Route {
  /**
   * `/v2/models/{model}/infer`: a name in braces stands for one segment, which may be anything but empty. `/page/*` at
   * the end stands for the rest, which may be empty; its name is `rest`. Literal segments win over names, names over
   * the rest, whatever the order of the routes.
   */
  readonly path: string;
  /** `GET` answers `HEAD` too. */
  readonly method: "GET" | "POST" | "PUT" | "DELETE" | "OPTIONS";
  /** Whether a key is needed where keys are asked for, and one that may administrate. Default: `key`. */
  readonly access?: "open" | "key" | "admin";
  /** For the description of all routes (OpenAPI); left out only where there is nothing to say to callers. */
  readonly doc?: RouteDoc;
  /**
   * True for what needs no place: it is answered at once and from memory, also when every connection is taken, and
   * its exchanges are counted as polls.
   */
  readonly fromMemory?: boolean;
  /** True where the protocol has web pages of any origin call it, and read the answers. */
  readonly isForAnyPage?: boolean;
  /** True where a reply lasts, and only so many may at a time: no page of another site may take such a place. */
  readonly isHeld?: boolean;
  /** True for what tells of the routes of everybody: where operators have a port of their own it is not there. */
  readonly isPublicOnly?: boolean;
  /** True for what is of use to operators, and anybody may read: where they have a port of their own it is at that one. */
  readonly isAdminOnly?: boolean;
  readonly handler: (exchange: Exchange) => void | Promise<void>;
}

/** Schemas are JSON Schema, draft 2020-12. */
export interface RouteDoc {
  readonly summary: string;
  /** Of the query, by name; none is needed. */
  readonly query?: Readonly<
    Record<string, { readonly schema: JsonObject; readonly description: string }>
  >;
  /** By media type. */
  readonly request?: Readonly<Record<string, JsonObject>>;
  /** Of a reply that is no error: by media type. Empty where a WebSocket answers: over HTTP there is no such reply. */
  readonly reply: Readonly<Record<string, JsonObject>>;
  /** Statuses beside 200 that say the same in the same form. */
  readonly sameBody?: readonly number[];
}

export interface Exchange extends Asker {
  /** As the route has it; none of them is empty. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Aborts when the caller leaves before it has its whole reply. */
  readonly departed: AbortSignal;
  /**
   * Reads the body: decompressed, within its limits and its time. At most once. Check the headers first: a caller who
   * waits for `100 Continue` gets it here.
   *
   * @throws MillraceError `unsupported_media_type` (the encoding), `body_too_large`, `body_timeout`, `bad_request`
   * (the compression is broken), `queue_full` (too many bodies at once), `cancelled` (the caller left).
   * `bytesMax`: of a body that is not parsed, instead of `bodyBytesMax`.
   */
  receive(bytesMax?: number): Promise<ReceivedBody>;
  /**
   * The same for a body that may be larger than the memory: its bytes as they come, decompressed, and no faster than they are taken.
   * Once, instead of `receive`; each piece is counted until the next one is asked for. Its time is `bodyTimeoutMs` without a byte.
   *
   * @throws MillraceError as `receive`; so does the iteration, where it is found behind that
   */
  receiveStream(bytesMax: number): Promise<AsyncIterable<Uint8Array>>;
  reply(reply: Reply): void;
  /** Sends the head at once. */
  stream(head: StreamHead): ReplyStream;
  /** Counts the error, logs it where it is a bug, and gives what may be told: for errors inside a stream. */
  told(thrown: unknown): MillraceError;
}

export interface ReceivedBody {
  /** Decompressed. */
  readonly bytes: number;
  /** Joined; the caller owns it. A second call gives nothing. */
  buffer(): Buffer;
  /** @throws MillraceError `bad_encoding` where it is no UTF-8. A second call gives nothing. */
  text(): string;
  /**
   * From now on the body is not counted any more: it was refused, or somebody else counts what it became. Until then
   * the handler must not wait for anything but its own reading of it, and `submit` taking it. Again: nothing.
   */
  release(): void;
}

export interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface StreamHead {
  readonly status: number;
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What the protocol's readers skip: sent after some silence, so that nobody takes the stream for dead. Absent: nothing is. */
  readonly signOfLife?: string;
}

export interface ReplyStream {
  /** After the caller has left: does nothing. Waits for nobody: what the caller does not take is kept, in budget. */
  write(data: string | Uint8Array): void;
  /** Resolves when the caller has taken what was written but for some KiB, or has left: who waits for it sends gigabytes in little memory. */
  ready(): Promise<void>;
  /** Resolves when the caller has taken the last byte, or has left. */
  end(): Promise<void>;
}
