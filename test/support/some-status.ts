/** A status with something of everything in it. */
import type { StatusResponse } from "millrace-client/wire";
import { identity } from "./identity.js";

export function someStatus(): StatusResponse {
  return {
    deployment: identity,
    state: "ready",
    uptimeMs: 1,
    policy: "millrace",
    pipelines: [
      {
        pipelineId: "echo-0",
        kind: "shared",
        state: "ready",
        reason: null,
        code: null,
        lastEnd: { code: "crash", reason: "exited with code 1" },
        pid: 1,
        inStateMs: 1,
        restarts: 2,
        loads: 1,
        models: [{ model: "echo", state: "resident", bytes: 9, loads: 1, idleMs: 0, inFlight: 3 }],
        memoryBytes: 1024,
        cacheBytes: 512,
        doing: null,
        items: { inFlight: 3, done: 4, failed: 5 },
      },
    ],
    models: [
      {
        model: "echo",
        state: "resident",
        reason: null,
        pipelines: ["echo-0"],
        bytes: 9,
        loadMs: 2,
        loads: 1,
        evictions: 0,
        loadFailures: 0,
        recommended: { batchItems: 64, requestsInFlight: 2, realtimeItemsInFlight: null },
      },
    ],
    queues: [
      {
        model: "echo",
        class: "bulk",
        items: 7,
        units: 70,
        bytes: 280,
        requests: 1,
        tenants: 1,
        oldestWaitMs: 1500,
      },
    ],
    batches: { byReason: {}, recent: [] },
    stages: [
      { model: "echo", stage: "decode", runs: 9, rows: 9, units: 9, paddedUnits: 12, ms: 2500 },
    ],
    requests: { accepted: 1, refused: 0, active: 1, finished: 0, cancelled: 0 },
    items: { accepted: 1, done: 0, failed: 0, cancelled: 0, retried: 0 },
    waits: {
      realtime: { count: 0, p50Ms: 0, p99Ms: 0 },
      bulk: { count: 0, p50Ms: 0, p99Ms: 0 },
    },
    process: {
      pid: 1,
      rssBytes: 1,
      eventLoopDelayP99Ms: 3,
      connections: 0,
      bodiesBytes: 0,
      repliesBytes: 0,
      queuedBytes: 11,
    },
  };
}
