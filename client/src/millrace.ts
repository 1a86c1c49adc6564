/// <reference lib="esnext.disposable" preserve="true" />
import { Batcher, type BatchPolicy, batchDefaults, type Collected, collect } from "./batcher.js";
import type { ExpectedDeployment } from "./expect.js";
import { isRecord, type TranslationSummary } from "./reply.js";
import { RetryBudget, type RetryPolicy, retryDefaults } from "./retry.js";
import { delay, Scope } from "./scope.js";
import {
  type Courier,
  type IndexedItem,
  type Inputs,
  type TranslateFields,
  translateItems,
} from "./translation.js";
import { type Fetch, type Outgoing, Transport } from "./transport.js";
import {
  MillraceError,
  type ModelsResponse,
  type ReadyResponse,
  type StatusResponse,
  type TranslateItem,
} from "./wire/index.js";

export interface MillraceOptions {
  /** The deployment that must answer; any other fails the call with `deployment_mismatch`. */
  readonly expect?: ExpectedDeployment;
  /** The tenant of every call that names none. */
  readonly tenant?: string;
  readonly retry?: Partial<RetryPolicy>;
  /** How small concurrent calls of `translate` share requests; false: each call is its own request. */
  readonly batch?: Partial<BatchPolicy> | false;
  /** Default: the runtime's own. */
  readonly fetch?: Fetch;
  /** Sent with every request, for example `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** A reply that brings no byte for this long has failed. Default: 300 000. */
  readonly silenceMsMax?: number;
}

export interface Progress {
  readonly done: number;
  readonly total: number;
}

/** The fields of the API, and what the client adds. */
export interface TranslateOptions extends TranslateFields {
  /** Aborting it stops the work on the server too. */
  readonly signal?: AbortSignal;
  /** Called after each item, in the order in which they are ready. What it throws fails the call. */
  readonly onProgress?: (progress: Progress) => void;
}

/** One text, many, or token ids from the model's own tokenizer. */
export type TranslateInput =
  | string
  | readonly string[]
  | { readonly tokenIds: readonly (readonly number[])[] };

export interface Translation extends TranslationSummary {
  /** In the order of the texts. An item that failed is `{ error }`; its neighbours are not affected. */
  readonly results: readonly TranslateItem[];
}

export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** The server answers a little after its own deadline; after this much more the client stops by itself. */
const deadlineGraceMs = 5_000;

/**
 * A client of one Millrace server. Everything that it throws is a `MillraceError`, but for what a caller's own
 * callback throws.
 *
 * ```ts
 * await using client = new Millrace("http://127.0.0.1:8400", { expect: { environment: "prod" } });
 * const { results, timings } = await client.translate(["Good morning.", "See you."]);
 * ```
 */
export class Millrace implements AsyncDisposable {
  readonly #options: MillraceOptions;
  readonly #courier: Courier;
  readonly #batcher: Batcher | null;
  readonly #open = new AbortController();

  /** Throws `option_invalid` for an address or a demand that cannot be sent. Connects to nothing yet. */
  constructor(url: string | URL, options: MillraceOptions = {}) {
    this.#options = options;
    const transport = new Transport(url, {
      expect: options.expect ?? {},
      headers: options.headers ?? {},
      fetch: options.fetch ?? ((address, init) => globalThis.fetch(address, init)),
      silenceMsMax: options.silenceMsMax ?? 300_000,
    });
    this.#courier = { transport, retry: { ...retryDefaults, ...options.retry } };
    this.#batcher =
      options.batch === false
        ? null
        : new Batcher({ ...batchDefaults, ...options.batch }, (call) =>
            translateItems(this.#courier, call),
          );
  }

  /**
   * Translates everything and resolves when the last item is there. Rejects only when the request as a whole
   * fails; look for `error` in each result. Small calls made at the same time share a request, and then also
   * its `id`, `timings` and `pipelines`. After a broken connection these are those of the last request.
   */
  async translate(input: TranslateInput, options: TranslateOptions = {}): Promise<Translation> {
    const { inputs, fields, onProgress } = this.#prepare(input, options);
    const scope = this.#scope(options);
    const total = inputs.values.length;
    let done = 0;
    const onItem = (): void => {
      done += 1;
      onProgress?.({ done, total });
    };
    const rider = { call: { inputs, fields, signal: scope.signal }, onItem };
    try {
      const collected: Collected =
        this.#batcher === null
          ? await collect((call) => translateItems(this.#courier, call), rider)
          : await this.#batcher.collect(rider);
      return { ...collected.summary, results: collected.results };
    } finally {
      scope.end();
    }
  }

  /**
   * The items as they are ready, each with the index of its text; a loop that is left early stops the work.
   * The request starts with the first item that is asked for, and never shares another's. The generator
   * returns the summary, which a `for await` loop drops.
   */
  async *translateStream(
    input: TranslateInput,
    options: TranslateOptions = {},
  ): AsyncGenerator<IndexedItem, TranslationSummary, undefined> {
    const { inputs, fields, onProgress } = this.#prepare(input, options);
    const scope = this.#scope(options);
    const total = inputs.values.length;
    const stream = translateItems(this.#courier, { inputs, fields, signal: scope.signal });
    try {
      for (let done = 1; ; done += 1) {
        const next = await stream.next();
        if (next.done === true) return next.value;
        onProgress?.({ done, total });
        yield next.value;
      }
    } finally {
      await stream.return(undefined as never);
      scope.end();
    }
  }

  /** Pipelines, queues, batches and where the time goes. The server answers from memory, however busy. */
  async status(options: CallOptions = {}): Promise<StatusResponse> {
    const body = await this.#get({ path: "status" }, options);
    if (isRecord(body) && Array.isArray(body["pipelines"]))
      return body as unknown as StatusResponse;
    throw notTheAnswer("status");
  }

  /** Whether the server takes work, and which pipelines do not; a server that is not ready is an answer too. */
  async ready(options: CallOptions = {}): Promise<ReadyResponse> {
    const body = await this.#get({ path: "ready", alsoStatus: 503 }, options);
    if (isRecord(body) && typeof body["ready"] === "boolean")
      return body as unknown as ReadyResponse;
    throw notTheAnswer("ready");
  }

  async models(options: CallOptions = {}): Promise<ModelsResponse> {
    const body = await this.#get({ path: "v1/models" }, options);
    if (isRecord(body) && Array.isArray(body["models"])) return body as unknown as ModelsResponse;
    throw notTheAnswer("v1/models");
  }

  /** Aborts whatever is pending; it and every later call reject with `cancelled`. A second call does nothing. */
  close(): void {
    this.#open.abort(new MillraceError("cancelled", "The client was closed."));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #prepare(input: TranslateInput, options: TranslateOptions) {
    const inputs = inputsOf(input);
    if (inputs.values.length === 0) {
      throw new MillraceError("input_empty", "There is nothing to translate.", {
        param: inputs.kind,
      });
    }
    const { signal: _signal, onProgress, ...named } = options;
    const { tenant } = this.#options;
    const fields: TranslateFields = tenant === undefined ? named : { tenant, ...named };
    return { inputs, fields, onProgress };
  }

  #scope(options: TranslateOptions): Scope {
    const scope = new Scope([options.signal, this.#open.signal]);
    const { timeoutMs } = options;
    if (timeoutMs !== undefined) {
      scope.limit(
        timeoutMs + deadlineGraceMs,
        () => new MillraceError("deadline_exceeded", `No answer within ${timeoutMs} ms.`),
      );
    }
    return scope;
  }

  async #get(outgoing: Omit<Outgoing, "accept">, options: CallOptions): Promise<unknown> {
    const scope = new Scope([options.signal, this.#open.signal]);
    const budget = new RetryBudget(this.#courier.retry, performance.now());
    const asked: Outgoing = { ...outgoing, accept: "application/json" };
    try {
      for (;;) {
        try {
          return await this.#courier.transport.json(asked, scope.signal);
        } catch (error) {
          if (!(error instanceof MillraceError)) throw error;
          const pauseMs = budget.delayAfter(error, performance.now());
          if (pauseMs === null) throw error;
          await delay(pauseMs, scope.signal);
        }
      }
    } finally {
      scope.end();
    }
  }
}

function inputsOf(input: TranslateInput): Inputs {
  if (typeof input === "string") return { kind: "texts", values: [input] };
  if ("tokenIds" in input) return { kind: "tokenIds", values: input.tokenIds };
  return { kind: "texts", values: input };
}

function notTheAnswer(path: string): MillraceError {
  return new MillraceError("response_invalid", `The reply to /${path} is not Millrace's.`);
}
