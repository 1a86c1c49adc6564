import {
  checkDeployment,
  type ExpectedDeployment,
  expectHeader,
  readDeployment,
} from "./expect.js";
import { NdjsonParser } from "./ndjson.js";
import { readError } from "./reply.js";
import { parseRetryAfter } from "./retry.js";
import { abortFailure, Scope } from "./scope.js";
import { type DeploymentIdentity, headerNames, MillraceError } from "./wire/index.js";

/** `globalThis.fetch`, or a caller's own with the same meaning. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface TransportOptions {
  readonly expect: ExpectedDeployment;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: Fetch;
  /** Connecting, sending the request and waiting for the reply's head take this long at most. */
  readonly headMsMax: number;
  /** A reply that brings no byte for this long, after its head, has failed. */
  readonly silenceMsMax: number;
}

export interface Outgoing {
  readonly path: string;
  readonly accept: string;
  /** Sent with POST; undefined: GET. */
  readonly content?: Content;
  /** Where it is another one than that. */
  readonly method?: "POST" | "DELETE";
  /** Beside those of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** A status beyond 2xx whose body is an answer all the same, not an error. */
  readonly alsoStatus?: number;
  /** Hears of the head as soon as it is there and was found right. */
  readonly onHead?: (head: ReplyHead) => void;
  /** The error in the JSON of a protocol that has another form of them; null: it is none of that protocol's. */
  readonly readFailure?: (status: number, body: unknown) => MillraceError | null;
  /** For a reply whose head comes with its result. Default: that of the transport. */
  readonly headMsMax?: number;
}

/** What is sent. A form's type is for `fetch` to name, for it knows the boundary. */
export type Content =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "form"; readonly form: FormData }
  | {
      readonly kind: "bytes";
      readonly bytes: Uint8Array<ArrayBuffer>;
      readonly headers: Readonly<Record<string, string>>;
    }
  | {
      /** Read as it is sent. Not every browser can. */
      readonly kind: "stream";
      readonly chunks: AsyncGenerator<Uint8Array, void, undefined>;
      readonly headers: Readonly<Record<string, string>>;
    };

/** What a reply's head says of it; null where it does not, or where a browser hides it. */
export interface ReplyHead {
  readonly id: string | null;
  readonly deployment: DeploymentIdentity | null;
  readonly headers: Headers | null;
}

/** Before there is one. */
export const noHead: ReplyHead = { id: null, deployment: null, headers: null };

/** Bytes of a whole reply that are read at most; and of a body that turns out to be an error. */
const jsonBytesMax = 64 * 1024 * 1024;
const wholeBytesMax = 1024 * 1024 * 1024;
const errorBytesMax = 64 * 1024;
/** Such a body is made from memory: one that takes longer than this will not come. */
const jsonMsMax = 30_000;

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
      throw scope.signal.aborted ? abortFailure(scope.signal) : this.#asFailure(error);
    } finally {
      scope.end();
    }
  }

  /** The values of the lines of a reply, as they come. */
  async *lines(outgoing: Outgoing, signal: AbortSignal): AsyncGenerator<readonly unknown[], void> {
    const parser = new NdjsonParser();
    for await (const chunk of this.chunks(outgoing, signal)) yield parser.push(chunk);
  }

  /** A whole reply that is JSON. It has no signs of life between its bytes, so all of it shares one time limit. */
  async json(outgoing: Outgoing, signal: AbortSignal): Promise<unknown> {
    const scope = new Scope([signal]);
    scope.limit(jsonMsMax, () => overdue(jsonMsMax));
    try {
      const text = await gather(this.chunks(outgoing, scope.signal), jsonBytesMax);
      const value = parseJson(text);
      if (value === undefined) throw notOurs("A reply", text);
      return value;
    } finally {
      scope.end();
    }
  }

  /** A whole reply that is bytes. */
  async bytes(outgoing: Outgoing, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of this.chunks(outgoing, signal)) {
      length += chunk.length;
      if (length > wholeBytesMax) {
        throw new MillraceError("response_invalid", `A reply of more than ${wholeBytesMax} bytes.`);
      }
      chunks.push(chunk);
    }
    const whole = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }

  /** Of a path, where a connection is opened and not a request sent. */
  addressOf(path: string): URL {
    return new URL(path, this.#base);
  }

  #asFailure(error: unknown): MillraceError {
    if (error instanceof MillraceError) return error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const why = cause instanceof Error ? cause.message : String(cause);
    // Who named no address wants to know which one that was.
    const message = `The connection to ${this.#base.origin} failed: ${why}`;
    return new MillraceError("connection_failed", message, { cause: error });
  }

  async #send(outgoing: Outgoing, scope: Scope): Promise<Response> {
    const init = this.#initOf(outgoing);
    const url = this.addressOf(outgoing.path).href;
    if (scope.signal.aborted) throw abortFailure(scope.signal);
    const { fetch, expect } = this.#options;
    const headMsMax = outgoing.headMsMax ?? this.#options.headMsMax;
    const response = await fetchWithin(scope, headMsMax, () =>
      fetch(url, { ...init, signal: scope.signal }),
    );
    if (!response.ok && response.status !== outgoing.alsoStatus) {
      throw await this.#failure(response, outgoing, scope);
    }
    try {
      checkDeployment(expect, response.headers);
      checkType(response, outgoing.accept);
    } catch (error) {
      discard(response);
      throw error;
    }
    outgoing.onHead?.({
      id: response.headers.get(headerNames.requestId),
      deployment: readDeployment(response.headers),
      headers: response.headers,
    });
    return response;
  }

  #initOf({ accept, content, method, headers: own }: Outgoing): RequestInit {
    const headers = { ...this.#headers, ...own, accept };
    if (content === undefined) return { method: method ?? "GET", headers };
    switch (content.kind) {
      case "json": {
        const type = { "content-type": "application/json" };
        return { method: "POST", headers: { ...headers, ...type }, body: toJson(content.value) };
      }
      case "form":
        return { method: "POST", headers, body: content.form };
      case "bytes":
        return { method: "POST", headers: { ...headers, ...content.headers }, body: content.bytes };
      case "stream":
        return streamInit({ ...headers, ...content.headers }, content.chunks);
    }
  }

  async *#read(response: Response, scope: Scope): AsyncGenerator<Uint8Array, void> {
    if (response.body === null) return;
    const reader = response.body.getReader();
    const wait = { ms: this.#options.silenceMsMax, reason: silent };
    try {
      for (;;) {
        const { done, value } = await scope.within(wait, reader.read());
        if (done) return;
        yield value;
      }
    } finally {
      // Closes the connection where somebody stopped reading early; the reader is ours, so nobody else hears.
      // Not awaited: a body that is a caller's own may never answer.
      void reader.cancel().catch(() => undefined);
    }
  }

  async #failure(
    response: Response,
    { readFailure }: Outgoing,
    scope: Scope,
  ): Promise<MillraceError> {
    scope.limit(jsonMsMax, () => overdue(jsonMsMax));
    const text = await gather(this.#read(response, scope), errorBytesMax);
    const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), Date.now());
    const body = parseJson(text);
    const failure = readError(body, retryAfterMs) ?? readFailure?.(response.status, body);
    return failure ?? notOurs(`Status ${response.status}`, text);
  }
}

/** `duplex` must be said, and the library's types do not know it: the reply comes when all was sent, or was refused. */
function streamInit(
  headers: Readonly<Record<string, string>>,
  chunks: AsyncGenerator<Uint8Array, void, undefined>,
): RequestInit {
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await chunks.next();
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      async cancel() {
        await chunks.return();
      },
    },
    { highWaterMark: 0 },
  );
  const init = { method: "POST", headers, body, duplex: "half" };
  return init;
}

async function fetchWithin(
  scope: Scope,
  ms: number,
  start: () => Promise<Response>,
): Promise<Response> {
  // In an async function, so that a `fetch` that throws at once is as one that rejects.
  const fetching = (async () => await start())();
  try {
    return await scope.within({ ms, reason: headless }, fetching);
  } catch (error) {
    // A `fetch` that does not hear the signal may answer yet; nobody will read that.
    void fetching.then(discard, () => undefined);
    throw error;
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
    throw new MillraceError("option_invalid", "Send credentials as `apiKey`, not in the address.");
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

function discard(response: Response): void {
  void response.body?.cancel().catch(() => undefined);
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

/** Throws `bad_request`: a cycle or a bigint is the caller's mistake, and no connection's. */
function toJson(body: unknown): string {
  try {
    return JSON.stringify(body);
  } catch (cause) {
    throw new MillraceError("bad_request", `The request is not JSON: ${String(cause)}`, { cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function notOurs(what: string, text: string): MillraceError {
  const start = text.slice(0, 200);
  return new MillraceError(
    "response_invalid",
    `${what} with a body that is not Millrace's: ${start}`,
  );
}

function headless(ms: number): MillraceError {
  return new MillraceError("connection_failed", `No head of a reply within ${ms} ms.`);
}

function silent(ms: number): MillraceError {
  return new MillraceError("connection_failed", `The server sent nothing for ${ms} ms.`);
}

function overdue(ms: number): MillraceError {
  return new MillraceError("connection_failed", `The reply was not whole within ${ms} ms.`);
}
