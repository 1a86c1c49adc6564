/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `open`: models inside your own process, without a server and without a port. The methods are the client's, and so is the code:
 *
 *   EmbeddedMillrace (the client) ─► fetch of this process ─► the fronts ─► queue ═► worker processes
 */
import { Millrace, MillraceError, type MillraceOptions } from "millrace-client";
import { openBackend } from "./backend/local-backend.js";
import { createLog } from "./log.js";
import { type LogDestination, LogOutput } from "./log-output.js";
import type { JobsOptions } from "./options/jobs-options.js";
import type { BaseOptions } from "./options/options.js";
import { resolveConfiguration } from "./options/resolve.js";
import { type MillraceServer, startServer } from "./server.js";
import { withTrial } from "./trial/trial.js";

/** Options of ports, sockets and protocols, which say nothing where there are none. */
export const optionsOfPorts = [
  "fronts",
  "host",
  "port",
  "connectionsMax",
  "headersTimeoutMs",
  "bodyTimeoutMs",
  "replyTimeoutMs",
  "keepAliveMs",
  "bodiesBytesMax",
  "repliesBytesMax",
] as const;

export type OptionOfPorts = (typeof optionsOfPorts)[number];

/** Options of docs/options.md, by their keys; what is left out has its default. */
export interface OpenOptions
  extends Partial<Omit<BaseOptions, OptionOfPorts>>,
    Partial<JobsOptions>,
    Pick<MillraceOptions, "expect" | "retry" | "sharing" | "tenant"> {
  /** Where log lines go. Default: standard error, from `logLevel` "warn" on. */
  readonly logDestination?: LogDestination;
  /** Ends an opening that is under way; `open` then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Starts worker processes and resolves when the first one is ready. The process that calls it never computes: its event loop
 * stays free. Only what is given here counts: no environment variable and no file is read. The workers end when it is
 * disposed of, and with the process, however that ends; until then they keep it alive.
 *
 * ```ts
 * await using millrace = await open();
 * const { results } = await millrace.translate("Good morning.");
 * ```
 *
 * @throws MillraceError `option_invalid`, `model_folder_invalid` or `not_ready`, or the reason of `signal`; nothing is left
 * running then.
 */
export async function open(options: OpenOptions = {}): Promise<EmbeddedMillrace> {
  const { expect, retry, sharing, tenant, logDestination, signal, ...given } = options;
  for (const key of optionsOfPorts) {
    if (!(key in given)) continue;
    throw new MillraceError("option_invalid", `${key}: \`open\` takes no port; see createServer`);
  }
  const own = { fronts: "native,inference-v2", trial: "off", logLevel: "warn" };
  const resolved = resolveConfiguration({ code: { ...own, ...given } });
  const { log: form, logLevel, logBacklogBytesMax: bytesMax, bulkThreshold } = resolved.options;
  const destination = logDestination ?? new LogOutput({ stream: process.stderr, bytesMax });
  const log = createLog({ log: form, logLevel, destination });
  const aborting = signal === undefined ? {} : { signal };
  const configuration = await withTrial(resolved, { log, ...aborting });
  const parts = { log, openBackend, isWithoutPorts: true, ...aborting };
  const server = await startServer(configuration, parts);
  const client: MillraceOptions = {
    bulkThreshold,
    ...(expect && { expect }),
    ...(retry && { retry }),
    ...(sharing !== undefined && { sharing }),
    ...(tenant !== undefined && { tenant }),
  };
  try {
    return new EmbeddedMillrace(server, client);
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** What `open` gives. */
export class EmbeddedMillrace extends Millrace {
  readonly #server: MillraceServer;

  /** Owns the server from now on. */
  constructor(server: MillraceServer, options: MillraceOptions) {
    super(server.url, { ...options, fetch: server.fetch });
    this.#server = server;
  }

  /** Aborts whatever is pending, with `cancelled`; resolves when every worker process is gone. A second call waits for the same. */
  // oxlint-disable-next-line typescript/no-misused-promises -- a client has nothing to wait for; what closes both may wait here.
  override async close(): Promise<void> {
    super.close();
    await this.#server.close();
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
