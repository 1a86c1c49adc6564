/// <reference lib="esnext.disposable" preserve="true" />
/**
 * READ FIRST: the client. Its parts know no task by its name:
 *
 *   Millrace ─► Calls of a task ─┬─► Sharing: small calls in one request ─┬─► courier: attempts, what is missing
 *                                └────────────────────────────────────────┘       └─► Transport: one HTTP attempt
 */
import { headersOf } from "./api-key.js";
import { Calls, type CallsOptions, indexed, limitTo } from "./call.js";
import {
  type Classification,
  type ClassifyEachOptions,
  type ClassifyInput,
  type ClassifyOptions,
  classifyInputs,
  classifyTask,
  type IndexedClassification,
} from "./classify.js";
import type { CourierOptions } from "./courier.js";
import type { EachSummary, Source } from "./each.js";
import {
  type Embedding,
  type Embeddings,
  type EmbedEachOptions,
  type EmbedInput,
  type EmbedOptions,
  embedEncoding,
  embedInputs,
  embedTask,
  type IndexedEmbedding,
} from "./embed.js";
import type { ExpectedDeployment } from "./expect.js";
import {
  type Inference,
  type InferOptions,
  inferContent,
  inferPath,
  readInference,
  readInferFailure,
} from "./infer.js";
import { ClientJobs } from "./jobs.js";
import { type IndexedOcr, type Ocr, type OcrEachOptions, type OcrOptions, ocrTask } from "./ocr.js";
import { gatherPictures, type Picture, type Pictures, pictureInputs } from "./pictures.js";
import { policyOf } from "./policy.js";
import type { EndProfileOptions, ProfileAsked } from "./profile.js";
import { type RecordAsked, recordedLines } from "./record.js";
import { isRecord } from "./reply.js";
import {
  type IndexedScore,
  orderOf,
  type RerankEachOptions,
  type Reranking,
  type RerankOptions,
  rerankTask,
} from "./rerank.js";
import { type RetryPolicy, retryDefaults } from "./retry.js";
import { Scope } from "./scope.js";
import { type SharingPolicy, sharingDefaults } from "./sharing.js";
import { StreamTransport, type StreamTransportParts } from "./stream-transport.js";
import { gatherPlainTexts, textInputs } from "./texts.js";
import {
  gatherTexts,
  type IndexedOutcome,
  inputsOf,
  type TranslateEachOptions,
  type TranslateInput,
  type TranslateOptions,
  type Translation,
  type TranslationSummary,
  translateTask,
} from "./translate.js";
import { type Fetch, noHead, type Outgoing, type ReplyHead, Transport } from "./transport.js";
import { tryAgain } from "./try-again.js";
import { type WatchStatusOptions, watchedStatus } from "./watch-status.js";
import { type WebSocketClass, webSocketOf } from "./web-socket.js";
import {
  apiDefaults,
  type ClassifyResult,
  type LiveStatus,
  MillraceError,
  type ModelsResponse,
  type NodesResponse,
  type OcrResult,
  type ProfileResponse,
  type ReadyResponse,
  type RecordLine,
  type ReplySummary,
  type RerankResult,
  type StatusResponse,
  type TextOrPair,
  type TranslateResult,
} from "./wire/index.js";

export interface MillraceOptions {
  /** The deployment that must answer; any other fails the call with `deployment_mismatch`. */
  readonly expect?: ExpectedDeployment;
  /** The tenant of every call that names none. */
  readonly tenant?: string;
  readonly retry?: Partial<RetryPolicy>;
  /** How small concurrent calls share requests; false: each call is its own request. */
  readonly sharing?: Partial<SharingPolicy> | false;
  /** @deprecated Since 0.2: use `sharing`, with `inputsMax` for `itemsMax`. */
  readonly batch?: Partial<BatchPolicy> | false;
  /** The server's option of this name, where it is not the default, 256: calls of so many items are bulk. */
  readonly bulkThreshold?: number;
  /** Default: the runtime's own. */
  readonly fetch?: Fetch;
  /**
   * Calls go over one WebSocket, which is opened when the first one is made: true for the runtime's own, or a class like it. What
   * has files goes over HTTP, and so do `infer`, `status` and the like. Default: false.
   */
  readonly webSocket?: boolean | WebSocketClass;
  /** The key, where the server asks for one: as `authorization: Bearer KEY` with every request. */
  readonly apiKey?: string;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * An attempt that has no reply's head after this long has failed: connecting and sending count. A server sends the
   * head as soon as it has taken the request in, not when the first result is ready. Default: 120 000.
   */
  readonly headMsMax?: number;
  /**
   * A reply that brings no byte for this long after its head has failed. A server sends a blank line every 15 s while
   * there is nothing else to send, so this must be well above that. Default: 120 000.
   */
  readonly silenceMsMax?: number;
}

/** @deprecated Since 0.2: use `SharingPolicy`. */
export interface BatchPolicy {
  readonly windowMs: number;
  /** `inputsMax` of `SharingPolicy`. */
  readonly itemsMax: number;
  readonly charactersMax: number;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
}

const limitDefaults: Readonly<Record<"headMsMax" | "silenceMsMax" | "bulkThreshold", number>> = {
  headMsMax: 120_000,
  silenceMsMax: 120_000,
  bulkThreshold: apiDefaults.bulkThreshold,
};

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
  /** Work that survives: submitted here, and fetched whenever one likes. */
  readonly jobs: ClientJobs;
  readonly #transport: Transport;
  readonly #retry: RetryPolicy;
  readonly #streams: StreamTransport | null;
  readonly #translate: Calls<TranslateResult>;
  readonly #embed: Calls<Embedding>;
  readonly #classify: Calls<ClassifyResult>;
  readonly #rerank: Calls<RerankResult>;
  readonly #ocr: Calls<OcrResult>;
  readonly #closed = new AbortController();

  /** Throws `option_invalid` for an address, a demand or a limit that makes no sense. Connects to nothing yet. */
  constructor(url: string | URL, options: MillraceOptions = {}) {
    const { headMsMax, silenceMsMax, bulkThreshold } = policyOf("options", limitDefaults, {
      headMsMax: options.headMsMax,
      silenceMsMax: options.silenceMsMax,
      bulkThreshold: options.bulkThreshold,
    });
    const transport = new Transport(url, {
      expect: options.expect ?? {},
      headers: headersOf(options),
      fetch: options.fetch ?? ((address, init) => globalThis.fetch(address, init)),
      headMsMax,
      silenceMsMax,
    });
    const retry = policyOf("retry", retryDefaults, options.retry);
    this.#transport = transport;
    this.#retry = retry;
    const { tenant } = options;
    const { signal: closed } = this.#closed;
    this.jobs = new ClientJobs({ transport, retry, closed, tenant, headMsMax });
    this.#streams = streamsOf(options, { transport, headMsMax, silenceMsMax });
    const courier: CourierOptions = { carrier: this.#streams ?? transport, retry, bulkThreshold };
    const calls: CallsOptions = {
      courier,
      sharing: sharingOf(options),
      tenant: options.tenant,
      closed: this.#closed.signal,
    };
    this.#translate = new Calls(translateTask, calls);
    this.#embed = new Calls(embedTask, calls);
    this.#classify = new Calls(classifyTask, calls);
    this.#rerank = new Calls(rerankTask, calls);
    this.#ocr = new Calls(ocrTask, calls);
  }

  /**
   * Translates everything and resolves when its last text is there. Rejects only when the request as a whole fails;
   * look for `error` in each result. Small calls made at the same time share a request; a call that did has
   * `shared: true`, and null for what only the server knows of it.
   */
  async translate(input: TranslateInput, options: TranslateOptions = {}): Promise<Translation> {
    return await this.#translate.collect(inputsOf(input, options), options);
  }

  /**
   * The outcomes as they are ready, each with the index of its text; a loop that is left early stops the work.
   * The request starts with the first one that is asked for, and never shares another's. The generator returns the
   * summary, which a `for await` loop drops.
   */
  async *translateStream(
    input: TranslateInput,
    options: TranslateOptions = {},
  ): AsyncGenerator<IndexedOutcome, TranslationSummary, undefined> {
    return yield* indexed(this.#translate.stream(inputsOf(input, options), options));
  }

  /**
   * The outcomes of texts without number, in their order, with bounded memory: they are cut into requests, a few of
   * which are under way at once. Where several are needed, all are bulk unless `class` says otherwise, and `timeoutMs`
   * is that of each. A loop that is left early stops the work. Returns what the sums are.
   */
  async *translateEach(
    texts: Source<string>,
    options: TranslateEachOptions = {},
  ): AsyncGenerator<IndexedOutcome, EachSummary, undefined> {
    return yield* indexed(this.#translate.each(texts, gatherTexts(options), options));
  }

  /** The vectors of texts, as `translate` gives translations. */
  async embed(input: EmbedInput, options: EmbedOptions = {}): Promise<Embeddings> {
    return await this.#embed.collect(embedInputs(input), { ...options, ...embedEncoding });
  }

  /** As `translateStream` gives translations. */
  async *embedStream(
    input: EmbedInput,
    options: EmbedOptions = {},
  ): AsyncGenerator<IndexedEmbedding, ReplySummary, undefined> {
    const fields = { ...options, ...embedEncoding };
    return yield* indexed(this.#embed.stream(embedInputs(input), fields));
  }

  /** As `translateEach` gives translations. */
  async *embedEach(
    texts: Source<string>,
    options: EmbedEachOptions = {},
  ): AsyncGenerator<IndexedEmbedding, EachSummary, undefined> {
    const fields = { ...options, ...embedEncoding };
    return yield* indexed(this.#embed.each(texts, gatherPlainTexts<string>(), fields));
  }

  /** The labels of texts, of pairs of texts or of pictures, the best first. */
  async classify(input: ClassifyInput, options: ClassifyOptions = {}): Promise<Classification> {
    return await this.#classify.collect(classifyInputs(input), options);
  }

  /** As `translateStream` gives translations. */
  async *classifyStream(
    input: ClassifyInput,
    options: ClassifyOptions = {},
  ): AsyncGenerator<IndexedClassification, ReplySummary, undefined> {
    return yield* indexed(this.#classify.stream(classifyInputs(input), options));
  }

  /** As `translateEach` gives translations; for pictures there is `classifyPicturesEach`. */
  async *classifyEach(
    texts: Source<TextOrPair>,
    options: ClassifyEachOptions = {},
  ): AsyncGenerator<IndexedClassification, EachSummary, undefined> {
    return yield* indexed(this.#classify.each(texts, gatherPlainTexts<TextOrPair>(), options));
  }

  /** As `translateEach` gives translations. */
  async *classifyPicturesEach(
    pictures: Source<Picture>,
    options: ClassifyEachOptions = {},
  ): AsyncGenerator<IndexedClassification, EachSummary, undefined> {
    return yield* indexed(this.#classify.each(pictures, gatherPictures, options));
  }

  /** How well each text answers `query`: scores in the order of the texts, and `order`, their indices from the best. */
  async rerank(
    query: string,
    texts: readonly string[],
    options: RerankOptions = {},
  ): Promise<Reranking> {
    const fields = { ...options, query };
    const reply = await this.#rerank.collect(textInputs(texts), fields);
    return { ...reply, order: orderOf(reply.results) };
  }

  /** As `translateEach` gives translations: scores in the order of the texts. */
  async *rerankEach(
    query: string,
    texts: Source<string>,
    options: RerankEachOptions = {},
  ): AsyncGenerator<IndexedScore, EachSummary, undefined> {
    const fields = { ...options, query };
    return yield* indexed(this.#rerank.each(texts, gatherPlainTexts<string>(), fields));
  }

  /** The lines of text on pictures. */
  async ocr(pictures: Pictures, options: OcrOptions = {}): Promise<Ocr> {
    return await this.#ocr.collect(pictureInputs(pictures), options);
  }

  /** As `translateStream` gives translations. */
  async *ocrStream(
    pictures: Pictures,
    options: OcrOptions = {},
  ): AsyncGenerator<IndexedOcr, ReplySummary, undefined> {
    return yield* indexed(this.#ocr.stream(pictureInputs(pictures), options));
  }

  /** As `translateEach` gives translations. */
  async *ocrEach(
    pictures: Source<Picture>,
    options: OcrEachOptions = {},
  ): AsyncGenerator<IndexedOcr, EachSummary, undefined> {
    return yield* indexed(this.#ocr.each(pictures, gatherPictures, options));
  }

  /**
   * Runs a model on named tensors, typed arrays in and out: one request, with as many rows as the caller likes. The
   * server packs the rows of callers together where the model allows it.
   *
   * ```ts
   * const image = { data: pixels, shape: [1, 3, 224, 224] };
   * const { outputs } = await client.infer({ model: "squeezenet", inputs: { image } });
   * ```
   */
  async infer(options: InferOptions): Promise<Inference> {
    const { timeoutMs, signal } = options;
    const scope = new Scope([signal, this.#closed.signal]);
    const startedMs = performance.now();
    limitTo(scope, options);
    const attempt = async (): Promise<Inference> => {
      // What is left of the time, and not the whole time again.
      const left =
        timeoutMs === undefined
          ? {}
          : { timeoutMs: Math.max(1, timeoutMs - (performance.now() - startedMs)) };
      let head: ReplyHead | null = null;
      const outgoing: Outgoing = {
        path: inferPath(options),
        accept: "application/octet-stream",
        content: inferContent({ ...options, ...left }),
        readFailure: readInferFailure,
        onHead: (arrived) => {
          head = arrived;
        },
        // The head comes with the result: how long that takes is not for the connection to say.
        ...(timeoutMs === undefined ? {} : { headMsMax: Number.POSITIVE_INFINITY }),
      };
      const bytes = await this.#transport.bytes(outgoing, scope.signal);
      const { id, deployment, headers } = head ?? noHead;
      const outputs = readInference(bytes, headers);
      return { outputs, id, deployment };
    };
    return await tryAgain(attempt, { retry: this.#retry, scope });
  }

  /** Pipelines, queues, batches and where the time goes. The server answers from memory, however busy. */
  async status(options: CallOptions = {}): Promise<StatusResponse> {
    const body = await this.#get({ path: "status" }, options);
    if (isRecord(body) && Array.isArray(body["pipelines"]))
      return body as unknown as StatusResponse;
    throw notTheAnswer("status");
  }

  /**
   * The status about once a second, with what the doctor says of it, until the server stops or the loop is left; a connection that
   * breaks is `connection_failed`, and watched anew by another call.
   */
  async *watchStatus(
    options: WatchStatusOptions = {},
  ): AsyncGenerator<LiveStatus, void, undefined> {
    const scope = new Scope([options.signal, this.#closed.signal]);
    try {
      yield* watchedStatus(this.#transport, options.looks, scope.signal);
    } finally {
      scope.end();
    }
  }

  /**
   * What a thread of the server does, sampled for so long: `front` is its own, else a pipeline. Reading takes as long. `endProfile`
   * ends it before, and what was seen so far is the answer.
   */
  async profile(asked: ProfileAsked, options: CallOptions = {}): Promise<ProfileResponse> {
    const { of, seconds, operators = false, id } = asked;
    const query = new URLSearchParams({ of, seconds: `${seconds}`, operators: `${operators}` });
    if (id !== undefined) query.set("id", id);
    const path = `v1/profile?${query.toString()}`;
    const body = await this.#get({ path, method: "POST" }, options);
    if (isRecord(body) && Array.isArray(body["nodes"])) return body as unknown as ProfileResponse;
    throw notTheAnswer("v1/profile");
  }

  /** False: none of this id is taken. */
  async endProfile({ id, ...options }: EndProfileOptions = {}): Promise<boolean> {
    const path = id === undefined ? "v1/profile" : `v1/profile?id=${encodeURIComponent(id)}`;
    const body = await this.#get({ path, method: "DELETE" }, options);
    if (isRecord(body) && typeof body["ended"] === "boolean") return body["ended"];
    throw notTheAnswer("v1/profile");
  }

  /**
   * What arrives at the server, line by line, for so many seconds: sizes, times and ends, never what requests hold. Leaving the loop ends it;
   * a connection that breaks is `connection_failed`.
   */
  async *record(asked: RecordAsked, options: CallOptions = {}): AsyncGenerator<RecordLine, void> {
    const scope = new Scope([options.signal, this.#closed.signal]);
    try {
      yield* recordedLines(this.#transport, asked, scope.signal);
    } finally {
      scope.end();
    }
  }

  /** The servers of the deployment that the server has heard of; `not_found` where it is for itself (no `--nats`). */
  async nodes(options: CallOptions = {}): Promise<NodesResponse> {
    const body = await this.#get({ path: "v1/nodes" }, options);
    if (isRecord(body) && Array.isArray(body["nodes"])) return body as unknown as NodesResponse;
    throw notTheAnswer("nodes");
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
    this.#closed.abort(new MillraceError("cancelled", "The client was closed."));
    this.#streams?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  async #get(outgoing: Omit<Outgoing, "accept">, options: CallOptions): Promise<unknown> {
    const asked: Outgoing = { ...outgoing, accept: "application/json" };
    const scope = new Scope([options.signal, this.#closed.signal]);
    const attempt = async (): Promise<unknown> => await this.#transport.json(asked, scope.signal);
    return await tryAgain(attempt, { retry: this.#retry, scope });
  }
}

function sharingOf({ sharing, batch }: MillraceOptions): SharingPolicy | null {
  if (sharing !== undefined && batch !== undefined) {
    throw new MillraceError("option_invalid", "`batch` is the old name of `sharing`: name one.");
  }
  if (sharing === false || batch === false) return null;
  if (batch === undefined) return policyOf("sharing", sharingDefaults, sharing);
  const { windowMs, itemsMax, charactersMax } = batch;
  return policyOf("batch", sharingDefaults, { windowMs, inputsMax: itemsMax, charactersMax });
}

function streamsOf(
  { webSocket = false, expect = {}, ...options }: MillraceOptions,
  parts: Pick<StreamTransportParts, "transport" | "headMsMax" | "silenceMsMax">,
): StreamTransport | null {
  if (webSocket === false) return null;
  const headers = headersOf(options);
  return new StreamTransport({ ...parts, WebSocket: webSocketOf(webSocket), expect, headers });
}

function notTheAnswer(path: string): MillraceError {
  return new MillraceError("response_invalid", `The reply to /${path} is not Millrace's.`);
}
