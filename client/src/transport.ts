import { checkDeployment, type ExpectedDeployment, expectHeader } from "./expect.js";
import { readError } from "./reply.js";
import { parseRetryAfter } from "./retry.js";
import { abortFailure, Scope } from "./scope.js";
import { headerNames, MillraceError } from "./wire/index.js";

/** `globalThis.fetch`, or a caller's own with the same meaning. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface TransportOptions {
  readonly expect: ExpectedDeployment;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: Fetch;
  /** A reply that brings no byte for this long has failed. */
  readonly silenceMsMax: number;
}

export interface Outgoing {
  readonly path: string;
  readonly accept: string;
  /** Sent as JSON with POST; undefined: GET. */
  readonly body?: unknown;
  /** A status beyond 2xx whose body is an answer all the same, not an error. */
  readonly alsoStatus?: number;
}

/** Bytes of a JSON body that are read at most; and of a body that turns out to be an error. */
const jsonBytesMax = 64 * 1024 * 1024;
const errorBytesMax = 64 * 1024;

/** One HTTP attempt at a time: addresses, headers, what a failure means. Knows nothing of retries. */
export class Transport {
  readonly #base: URL;
  readonly #options: TransportOptions;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(url: string | URL, options: TransportOptions) {
    this.#base = baseUrl(url);
    this.#options = options;
    const expect = expectHeader(options.expect);
    this.#headers =
      expect === null ? options.headers : { ...options.headers, [headerNames.expect]: expect };
  }

  /** The reply's body, chunk by chunk. Throws a `MillraceError`, whatever went wrong. */
  async *chunks(outgoing: Outgoing, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    const scope = new Scope([signal]);
    try {
      const response = await this.#send(outgoing, scope);
      yield* this.#read(response, scope);
    } catch (error) {
      throw scope.signal.aborted ? abortFailure(scope.signal) : asFailure(error);
    } finally {
      scope.end();
    }
  }

  async json(outgoing: Outgoing, signal: AbortSignal): Promise<unknown> {
    const text = await gather(this.chunks(outgoing, signal), jsonBytesMax);
    const value = parseJson(text);
    if (value === undefined) throw notOurs(200, text);
    return value;
  }

  async #send(outgoing: Outgoing, scope: Scope): Promise<Response> {
    const { body } = outgoing;
    const url = new URL(outgoing.path, this.#base).href;
    const headers = { ...this.#headers, accept: outgoing.accept };
    const init: RequestInit =
      body === undefined
        ? { method: "GET", headers }
        : {
            method: "POST",
            headers: { ...headers, "content-type": "application/json" },
            body: JSON.stringify(body),
          };
    if (scope.signal.aborted) throw abortFailure(scope.signal);
    const response = await scope.within(
      this.#options.silenceMsMax,
      this.#options.fetch(url, { ...init, signal: scope.signal }),
    );
    if (!response.ok && response.status !== outgoing.alsoStatus) {
      throw await this.#failure(response, scope);
    }
    try {
      checkDeployment(this.#options.expect, response.headers);
      checkType(response, outgoing.accept);
    } catch (error) {
      await discard(response);
      throw error;
    }
    return response;
  }

  async *#read(response: Response, scope: Scope): AsyncGenerator<Uint8Array, void> {
    if (response.body === null) return;
    const reader = response.body.getReader();
    try {
      for (;;) {
        const { done, value } = await scope.within(this.#options.silenceMsMax, reader.read());
        if (done) return;
        yield value;
      }
    } finally {
      // Closes the connection where somebody stopped reading early; the reader is ours, so nobody else hears.
      await reader.cancel().catch(() => undefined);
    }
  }

  async #failure(response: Response, scope: Scope): Promise<MillraceError> {
    const text = await gather(this.#read(response, scope), errorBytesMax);
    const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), Date.now());
    return readError(parseJson(text), retryAfterMs) ?? notOurs(response.status, text);
  }
}

function baseUrl(url: string | URL): URL {
  let base: URL;
  try {
    base = new URL(url);
  } catch (cause) {
    throw new MillraceError("option_invalid", `Not an address: ${String(url)}`, { cause });
  }
  if (base.protocol !== "http:" && base.protocol !== "https:") {
    throw new MillraceError("option_invalid", `Not an http address: ${base.protocol}`);
  }
  if (base.username !== "" || base.password !== "") {
    throw new MillraceError("option_invalid", "Send credentials in `headers`, not in the address.");
  }
  // Relative to a folder, so that a server behind a path prefix is reached.
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return base;
}

function checkType(response: Response, accept: string): void {
  const type = (response.headers.get("content-type") ?? "none").split(";")[0]?.trim().toLowerCase();
  if (type === accept) return;
  throw new MillraceError(
    "response_invalid",
    `Status ${response.status} with content type ${String(type)} instead of ${accept}.`,
  );
}

async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}

async function gather(chunks: AsyncGenerator<Uint8Array, void>, bytesMax: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true });
    bytes += chunk.byteLength;
    if (bytes > bytesMax) break;
  }
  return text + decoder.decode();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function notOurs(status: number, text: string): MillraceError {
  const start = text.slice(0, 200);
  return new MillraceError(
    "response_invalid",
    `Status ${status} with a body that is not Millrace's: ${start}`,
  );
}

function asFailure(error: unknown): MillraceError {
  if (error instanceof MillraceError) return error;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new MillraceError("connection_failed", `The connection failed: ${why}`, { cause: error });
}
