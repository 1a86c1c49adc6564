import { apiLimits as commonLimits } from "./api.js";
import { translateLimits } from "./translate.js";

export {
  apiDefaults,
  type DeploymentIdentity,
  type ErrorResponse,
  headerNames,
  type ItemError,
  type ListedModel,
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
export type {
  ClassifyLine,
  ClassifyOutcome,
  ClassifyRequest,
  ClassifyResponse,
  ClassifyResult,
  ScoredLabel,
  TextOrPair,
} from "./classify.js";
export { type Finding, findingSeverities } from "./doctor.js";
export {
  type EmbedLine,
  type EmbedOutcome,
  type EmbedPooling,
  type EmbedRequest,
  type EmbedResponse,
  type EmbedResult,
  embedPoolings,
} from "./embed.js";
export {
  type ErrorCode,
  errorRegistry,
  isErrorCode,
  MillraceError,
  type MillraceErrorOptions,
  type WireError,
} from "./errors.js";
export type {
  InferLine,
  InferOutcome,
  InferOutput,
  InferRequest,
  InferResponse,
  InferResult,
  InferTensor,
} from "./infer.js";
export {
  type JobDeletedReply,
  type JobReply,
  type JobRequestFields,
  type JobResult,
  type JobState,
  type JobStatus,
  type JobsReply,
  jobLimits,
  jobStates,
  requestKeyHeader,
} from "./jobs.js";
export type {
  LiveClass,
  LiveHistory,
  LivePipeline,
  LiveSample,
  LiveStatus,
} from "./live.js";
export type {
  OcrBox,
  OcrFailedLine,
  OcrOutcome,
  OcrPoint,
  OcrReplyLine,
  OcrRequest,
  OcrResponse,
  OcrResult,
  OcrTextLine,
} from "./ocr.js";
export {
  type ProfiledGraph,
  type ProfiledOperator,
  type ProfiledStage,
  type ProfileFrameKind,
  type ProfileNode,
  type ProfileResponse,
  profiledGraphsMax,
  profiledOperatorsMax,
  profileFrameKinds,
  profileNodesMax,
  profileSecondsDefault,
  profileSecondsMax,
  profileTextMax,
  type SampledProfile,
} from "./profile.js";
export {
  type RecordedClose,
  type RecordedDown,
  type RecordedEnd,
  type RecordedItems,
  type RecordedLoss,
  type RecordedModel,
  type RecordedOptions,
  type RecordedPipeline,
  type RecordedRefusal,
  type RecordedRequest,
  type RecordedRuns,
  type RecordedTime,
  type RecordHead,
  type RecordLine,
  recordFormat,
  recordSecondsMax,
  recordVersion,
} from "./record.js";
export type {
  RerankLine,
  RerankOutcome,
  RerankRequest,
  RerankResponse,
  RerankResult,
} from "./rerank.js";

export {
  type BatchRecord,
  type FinishedRequests,
  type JobStoreReadiness,
  type JobStoreStatus,
  jobStoreStates,
  type LeftOutModel,
  type MachineStatus,
  type ModelReadiness,
  type ModelStatus,
  modelStates,
  type PipelineFault,
  type PipelineKind,
  type PipelineModel,
  type PipelineState,
  type PipelineStatus,
  type PipelineWork,
  pipelineFaults,
  type QueueStatus,
  type ReadyResponse,
  type ServerState,
  type StageTime,
  type StatusResponse,
  serverStates,
  type TenantStatus,
  type WorkUnit,
} from "./status.js";
export {
  type StreamAccepted,
  type StreamCancel,
  type StreamClientMessage,
  type StreamCredit,
  type StreamDone,
  type StreamError,
  type StreamHello,
  type StreamOutcome,
  type StreamPing,
  type StreamPong,
  type StreamRequest,
  type StreamServerMessage,
  streamLimits,
  subprotocols,
} from "./stream.js";
export {
  type ModelTensor,
  type TensorContent,
  type TensorDatatype,
  type TensorElement,
  tensorDatatypes,
  tensorLimits,
} from "./tensors.js";
export type {
  DetokenizeLine,
  DetokenizeOutcome,
  DetokenizeRequest,
  DetokenizeResponse,
  DetokenizeResult,
  TextToken,
  TokenizeLine,
  TokenizeOutcome,
  TokenizeRequest,
  TokenizeResponse,
  TokenizeResult,
} from "./tokenize.js";
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
export type { NodeModelStatus, NodeStatus, NodesResponse } from "./nodes.js";
