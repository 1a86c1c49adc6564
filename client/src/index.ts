export type { CommonOptions, EachOptions, Progress } from "./call.js";
export type { CallSummary, SharedSummary, WholeSummary } from "./collect.js";
export type { CuttingOptions, EachSummary, Source } from "./each.js";
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
  TranslateEachOptions,
  TranslateFields,
  TranslateInput,
  TranslateOptions,
  Translation,
  TranslationSummary,
} from "./translate.js";
export type { Fetch } from "./transport.js";
export * from "./wire/index.js";
