/**
 * READ FIRST. Every option of the server: the one table from which flags, environment variables, the configuration file,
 * `millrace config` and docs/options.md come. `resolve.ts` turns it and the sources into values.
 *
 *   key realtimePipelines   →   --realtime-pipelines   →   MILLRACE_REALTIME_PIPELINES
 */
import { apiDefaults } from "millrace-client/wire";
import {
  defaultModelMemory,
  defaultPipelines,
  defaultThreads,
  type Layout,
  type Machine,
} from "./machine.js";
import type { FormerOptions, OptionKey, Options } from "./options.js";

export const optionGroups = [
  "Serving",
  "Identity",
  "Pipelines",
  "Scheduling",
  "Limits",
  "Times",
] as const;

/** A default is a value, or is computed from the machine and the layout that was asked for. */
export type OptionDefault<Value> =
  | { readonly value: Value }
  | { readonly of: (machine: Machine, layout: Layout) => Value; readonly text: string };

export type OptionType<Value> = [Value] extends [number]
  ? {
      readonly type: "integer";
      readonly unit: string;
      readonly min: number;
      readonly max: number;
    }
  :
      | { readonly type: "choice"; readonly choices: readonly Value[] }
      /** Letters, digits, dot, dash and underscore: it travels in a header. */
      | { readonly type: "name" }
      | { readonly type: "text" }
      /** Made absolute: against the working folder, or against the folder of the configuration file. */
      | { readonly type: "path" };

export type OptionDefinition<Value> = OptionType<Value> & {
  readonly group: (typeof optionGroups)[number];
  readonly help: string;
  readonly default: OptionDefault<Value>;
  /** False: two deployments that differ only here are the same configuration (`configHash`). */
  readonly hashed: boolean;
  /** The key that it had until the release before. */
  readonly formerKey?: keyof FormerOptions;
};

export type AnyOptionDefinition = OptionDefinition<number> | OptionDefinition<string>;

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const milliseconds = { type: "integer", unit: "ms", min: 1, max: 24 * HOUR_MS } as const;
const limits = { group: "Limits", hashed: true } as const;
const times = { group: "Times", hashed: true } as const;
const scheduling = { group: "Scheduling", hashed: true } as const;
const pipelines = { group: "Pipelines", hashed: true } as const;

export const optionTable: { readonly [Key in OptionKey]: OptionDefinition<Options[Key]> } = {
  models: {
    type: "path",
    group: "Serving",
    help: "Folder of models: folders with a millrace.json, folders with an ONNX file, and ONNX files; or one of these.",
    default: { of: (machine) => machine.bundledModelsDir, text: "the bundled models" },
    hashed: true,
  },
  cacheDir: {
    type: "path",
    group: "Serving",
    help: "Folder for what can be made again: weights as this processor multiplies them, the trial's result.",
    default: {
      of: (machine) => machine.cacheDir,
      text: "`millrace` in `XDG_CACHE_HOME` or `~/.cache`",
    },
    hashed: false,
  },
  modelsWatchMs: {
    type: "integer",
    unit: "ms",
    min: 0,
    max: HOUR_MS,
    group: "Serving",
    help: "Pause between two looks at the folder of models; 0: only `POST /v1/models/reload` and SIGHUP look again.",
    default: { value: 5_000 },
    hashed: false,
  },
  preload: {
    type: "text",
    ...pipelines,
    help: "Models that every pipeline loads as it starts and keeps for good: all, none, or their names with commas between; auto: as many as fit, which make room when others are asked for.",
    default: { value: "auto" },
  },
  modelMemoryBytes: {
    type: "integer",
    unit: "bytes",
    min: 1 * MiB,
    max: 64 * 1024 * GiB,
    ...pipelines,
    help: "Bytes that models may take, over all pipelines, each of which gets an even part; weights that all of them map count once. What does not fit beside others is loaded when it is asked for, in the place of another.",
    default: { of: defaultModelMemory, text: "half of the memory" },
  },
  host: {
    type: "text",
    group: "Serving",
    help: "Address to listen on; 0.0.0.0 for every interface.",
    default: { value: "127.0.0.1" },
    hashed: false,
  },
  port: {
    type: "integer",
    unit: "port",
    min: 0,
    max: 65_535,
    group: "Serving",
    help: "Port to listen on; 0 picks a free one.",
    default: { value: 8400 },
    hashed: false,
  },
  log: {
    type: "choice",
    choices: ["pretty", "json"],
    group: "Serving",
    help: "Log lines for people, or one JSON object a line.",
    default: { value: "pretty" },
    hashed: false,
  },
  logLevel: {
    type: "choice",
    choices: ["trace", "debug", "info", "warn", "error", "silent"],
    group: "Serving",
    help: "Least level that is logged.",
    default: { value: "info" },
    hashed: false,
  },
  name: {
    type: "name",
    group: "Identity",
    help: "Name of the deployment, on every reply.",
    default: { value: "millrace" },
    hashed: false,
  },
  environment: {
    type: "name",
    group: "Identity",
    help: "Environment, on every reply; callers can demand one (`x-millrace-expect`).",
    default: { value: "development" },
    hashed: false,
  },
  node: {
    type: "name",
    group: "Identity",
    help: "Name of this machine, on every reply.",
    default: { of: (machine) => machine.hostName, text: "the host name" },
    hashed: false,
  },
  pipelines: {
    type: "integer",
    unit: "pipelines",
    min: 0,
    max: 256,
    ...pipelines,
    help: "Worker processes that serve both classes; not together with realtime-pipelines and bulk-pipelines.",
    default: {
      of: defaultPipelines,
      text: "measured at the first start (`trial`), else one for every 2 cores; 0 with dedicated pipelines",
    },
  },
  realtimePipelines: {
    type: "integer",
    unit: "pipelines",
    min: 0,
    max: 256,
    ...pipelines,
    help: "Worker processes for realtime work only; needs bulk-pipelines.",
    default: { value: 0 },
  },
  bulkPipelines: {
    type: "integer",
    unit: "pipelines",
    min: 0,
    max: 256,
    ...pipelines,
    help: "Worker processes for bulk work only; needs realtime-pipelines.",
    default: { value: 0 },
    formerKey: "batchPipelines",
  },
  threads: {
    type: "integer",
    unit: "threads",
    min: 1,
    max: 256,
    ...pipelines,
    help: "Threads of each pipeline.",
    default: {
      of: defaultThreads,
      text: "measured as well, else the cores, divided among the pipelines",
    },
  },
  trial: {
    type: "choice",
    choices: ["auto", "off"],
    group: "Pipelines",
    help: "Whether `serve` measures, at the first start with a model, how many pipelines and threads are fastest, where none are given. `createServer` does so only when asked to.",
    default: { value: "auto" },
    hashed: false,
  },
  rowsMax: {
    type: "integer",
    unit: "rows",
    min: 8,
    max: 4096,
    ...pipelines,
    help: "Rows that one pipeline works on at once; an item takes as many as it has beams.",
    default: { value: 64 },
  },
  prefetchRows: {
    type: "integer",
    unit: "rows",
    min: 0,
    max: 4096,
    ...pipelines,
    help: "Rows that may wait inside a pipeline, so that it never idles while the next are fetched.",
    default: { value: 32 },
  },
  policy: {
    type: "choice",
    choices: ["millrace", "fcfs", "seed-router"],
    ...scheduling,
    help: "What goes to which pipeline, and when.",
    default: { value: "millrace" },
  },
  bulkThreshold: {
    type: "integer",
    unit: "items",
    min: 1,
    max: 1_000_000,
    ...scheduling,
    help: "A request that names no class is realtime when it has fewer items than this, else bulk.",
    default: { value: apiDefaults.bulkThreshold },
  },
  realtimeTargetMs: {
    ...milliseconds,
    ...scheduling,
    help: "What realtime work should wait at most; bounds how much bulk work one batch takes.",
    default: { value: 200 },
  },
  ageLimitMs: {
    ...milliseconds,
    ...scheduling,
    help: "Items that waited longer than this go first in their class; bulk so old is no longer passed by all realtime.",
    default: { value: 10_000 },
  },
  queuedItemsMax: {
    type: "integer",
    unit: "items",
    min: 1,
    max: 100_000_000,
    ...limits,
    help: "Items that may be queued, over all requests; small requests are let in up to a hundredth above.",
    default: { value: 100_000 },
  },
  queuedBytesMax: {
    type: "integer",
    unit: "bytes",
    min: 64 * KiB,
    max: 64 * GiB,
    ...limits,
    help: "Bytes of request bodies, and of what was made of them, that may be queued, over all requests.",
    default: { value: 256 * MiB },
  },
  requestInputsMax: {
    type: "integer",
    unit: "inputs",
    min: 1,
    max: 1_000_000,
    ...limits,
    help: "Inputs in one request: what the caller gets one result each for.",
    default: { value: 10_000 },
    formerKey: "requestItemsMax",
  },
  bodyBytesMax: {
    type: "integer",
    unit: "bytes",
    min: 1 * KiB,
    max: 256 * MiB,
    ...limits,
    // Parsing and validating hold the event loop: see docs/http.md, "Body size", for the measurement.
    help: "Bytes of one request body, after decompression. The event loop stands still while it is parsed.",
    default: { value: 4 * MiB },
  },
  imageBodyBytesMax: {
    type: "integer",
    unit: "bytes",
    min: 1 * KiB,
    // A worker takes no frame over 64 MiB.
    max: 60 * MiB,
    ...limits,
    help: "Bytes of a request body that is a picture, or a form with pictures: those are moved and not parsed.",
    default: { value: 32 * MiB },
  },
  imagePixelsMax: {
    type: "integer",
    unit: "pixels",
    min: 1,
    max: 1_000_000_000,
    ...limits,
    help: "Pixels of one picture, by its head: what is larger is refused before it is decoded.",
    default: { value: 40_000_000 },
  },
  bodiesBytesMax: {
    type: "integer",
    unit: "bytes",
    min: 64 * KiB,
    max: 64 * GiB,
    ...limits,
    help: "Bytes of all bodies that are being read, over all connections; beyond it who stalls or sends most is refused (queue_full).",
    default: { value: 64 * MiB },
  },
  repliesBytesMax: {
    type: "integer",
    unit: "bytes",
    min: 64 * KiB,
    max: 64 * GiB,
    ...limits,
    help: "Bytes of all replies that wait for their readers; beyond it the one that has waited longest is disconnected.",
    default: { value: 128 * MiB },
  },
  inputCharactersMax: {
    type: "integer",
    unit: "characters",
    min: 1,
    max: 1_000_000,
    ...limits,
    help: "Characters of one input.",
    default: { value: 20_000 },
    formerKey: "itemCharactersMax",
  },
  logBacklogBytesMax: {
    type: "integer",
    unit: "bytes",
    min: 64 * KiB,
    max: 256 * MiB,
    group: "Limits",
    hashed: false,
    help: "Bytes of log lines that may wait for a slow reader of standard output; what is over is dropped and counted.",
    default: { value: 1 * MiB },
  },
  weightsCacheBytesMax: {
    type: "integer",
    unit: "bytes",
    min: 0,
    max: 1024 * GiB,
    group: "Limits",
    hashed: false,
    help: "Bytes of weights in cache-dir that all pipelines map, twice the model's; the ones used longest ago go. 0: each pipeline packs its own copy.",
    default: { value: 8 * GiB },
  },
  connectionsMax: {
    type: "integer",
    unit: "connections",
    min: 1,
    max: 100_000,
    ...limits,
    help: "Connections at once; the next is answered from memory, or with too_many_connections, and closed.",
    default: { value: 1024 },
  },
  headersTimeoutMs: {
    ...milliseconds,
    ...times,
    help: "A connection's first byte until the end of a request's headers.",
    default: { value: 10_000 },
  },
  bodyTimeoutMs: {
    ...milliseconds,
    ...times,
    help: "End of the headers until the end of the body.",
    default: { value: 30_000 },
  },
  replyTimeoutMs: {
    ...milliseconds,
    ...times,
    help: "How long a caller may take no byte of its reply before the connection is closed.",
    default: { value: 60_000 },
  },
  keepAliveMs: {
    ...milliseconds,
    ...times,
    help: "How long an idle connection is kept. Longer than a load balancer's own, or it meets closed ones.",
    default: { value: 65_000 },
  },
  requestTimeoutMsDefault: {
    ...milliseconds,
    ...times,
    help: "`timeoutMs` of a request that names none.",
    default: { value: 10 * MINUTE_MS },
  },
  requestTimeoutMsMax: {
    ...milliseconds,
    ...times,
    help: "Largest `timeoutMs` that a request may name.",
    default: { value: HOUR_MS },
  },
  drainMs: {
    ...milliseconds,
    ...times,
    help: "How long work in flight may take to finish after the first signal.",
    default: { value: 30_000 },
  },
  startTimeoutMs: {
    ...milliseconds,
    ...times,
    help: "Start of a pipeline until its warm-up item was answered.",
    default: { value: 2 * MINUTE_MS },
  },
  runMsMax: {
    ...milliseconds,
    ...times,
    help: "A single run of a stage that takes longer than this is a hang; the pipeline is replaced.",
    default: { value: MINUTE_MS },
  },
  attemptsMax: {
    type: "integer",
    unit: "attempts",
    min: 1,
    max: 20,
    ...limits,
    help: "How often an item is tried when the workers under it are lost.",
    default: { value: 5 },
  },
  restartBackoffMs: {
    ...milliseconds,
    // Doubled as far as it goes, an hour is two and a half days: whoever waits so long has gone to look.
    max: HOUR_MS,
    ...times,
    help: "Wait before a lost pipeline starts again; doubles with each loss in a row, up to 60 times this.",
    default: { value: 500 },
  },
};

export const optionKeys: readonly OptionKey[] = Object.keys(optionTable).filter(isOptionKey);

/** Former key → the option that it names. */
export const formerKeys: ReadonlyMap<string, OptionKey> = new Map(
  optionKeys.flatMap((key) => {
    const { formerKey } = optionTable[key];
    return formerKey === undefined ? [] : [[formerKey, key] as const];
  }),
);

export function isOptionKey(key: string): key is OptionKey {
  return Object.hasOwn(optionTable, key);
}

/** Also of a former key. */
export function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Also of a former key. */
export function variableOf(key: string): string {
  return `MILLRACE_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
