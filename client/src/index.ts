export type { CommonOptions, EachOptions, Progress } from "./call.js";
export type {
  Classification,
  ClassifyEachOptions,
  ClassifyFields,
  ClassifyInput,
  ClassifyOptions,
  IndexedClassification,
} from "./classify.js";
export type { CallSummary, SharedSummary, WholeSummary } from "./collect.js";
export type { CuttingOptions, EachSummary, Source } from "./each.js";
export type {
  Embedding,
  Embeddings,
  EmbedEachOptions,
  EmbedFields,
  EmbedInput,
  EmbedOptions,
  IndexedEmbedding,
} from "./embed.js";
export type { ExpectedDeployment } from "./expect.js";
export type { Inference, InferOptions, TensorInput, TensorOutput } from "./infer.js";
export type { JobInput, JobInputs } from "./job-lines.js";
export type {
  ClientJobs,
  JobFollowOptions,
  JobListOptions,
  JobResultsOptions,
  JobSubmitOptions,
} from "./jobs.js";
export {
  type BatchPolicy,
  type CallOptions,
  Millrace,
  type MillraceOptions,
} from "./millrace.js";
export type { IndexedOcr, Ocr, OcrEachOptions, OcrFields, OcrOptions } from "./ocr.js";
export type { Picture, Pictures } from "./pictures.js";
export type { EndProfileOptions, ProfileAsked } from "./profile.js";
export type { TensorValues } from "./raw-tensors.js";
export type { RecordAsked } from "./record.js";
export type {
  IndexedScore,
  RerankEachOptions,
  RerankFields,
  Reranking,
  RerankOptions,
} from "./rerank.js";
export type { RetryPolicy } from "./retry.js";
export type { SharingPolicy } from "./sharing.js";
export type {
  IndexedItem,
  IndexedOutcome,
  TranslateEachOptions,
  TranslateFields,
  TranslateInput,
  TranslateOptions,
  Translation,
  TranslationSummary,
} from "./translate.js";
export type { Fetch } from "./transport.js";
export type { WatchStatusOptions } from "./watch-status.js";
export type { WebSocketClass, WebSocketLike } from "./web-socket.js";
export * from "./wire/index.js";
