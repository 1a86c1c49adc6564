/** A window from a file, or looks from a server of another version: checked to the last figure, so that rules need not. */
import type { LiveSample } from "millrace-client/wire";
import type { DoctorWindow, WholeLook } from "./window.js";

export type ReadResult<Value> =
  | { readonly value: Value }
  /** Where it is none: `before.status.pipelines[2].restarts is no number`. */
  | { readonly problem: string };

export function readWindow(value: unknown): ReadResult<DoctorWindow> {
  const problem = problemOf(value, windowShape, "");
  return problem === null ? { value: value as DoctorWindow } : { problem };
}

export function readLook(value: unknown): ReadResult<WholeLook> {
  const problem = problemOf(value, lookShape, "");
  return problem === null ? { value: value as WholeLook } : { problem };
}

export function readSample(value: unknown): ReadResult<LiveSample> {
  const problem = problemOf(value, sampleShape, "");
  return problem === null ? { value: value as LiveSample } : { problem };
}

/** What a value must be; nothing else of it is looked at. */
type Shape =
  | "number"
  | "string"
  | "text or null"
  | "number or null"
  | "boolean"
  | { readonly list: Shape }
  | { readonly record: Shape }
  | { readonly optional: Shape }
  | { readonly nullable: Shape }
  | { readonly fields: Readonly<Record<string, Shape>> };

function fields(of: Readonly<Record<string, Shape>>): Shape {
  return { fields: of };
}

function numbers<Name extends string>(...names: readonly Name[]): Record<Name, Shape> {
  const all = names.map((name) => [name, "number"]);
  return Object.fromEntries(all) as Record<Name, Shape>;
}

const workShape = {
  optional: {
    list: fields({
      model: "string",
      ...numbers("runs", "rows", "units", "paddedUnits", "ms"),
    }),
  },
} as const;

const doingShape: Shape = {
  nullable: fields({
    model: "string",
    stage: "string",
    ...numbers("rows", "width", "predictedMs", "forMs"),
  }),
};

const pipelineShape = fields({
  pipelineId: "string",
  kind: "string",
  state: "string",
  reason: "text or null",
  code: { optional: "text or null" },
  lastEnd: { optional: { nullable: fields({ code: "string", reason: "string" }) } },
  pid: "number or null",
  ...numbers("restarts", "memoryBytes", "cacheBytes"),
  doing: doingShape,
  work: workShape,
});

const modelShape = fields({
  model: "string",
  state: "string",
  reason: "text or null",
  ...numbers("bytes", "loadMs", "loads", "evictions", "loadFailures"),
  recommended: { nullable: fields(numbers("batchItems", "requestsInFlight")) },
});

const queueShape = fields({
  model: "string",
  class: "string",
  ...numbers("items", "requests", "oldestWaitMs"),
});

const batchShape = fields({ model: "string", ...numbers("items", "agoMs") });

const finishedShape = fields(
  numbers("count", "prepareMs", "queueMs", "computeMs", "totalMs", "p50Ms", "p99Ms"),
);

const itemsShape = fields(numbers("accepted", "done", "failed", "cancelled", "retried"));
const requestsShape = fields({
  ...numbers("accepted", "refused", "active", "finished", "cancelled"),
  alone: { optional: "number" },
});

const statusShape = fields({
  state: "string",
  uptimeMs: "number",
  policy: "string",
  deployment: fields({ name: "string", version: "string", node: "string" }),
  pipelines: { list: pipelineShape },
  models: { list: modelShape },
  queues: { list: queueShape },
  batches: fields({ recent: { list: batchShape } }),
  requests: requestsShape,
  items: itemsShape,
  process: fields({
    ...numbers("pid", "rssBytes", "eventLoopDelayP99Ms", "connections", "queuedBytes"),
    ...numbers("bodiesBytes", "repliesBytes"),
    cpuMs: { optional: "number" },
    eventLoopActiveMs: { optional: "number" },
  }),
  jobs: {
    optional: fields({
      state: "string",
      reason: "text or null",
      open: "number or null",
      ...numbers("runningChunks", "bytes", "bytesMax"),
      commits: { optional: "number" },
      commitMs: { optional: "number" },
    }),
  },
  finished: { optional: fields({ realtime: finishedShape, bulk: finishedShape }) },
  refusals: { optional: { record: "number" } },
  failures: { optional: { record: "number" } },
  tenants: {
    optional: {
      list: fields({
        tenant: "string",
        class: "string",
        ...numbers("requests", "items", "oldestMs"),
      }),
    },
  },
  limits: {
    optional: fields({
      ...numbers("queuedItemsMax", "queuedBytesMax", "modelMemoryBytes", "connectionsMax"),
      realtimeTargetMs: "number",
      bodiesBytesMax: { optional: "number" },
      repliesBytesMax: { optional: "number" },
      rowsMax: { optional: "number" },
      bulkThreshold: { optional: "number" },
    }),
  },
  machine: {
    optional: fields({
      ...numbers("cores", "threads", "memoryBytes", "availableMemoryBytes"),
      lacks: { optional: { list: "string" } },
    }),
  },
});

const nodesShape = fields({
  nats: "string",
  nodes: {
    list: fields({
      node: "string",
      instance: "string",
      role: "string",
      draining: "boolean",
      ...numbers("ageMs", "pipelines", "sentItems"),
      waitMs: fields(numbers("realtime", "bulk")),
    }),
  },
});

const lookShape = fields({
  atMs: "number",
  status: statusShape,
  nodes: { nullable: nodesShape },
});

const classShape = fields(numbers("finished", "p50Ms", "p99Ms", "queuedItems", "oldestWaitMs"));

const sampleShape = fields({
  atMs: "number",
  classes: fields({ realtime: classShape, bulk: classShape }),
  items: itemsShape,
  requests: requestsShape,
  pipelines: {
    list: fields({ pipelineId: "string", state: "string", inFlight: "number" }),
  },
  eventLoopDelayP99Ms: "number",
});

const windowShape = fields({
  before: lookShape,
  after: lookShape,
  samples: { list: sampleShape },
});

function problemOf(value: unknown, shape: Shape, path: string): string | null {
  const at = path === "" ? "it" : path;
  if (typeof shape === "string") return isPlain(value, shape) ? null : `${at} is no ${shape}`;
  if ("optional" in shape)
    return value === undefined ? null : problemOf(value, shape.optional, path);
  if ("nullable" in shape) return value === null ? null : problemOf(value, shape.nullable, path);
  if ("list" in shape) {
    if (!Array.isArray(value)) return `${at} is no list`;
    return firstProblem(value.map((each, index) => [each, shape.list, `${path}[${index}]`]));
  }
  if (!isRecord(value)) return `${at} is no object`;
  const inside = (name: string): string => (path === "" ? name : `${path}.${name}`);
  if ("record" in shape)
    return firstProblem(
      Object.entries(value).map(([name, each]) => [each, shape.record, inside(name)]),
    );
  return firstProblem(
    Object.entries(shape.fields).map(([name, each]) => [
      Object.hasOwn(value, name) ? value[name] : undefined,
      each,
      inside(name),
    ]),
  );
}

function firstProblem(parts: readonly (readonly [unknown, Shape, string])[]): string | null {
  for (const [value, shape, path] of parts) {
    const problem = problemOf(value, shape, path);
    if (problem !== null) return problem;
  }
  return null;
}

function isPlain(value: unknown, shape: Extract<Shape, string>): boolean {
  switch (shape) {
    case "number":
      return Number.isFinite(value);
    case "string":
      return typeof value === "string";
    case "boolean":
      return typeof value === "boolean";
    case "text or null":
      return value === null || typeof value === "string";
    case "number or null":
      return value === null || Number.isFinite(value);
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
