/**
 * READ FIRST. What the messages of the native HTTP API share, whatever the task; a task's own are in the file of its name. The
 * only definition of them: the server validates against these types, the client sends them.
 *
 * An *input* is what a caller gets one result for, such as a text; an *item* is what a model turns into one result,
 * such as a sentence of it.
 */
import type { WireError } from "./errors.js";
import type { ModelStatus } from "./status.js";
import type { ModelTensor } from "./tensors.js";

/** `realtime`: somebody waits. `bulk`: nobody waits. */
export type WorkClass = (typeof workClasses)[number];

/** The one that goes first stands first. */
export const workClasses = ["realtime", "bulk"] as const;

/** What a request of any task may say. */
export interface RequestFields {
  /** Needed only where the server serves more than one model. */
  readonly model?: string;
  /** Else by size: fewer items than `bulkThreshold` (256) are `realtime`. */
  readonly class?: WorkClass;
  /** From arrival to the last result, in milliseconds; what is not done then fails alone. */
  readonly timeoutMs?: number;
  /** Tenants share the machine fairly. Default: `default`. */
  readonly tenant?: string;
}

/** What an input comes to when it fails alone. */
export interface ItemError {
  readonly error: WireError;
}

/** Which deployment answered: on every reply, as a header and in every JSON body. */
export interface DeploymentIdentity {
  readonly name: string;
  readonly environment: string;
  readonly version: string;
  /** Short hash of the frozen configuration. */
  readonly configHash: string;
  readonly node: string;
}

/** Where the time of a request went, in milliseconds. */
export interface RequestTimings {
  /** Until its inputs were items: splitting and tokenising, for texts. */
  readonly prepareMs: number;
  /** Longest wait of any of its items until a pipeline took it. */
  readonly queueMs: number;
  /** From the first hand-over to a pipeline until the last result. */
  readonly computeMs: number;
  readonly totalMs: number;
}

/** What a reply of any task says beside its results. */
export interface ReplySummary {
  readonly id: string;
  readonly model: string;
  readonly class: WorkClass;
  readonly timings: RequestTimings;
  /** How many items each pipeline ran, by pipeline id. */
  readonly pipelines: Readonly<Record<string, number>>;
  readonly deployment: DeploymentIdentity;
}

/**
 * A line of an `application/x-ndjson` reply: one for each input as it is ready, then one `done`, or an `error` where
 * the request failed as a whole. A blank line says only that the server lives, and may come anywhere.
 */
export type ReplyLine<Outcome> =
  | ({ readonly index: number } & Outcome)
  | { readonly done: ReplySummary }
  | { readonly error: WireError; readonly index?: never };

export interface ErrorResponse {
  readonly error: WireError;
  readonly id: string;
  readonly deployment: DeploymentIdentity;
}

/** What a model takes, as far as it has such a limit. */
export interface ModelLimits {
  readonly inputTokensMax?: number;
  readonly outputTokensMax?: number;
  /** Rows of one run, where the model has such a limit of its own. */
  readonly rowsMax?: number;
}

export interface ModelInfo {
  readonly name: string;
  readonly task: string;
  readonly family: string;
  readonly sourceLanguage?: string;
  readonly targetLanguage?: string;
  readonly precision: string;
  /** It can be served, if need be after one load. */
  readonly ready: boolean;
  /** See `ModelStatus`. */
  readonly state: ModelStatus["state"];
  /** Pipelines that have it loaded. */
  readonly pipelines: readonly string[];
  /** Why its last load failed, or why it cannot be served; null where there is nothing to say. */
  readonly reason: string | null;
  readonly limits: ModelLimits;
  /** Of a model that takes and gives named tensors. */
  readonly inputs?: readonly ModelTensor[];
  readonly outputs?: readonly ModelTensor[];
  /** Of a model that gives vectors: how it makes one of a text unless a request says otherwise. */
  readonly embedding?: {
    readonly pooling: string;
    readonly width: number;
    readonly normalize: boolean;
  };
  /** Of a model with labels, in its order; a thousand at the most. */
  readonly labels?: readonly string[];
}

/** A model in OpenAI's form, for clients of that protocol. */
export interface ListedModel {
  readonly id: string;
  readonly object: "model";
  /** Unix time in seconds. */
  readonly created: number;
  readonly owned_by: string;
}

/** For two readers: ours take `models`, OpenAI's the list in `data`. */
export interface ModelsResponse {
  readonly object: "list";
  readonly data: readonly ListedModel[];
  readonly models: readonly ModelInfo[];
  readonly deployment: DeploymentIdentity;
}

/** What `POST /v1/models/reload` found. */
export interface ModelsReload {
  readonly added: readonly string[];
  /** Their new versions serve as soon as they are loaded. */
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /**
   * Folders that are not served, by their paths within the folder of models, each with the reason; what was served from them
   * before is served on.
   */
  readonly broken: readonly { readonly dir: string; readonly reason: string }[];
  /** Models that `--preload` names and that no folder has any more. */
  readonly missing: readonly string[];
}

/** Names of the headers that Millrace reads or writes beyond the standard ones. */
export const headerNames = {
  requestId: "x-request-id",
  /** `name=…, environment=…, version=…, config=…, node=…` on every reply. */
  deployment: "x-millrace-deployment",
  /** What the caller demands, e.g. `environment=prod, version=0.1.0`; any other deployment refuses. */
  expect: "x-millrace-expect",
  /** Of a reply that is nothing but rows of numbers: how many, and how wide, e.g. `256,384`. */
  shape: "x-millrace-shape",
  /** Of such a reply: the places of the inputs that failed, e.g. `3,7`; left out where there are none. */
  failed: "x-millrace-failed",
} as const;

/** Hard bounds of the API that no option can raise. */
export const apiLimits = {
  tenantCharactersMax: 64,
  requestIdCharactersMax: 128,
} as const;

/** What a server does unless its options say otherwise. */
export const apiDefaults = {
  /** Items from which on a request that names no class is `bulk`. */
  bulkThreshold: 256,
} as const;
