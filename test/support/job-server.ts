/** A real server that keeps durable jobs in a folder, with real pipelines on models of the test's own, in silence. */
import { createServer, type MillraceServer } from "#src/index.js";
import type { Options } from "#src/options/options.js";

export function startWithJobs(
  options: Partial<Options> & { readonly data: string },
): Promise<MillraceServer> {
  return createServer({ port: 0, pipelines: 1, threads: 1, logLevel: "silent", ...options });
}
