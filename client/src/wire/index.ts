import { apiLimits as commonLimits } from "./api.js";
import { translateLimits } from "./translate.js";

export {
  apiDefaults,
  type DeploymentIdentity,
  type ErrorResponse,
  headerNames,
  type ItemError,
  type ModelInfo,
  type ModelsReload,
  type ModelsResponse,
  type ReplyLine,
  type ReplySummary,
  type RequestFields,
  type RequestTimings,
  type WorkClass,
  workClasses,
} from "./api.js";
export {
  type ErrorCode,
  errorRegistry,
  isErrorCode,
  MillraceError,
  type MillraceErrorOptions,
  type WireError,
} from "./errors.js";
export type {
  BatchRecord,
  ModelReadiness,
  ModelStatus,
  PipelineKind,
  PipelineModel,
  PipelineState,
  PipelineStatus,
  QueueStatus,
  ReadyResponse,
  ServerState,
  StageTime,
  StatusResponse,
} from "./status.js";
export {
  type Alternative,
  type TranslateItem,
  type TranslateLine,
  type TranslateOutcome,
  type TranslateRequest,
  type TranslateResponse,
  type TranslateResult,
  translateLimits,
} from "./translate.js";

interface ApiLimits extends Readonly<Record<keyof typeof commonLimits, number>> {
  /** @deprecated Since 0.2: use `translateLimits`. */
  readonly beamsMax: number;
}

/** Hard bounds of the API that no option can raise. */
export const apiLimits: ApiLimits = { ...commonLimits, ...translateLimits };
