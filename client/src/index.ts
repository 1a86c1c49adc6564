export type { CommonOptions, Progress } from "./call.js";
export type { CallSummary, SharedSummary, WholeSummary } from "./collect.js";
export type { ExpectedDeployment } from "./expect.js";
export {
  type BatchPolicy,
  type CallOptions,
  Millrace,
  type MillraceOptions,
} from "./millrace.js";
export type { RetryPolicy } from "./retry.js";
export type { SharingPolicy } from "./sharing.js";
export type {
  IndexedItem,
  IndexedOutcome,
  TranslateFields,
  TranslateInput,
  TranslateOptions,
  Translation,
  TranslationSummary,
} from "./translate.js";
export type { Fetch } from "./transport.js";
export * from "./wire/index.js";
