/** A server with durable jobs for the benchmark. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ServerTree } from "../harness/server-tree.js";
import { makeTimedModels } from "../timed/timed-models.js";
import type { JobsSettings, ServeJobs } from "./settings.js";

const bundledModels = fileURLToPath(new URL("../../../models", import.meta.url));

export async function openServeJobs({
  parent,
  factor,
  pipelines,
}: Pick<JobsSettings, "parent" | "factor" | "pipelines">): Promise<ServeJobs> {
  const timedModels = await makeTimedModels(join(parent, "models"));
  return async ({ name, dataDir, workers, port = 0, countsDir, flags = {} }) =>
    await ServerTree.start({
      name,
      script: workers === "real" ? "real" : "timed",
      flags: {
        models: workers === "real" ? bundledModels : timedModels,
        port,
        data: dataDir,
        pipelines,
        threads: 1,
        "cache-dir": join(parent, "cache"),
        ...flags,
      },
      env: {
        TIMED_FACTOR: String(workers === "instant" ? 0 : factor),
        ...(countsDir === undefined ? {} : { TIMED_COUNTS: countsDir }),
      },
    });
}
