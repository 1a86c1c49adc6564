/** A real server that keeps durable jobs in a folder, with real pipelines on models of the test's own, in silence. */
import { openBackend } from "#src/backend/local-backend.js";
import { createLog } from "#src/log.js";
import type { Options } from "#src/options/options.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { type MillraceServer, startServer } from "#src/server.js";

export async function startWithJobs(
  options: Partial<Options> & { readonly data: string },
): Promise<MillraceServer> {
  const code = { port: 0, pipelines: 1, threads: 1, trial: "off", logLevel: "silent" } as const;
  const configuration = resolveConfiguration({ code: { ...code, ...options } });
  const log = createLog({ ...configuration.options, destination: { write: () => {} } });
  return await startServer(configuration, { log, openBackend });
}
