/** What a deployment of any size says of itself, second after second: the same each time, and something of everything in it. */
import type {
  Finding,
  JobStatus,
  NodeStatus,
  PipelineStatus,
  QueueStatus,
  StatusResponse,
  WorkClass,
} from "millrace-client/wire";
import type { MadeLook } from "./made-looks.js";
import { someStatus } from "./some-status.js";

export interface DeploymentSize {
  readonly pipelines: number;
  readonly models: number;
  readonly tenants: number;
  readonly nodes: number;
  readonly jobs: number;
  readonly findings: number;
  /** Of models, tenants, nodes and pipelines; gets the kind and the number. */
  readonly nameOf?: (kind: "model" | "tenant" | "node" | "pipeline", at: number) => string;
}

export const largeDeployment: DeploymentSize = {
  pipelines: 64,
  models: 200,
  tenants: 1_000,
  nodes: 100,
  jobs: 10_000,
  findings: 12,
};

export function madeDeployment(size: DeploymentSize): (at: number) => MadeLook {
  const { nameOf = (kind, at) => `${kind}-${at + 1}` } = size;
  const models = listOf(size.models, (at) => nameOf("model", at));
  const jobs = listOf(Math.min(20, size.jobs), jobAt);
  return (at) => ({
    status: statusAt(size, { at, models, nameOf }),
    nodes:
      size.nodes === 0
        ? null
        : { nats: "connected", nodes: listOf(size.nodes, (each) => nodeAt(each, models, nameOf)) },
    findings: listOf(size.findings, findingAt),
    ...(size.jobs > 0 && { jobs }),
  });
}

interface Moment {
  readonly at: number;
  readonly models: readonly string[];
  readonly nameOf: NonNullable<DeploymentSize["nameOf"]>;
}

function statusAt(size: DeploymentSize, { at, models, nameOf }: Moment): StatusResponse {
  const base = someStatus();
  const done = at * 400 * size.pipelines;
  const [pattern] = base.models;
  if (pattern === undefined) throw new Error("some status has a model");
  return {
    ...base,
    state: "degraded",
    uptimeMs: at * 1_000 + 3_600_000,
    pipelines: listOf(size.pipelines, (each) => pipelineAt(each, { at, models, nameOf })),
    models: models.map((model, each) => ({
      ...pattern,
      model,
      unit: each % 3 === 2 ? null : "tokens",
      state: each % 40 === 7 ? "failed" : each < 12 ? "resident" : "on-disk",
      reason: each % 40 === 7 ? "encoder.onnx: the file ends in the middle of a tensor" : null,
      pipelines:
        each < 12 ? listOf(Math.min(4, size.pipelines), (own) => nameOf("pipeline", own)) : [],
      bytes: 50_000_000 + each * 7_000_000,
      loadMs: 400 + each * 13,
    })),
    leftOut:
      size.models > 1 ? [{ dir: "broken-model", reason: "millrace.json: `task` is missing" }] : [],
    queues: models.slice(0, 40).flatMap((model, each) => queuesAt(model, { each, at, size })),
    batches: {
      byReason: { "pipeline-free": 12_000 + at, full: 3_400, window: 120, aged: 12 },
      recent: listOf(Math.min(100, models.length * 100), (each) => ({
        batchId: each,
        pipelineId: nameOf("pipeline", each % Math.max(1, size.pipelines)),
        model: models[each % models.length] ?? "",
        class: "realtime" as const,
        reason: each % 3 === 0 ? "full" : "pipeline-free",
        requests: 3,
        items: 20 + (each % 7),
        units: 400,
        paddedUnits: 460,
        waitedMs: 12,
        agoMs: each * 100,
      })),
    },
    items: { ...base.items, accepted: done, done, failed: at, retried: 3 },
    requests: {
      ...base.requests,
      accepted: done / 8,
      finished: done / 8,
      refused: at * 2,
      active: 48,
    },
    refusals: { queue_full: at * 2 },
    finished: { realtime: finishedAt(at, 40), bulk: finishedAt(at, 900) },
    tenants: (["realtime", "bulk"] as const).flatMap((workClass) =>
      listOf(Math.min(32, size.tenants), (each) => ({
        tenant: nameOf("tenant", each),
        class: workClass,
        requests: 3,
        items: 4_000 - each * 10,
        oldestMs: 2_300 + each,
      })),
    ),
    limits: {
      queuedItemsMax: 1_000_000,
      queuedBytesMax: 512 * 1024 ** 2,
      modelMemoryBytes: 16 * 1024 ** 3,
      connectionsMax: 1_000,
      realtimeTargetMs: 100,
    },
    process: { ...base.process, rssBytes: 400_000_000, connections: 912, queuedBytes: 400_000_000 },
    jobs: {
      state: size.jobs === 0 ? "off" : "ok",
      reason: null,
      open: size.jobs,
      runningChunks: 8,
      bytes: 3_000_000_000,
      bytesMax: 10_000_000_000,
    },
  };
}

function pipelineAt(each: number, { at, models, nameOf }: Moment): PipelineStatus {
  const [pattern] = someStatus().pipelines;
  if (pattern === undefined) throw new Error("some status has a pipeline");
  const isDown = each % 20 === 19;
  const own =
    models.length === 0 ? [] : listOf(3, (of) => models[(each + of) % models.length] ?? "");
  return {
    ...pattern,
    pipelineId: nameOf("pipeline", each),
    state: isDown ? "backing-off" : "ready",
    reason: isDown ? "killed by the kernel, which was out of memory" : null,
    code: isDown ? "memory" : null,
    restarts: isDown ? 2 : 0,
    memoryBytes: 700_000_000,
    doing:
      isDown || own[0] === undefined
        ? null
        : { model: own[0], stage: "decode", rows: 64, width: 24, predictedMs: 12, forMs: 4 },
    work: own.map((model, of) => ({
      model,
      // Each second another share of it.
      runs: isDown ? 7 : at * 40,
      rows: isDown ? 70 : at * 40 * 24,
      units: isDown ? 700 : at * 40 * 240,
      paddedUnits: isDown ? 900 : at * 40 * 280,
      ms: isDown ? 9 : at * (90 + of * 100) + 60 * Math.sin(at / 5 + each + of),
    })),
  };
}

function queuesAt(
  model: string,
  { each, at, size }: { readonly each: number; readonly at: number; readonly size: DeploymentSize },
): QueueStatus[] {
  return (["realtime", "bulk"] as const).map((workClass: WorkClass) => ({
    model,
    class: workClass,
    items: 3_000 - each * 20 + (at % 50),
    units: 70_000,
    bytes: 280_000,
    requests: 40,
    tenants: size.tenants,
    oldestWaitMs: 1_500 + each * 10,
  }));
}

function finishedAt(at: number, ms: number): NonNullable<StatusResponse["finished"]>["bulk"] {
  const count = at * 50;
  const p50Ms = ms + 10 * Math.sin(at / 7);
  return {
    count,
    prepareMs: count * 2,
    queueMs: count * ms * 0.4,
    computeMs: count * ms * 0.5,
    totalMs: count * ms,
    p50Ms,
    p99Ms: p50Ms * 3,
  };
}

function nodeAt(each: number, models: readonly string[], nameOf: Moment["nameOf"]): NodeStatus {
  return {
    node: nameOf("node", each),
    instance: `instance-${each}`,
    role: each % 10 === 0 ? "edge" : "node",
    version: "0.3.0",
    configHash: "abc",
    state: each % 30 === 29 ? "unknown" : "ready",
    draining: each % 30 === 14,
    ageMs: each % 30 === 29 ? 12_000 : 400,
    pipelines: 4,
    waitMs: { realtime: 12 + each, bulk: 900 },
    sentItems: each * 3,
    models: models.slice(0, 5).map((model) => ({ model, ready: true, state: "resident" })),
  };
}

function findingAt(each: number): Finding {
  return {
    code: `made-${each}`,
    severity: each < 2 ? "problem" : "notice",
    title: `Something of the number ${each + 1} holds work up.`,
    evidence: [`${each + 3} of 4 pipelines are busy 98% of the time`, "items wait 2,300 ms"],
    change: "Give it more pipelines: `--pipelines 6`.",
    expect: "Items wait a third of that, and 40% more are done.",
  };
}

function jobAt(each: number): JobStatus {
  const isDone = each > 3;
  return {
    id: `job_${String(each).padStart(4, "0")}abcdef`,
    state: isDone ? (each % 5 === 4 ? "failed" : "completed") : "in_progress",
    task: "translate",
    model: "model-1",
    tenant: "nightly",
    lines: 1_000_000,
    succeeded: isDone ? 1_000_000 : 420_000,
    failed: each,
    linesPerSecond: isDone ? null : 1_240,
    expectedEndAt: isDone ? null : new Date(Date.now() + 460_000).toISOString(),
    createdAt: new Date(Date.now() - 900_000).toISOString(),
    startedAt: new Date(Date.now() - 890_000).toISOString(),
    endedAt: isDone ? new Date(Date.now() - each * 60_000).toISOString() : null,
    deadlineAt: null,
    expiresAt: null,
    metadata: {},
    errors: [],
  };
}

function listOf<Item>(count: number, of: (at: number) => Item): Item[] {
  return Array.from({ length: count }, (_, at) => of(at));
}
