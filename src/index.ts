/** The embedded API: a server inside your own process, its pipelines in processes of their own. */
import { openBackend } from "./backend/local-backend.js";
import { createLog } from "./log.js";
import { type LogDestination, LogOutput, standardOutput } from "./log-output.js";
import type { FormerOptions, Options } from "./options/options.js";
import { resolveConfiguration } from "./options/resolve.js";
import { type MillraceServer, startServer } from "./server.js";
import { withTrial } from "./trial/trial.js";

export { Millrace, type MillraceOptions } from "millrace-client";
export {
  type DeploymentIdentity,
  type ErrorCode,
  MillraceError,
  type ModelInfo,
  type ModelsReload,
  type ModelTensor,
  type NodeModelStatus,
  type NodeStatus,
  type NodesResponse,
  type ReadyResponse,
  type RequestTimings,
  type StatusResponse,
  type TensorDatatype,
  type TranslateOutcome,
  type WireError,
  type WorkClass,
} from "millrace-client/wire";
export type { LogDestination } from "./log-output.js";
export { EmbeddedMillrace, type OpenOptions, type OptionOfPorts, open } from "./open.js";
export type { AccessOptions } from "./options/access-options.js";
export type { BertOptions, BertPoolingStrategy } from "./options/bert-options.js";
export type { EctransformerOptions } from "./options/ectransformer-options.js";
export type { GrpcOptions } from "./options/grpc-options.js";
export type { JobsOptions } from "./options/jobs-options.js";
export type { NatsOptions } from "./options/nats-options.js";
export type { BaseOptions, FormerOptions, Options } from "./options/options.js";
export type { TeiOptions } from "./options/tei-options.js";
export type { TracingOptions } from "./options/tracing-options.js";
export type { ZmqOptions } from "./options/zmq-options.js";
export type { PolicyName } from "./scheduler/policy.js";
export type { MillraceServer } from "./server.js";
export type {
  InputOutcome,
  Submit,
  SubmitEvents,
  SubmitOutcome,
  SubmitRequest,
  SubmitSummary,
} from "./submit/submit.js";
export { version } from "./version.js";
export type {
  JsonObject,
  JsonValue,
  Payload,
  Tensor,
  TensorArrays,
  TensorData,
  TensorType,
} from "./work/payload.js";
export type { TaskForm, TaskSchema, TensorView } from "./work/task-form.js";
export { type NamedTensor, NamedTensors, tensorsOf } from "./work/tensors.js";
export type { TraceContext } from "./work/trace-context.js";
export type { SpanAttributes, SpanEnd, SpanStart, TraceSpan } from "./work/trace-span.js";
export type { ModelStatistics, ServerViews, TimedCount } from "./work/views.js";

/** Any of the options of docs/options.md, by their keys; what is left out has its default. */
export interface CreateServerOptions extends Partial<Options>, Partial<FormerOptions> {
  /** Where log lines go. Default: standard output; `logLevel: "silent"` for none. */
  readonly logDestination?: LogDestination;
  /** Ends a start that is under way; `createServer` then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Starts a server and resolves when its first pipeline has answered a warm-up item. Only what is given here counts:
 * no environment variable and no file is read. How many pipelines are fastest is measured only with `trial: "auto"`.
 *
 * @throws MillraceError `option_invalid`, `model_folder_invalid` or `not_ready`, the error of `listen`, or the reason
 * of `signal`; nothing is left running then.
 */
export async function createServer(options: CreateServerOptions = {}): Promise<MillraceServer> {
  const { logDestination, signal, ...code } = options;
  const given = resolveConfiguration({ code: { trial: "off", ...code } });
  const { log: form, logLevel, logBacklogBytesMax } = given.options;
  const destination = logDestination ?? standardOutput(logBacklogBytesMax);
  const log = createLog({ log: form, logLevel, destination });
  const aborting = signal === undefined ? {} : { signal };
  const configuration = await withTrial(given, { log, ...aborting });
  return await startServer(configuration, {
    log,
    openBackend,
    ...(destination instanceof LogOutput ? { logOutput: destination } : {}),
    ...aborting,
  });
}
