/** The embedded API: a server inside your own process, its pipelines in processes of their own. */
import { openBackend } from "./backend.js";
import { createLog, type LogDestination } from "./log.js";
import { resolveConfiguration } from "./options/resolve.js";
import type { Options } from "./options.js";
import { type MillraceServer, startServer } from "./server.js";

export { MillraceError } from "millrace-client/wire";
export type { MillraceServer } from "./server.js";
export type {
  Submit,
  SubmitEvents,
  SubmitOutcome,
  SubmitRequest,
  SubmitSummary,
} from "./submit/submit.js";
export { version } from "./version.js";

/** Any of the options of docs/options.md, by their keys; what is left out has its default. */
export interface CreateServerOptions extends Partial<Options> {
  /** Where log lines go. Default: standard output; `logLevel: "silent"` for none. */
  readonly logDestination?: LogDestination;
}

/**
 * Starts a server and resolves when its first pipeline has answered a warm-up item. Only what is given here counts:
 * no environment variable and no file is read.
 *
 * @throws MillraceError `option_invalid`, `model_folder_invalid` or `not_ready`; nothing is left running then.
 */
export async function createServer(options: CreateServerOptions = {}): Promise<MillraceServer> {
  const { logDestination, ...code } = options;
  const configuration = resolveConfiguration({ code });
  const { log: form, logLevel } = configuration.options;
  const log = createLog({
    log: form,
    logLevel,
    ...(logDestination === undefined ? {} : { destination: logDestination }),
  });
  return await startServer(configuration, { log, openBackend });
}
