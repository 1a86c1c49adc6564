/** The status of a server without pipelines that nobody has asked for anything. */
import type { DeploymentIdentity, ServerState, StatusResponse } from "millrace-client/wire";

const noWait = { count: 0, p50Ms: 0, p99Ms: 0 };

export function emptyStatus(deployment: DeploymentIdentity, state: ServerState): StatusResponse {
  return {
    deployment,
    state,
    uptimeMs: 0,
    policy: "echo",
    pipelines: [],
    models: [],
    queues: [],
    batches: { byReason: {}, recent: [] },
    stages: [],
    requests: { accepted: 0, refused: 0, active: 0, finished: 0, cancelled: 0 },
    items: { accepted: 0, done: 0, failed: 0, cancelled: 0, retried: 0 },
    waits: { realtime: noWait, bulk: noWait },
    process: {
      pid: process.pid,
      rssBytes: 1,
      eventLoopDelayP99Ms: 0,
      connections: 0,
      bodiesBytes: 0,
      repliesBytes: 0,
      queuedBytes: 0,
    },
  };
}
