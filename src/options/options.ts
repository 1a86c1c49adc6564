/** What the options of the server are called, and of which type each is; table.ts says all else of them. */
import type { PolicyName } from "../scheduler/policy.js";
import type { AccessOptions } from "./access-options.js";
import type { BertOptions } from "./bert-options.js";
import type { EctransformerOptions } from "./ectransformer-options.js";
import type { GrpcOptions } from "./grpc-options.js";
import type { JobsOptions } from "./jobs-options.js";
import type { NatsOptions } from "./nats-options.js";
import type { TeiOptions } from "./tei-options.js";
import type { TracingOptions } from "./tracing-options.js";
import type { ZmqOptions } from "./zmq-options.js";

/** The values, resolved once and frozen. Units stand at the end of the names. */
export interface Options
  extends BaseOptions,
    AccessOptions,
    BertOptions,
    EctransformerOptions,
    GrpcOptions,
    JobsOptions,
    NatsOptions,
    TeiOptions,
    TracingOptions,
    ZmqOptions {}

export interface BaseOptions {
  readonly fronts: string;
  readonly models: string;
  readonly cacheDir: string;
  readonly modelsWatchMs: number;
  readonly preload: string;
  readonly modelMemoryBytes: number;
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly environment: string;
  readonly node: string;
  readonly log: "pretty" | "json";
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  readonly pipelines: number;
  readonly realtimePipelines: number;
  readonly bulkPipelines: number;
  readonly threads: number;
  readonly trial: "auto" | "off";
  /** Of every model; null: of each as many as it runs best. */
  readonly rowsMax: number | null;
  readonly prefetchRows: number;
  readonly policy: PolicyName;
  readonly bulkThreshold: number;
  readonly realtimeTargetMs: number;
  readonly ageLimitMs: number;
  readonly queuedItemsMax: number;
  readonly queuedBytesMax: number;
  readonly requestInputsMax: number;
  readonly bodyBytesMax: number;
  readonly imageBodyBytesMax: number;
  readonly imagePixelsMax: number;
  readonly inputCharactersMax: number;
  readonly logBacklogBytesMax: number;
  readonly weightsCacheBytesMax: number;
  readonly bodiesBytesMax: number;
  readonly repliesBytesMax: number;
  readonly connectionsMax: number;
  readonly headersTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly replyTimeoutMs: number;
  readonly keepAliveMs: number;
  readonly requestTimeoutMsDefault: number;
  readonly requestTimeoutMsMax: number;
  readonly drainMs: number;
  readonly startTimeoutMs: number;
  readonly runMsMax: number;
  readonly attemptsMax: number;
  readonly restartBackoffMs: number;
}

export type OptionKey = keyof Options;

/** Names that an option had before; each answers for one more release, and a line at the start says the new one. */
export interface FormerOptions {
  /** @deprecated It is `bulkPipelines` now. */
  readonly batchPipelines: number;
  /** @deprecated It is `requestInputsMax` now. */
  readonly requestItemsMax: number;
  /** @deprecated It is `inputCharactersMax` now. */
  readonly itemCharactersMax: number;
}
