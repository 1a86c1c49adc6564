export type { BatchPolicy } from "./batcher.js";
export type { ExpectedDeployment } from "./expect.js";
export {
  type CallOptions,
  Millrace,
  type MillraceOptions,
  type Progress,
  type TranslateInput,
  type TranslateOptions,
  type Translation,
} from "./millrace.js";
export type { TranslationSummary } from "./reply.js";
export type { RetryPolicy } from "./retry.js";
export type { IndexedItem, TranslateFields } from "./translation.js";
export type { Fetch } from "./transport.js";
export * from "./wire/index.js";
