/** The native messages as JSON Schema, for the description of the routes; client/src/wire defines them, and a test holds live replies to these. */
import {
  apiLimits,
  jobStoreStates,
  modelStates,
  pipelineFaults,
  serverStates,
  tensorDatatypes,
  workClasses,
} from "millrace-client/wire";
import type { Options } from "../../options/options.js";
import {
  countSchema,
  described,
  flagSchema,
  listSchema,
  nullableTextSchema,
  numberSchema,
  objectSchema,
  recordSchema,
  textSchema,
  titled,
  wireErrorSchema,
} from "../../work/json-schema.js";
import type { JsonObject } from "../../work/payload.js";
import type { FrontTask } from "../front.js";
import { listedModelSchema } from "../listed-model.js";
import { deploymentSchema } from "../own-error.js";

const workClass = { enum: workClasses };
const modelState = { enum: modelStates };
const serverState = { enum: serverStates };
const pipelineState = {
  enum: ["starting", "ready", "suspect", "backing-off", "stopping", "stopped"],
};

const summary = {
  id: textSchema,
  model: textSchema,
  class: workClass,
  timings: titled(
    "Timings",
    objectSchema({
      prepareMs: numberSchema,
      queueMs: numberSchema,
      computeMs: numberSchema,
      totalMs: numberSchema,
    }),
  ),
  pipelines: described(recordSchema(countSchema), "Items that each pipeline ran."),
  deployment: deploymentSchema,
};

/** The fields that every task has, as read-question.ts reads them. */
function commonFieldsSchema({
  requestTimeoutMsMax,
}: Pick<Options, "requestTimeoutMsMax">): Readonly<Record<string, JsonObject>> {
  return {
    model: described(
      { type: "string", minLength: 1, maxLength: 256 },
      "Needed only where more than one is served for the task.",
    ),
    class: described(workClass, "Default: by size."),
    timeoutMs: { type: "integer", minimum: 1, maximum: requestTimeoutMsMax },
    tenant: { type: "string", minLength: 1, maxLength: apiLimits.tenantCharactersMax },
  };
}

export function taskRequestSchema(
  { schema, name }: FrontTask & { readonly schema: object },
  options: Options,
): JsonObject {
  return titled(`${pascal(name)}Request`, {
    ...objectSchema({}, { ...schema.fields, ...commonFieldsSchema(options) }),
    required: schema.required,
    ...(schema.oneOf === undefined
      ? {}
      : { oneOf: schema.oneOf.map((field) => ({ required: [field] })) }),
    additionalProperties: false,
    examples: [schema.example],
  });
}

export function taskReplySchema({
  schema,
  name,
}: FrontTask & { readonly schema: object }): JsonObject {
  const outcome = outcomeSchema(name, schema.result);
  return titled(
    `${pascal(name)}Response`,
    objectSchema({ ...summary, results: listSchema(outcome) }),
  );
}

/** One line of many. */
export function taskLineSchema({
  schema,
  name,
}: FrontTask & { readonly schema: object }): JsonObject {
  const { result } = schema;
  const done = objectSchema({ done: titled("Summary", objectSchema(summary)) });
  const failed = objectSchema({ error: wireErrorSchema }, { index: countSchema });
  return titled(`${pascal(name)}Line`, {
    description:
      "A line for each input as it is ready, with its `index`, and `done` at the end; or an `error`. Empty lines say nothing.",
    anyOf: [withIndex(result), failed, done],
  });
}

function outcomeSchema(name: string, result: JsonObject): JsonObject {
  return {
    anyOf: [titled(`${pascal(name)}Result`, result), objectSchema({ error: wireErrorSchema })],
  };
}

function withIndex(result: JsonObject): JsonObject {
  const { required, properties } = result as {
    readonly required: readonly string[];
    readonly properties: JsonObject;
  };
  return {
    ...result,
    required: ["index", ...required],
    properties: { index: countSchema, ...properties },
  };
}

function pascal(name: string): string {
  return name.slice(0, 1).toUpperCase() + name.slice(1);
}

const tensor = objectSchema({
  name: textSchema,
  datatype: { enum: tensorDatatypes },
  shape: listSchema({ type: "integer", minimum: -1 }),
});

const modelSchema = titled(
  "Model",
  objectSchema(
    {
      name: textSchema,
      task: textSchema,
      family: textSchema,
      precision: textSchema,
      ready: flagSchema,
      state: modelState,
      pipelines: listSchema(textSchema),
      reason: nullableTextSchema,
      limits: objectSchema(
        {},
        { inputTokensMax: countSchema, outputTokensMax: countSchema, rowsMax: countSchema },
      ),
    },
    {
      sourceLanguage: textSchema,
      targetLanguage: textSchema,
      inputs: listSchema(tensor),
      outputs: listSchema(tensor),
      embedding: objectSchema({ pooling: textSchema, width: countSchema, normalize: flagSchema }),
      labels: listSchema(textSchema),
    },
  ),
);

export const modelsSchema: JsonObject = titled(
  "ModelsResponse",
  objectSchema({
    object: { const: "list" },
    data: described(listSchema(listedModelSchema), "For OpenAI's clients."),
    models: listSchema(modelSchema),
    deployment: deploymentSchema,
  }),
);

export const reloadSchema: JsonObject = objectSchema({
  added: listSchema(textSchema),
  changed: listSchema(textSchema),
  removed: listSchema(textSchema),
  broken: listSchema(objectSchema({ dir: textSchema, reason: textSchema })),
  missing: listSchema(textSchema),
});

const profileTimesSchema = { start: numberSchema, stop: numberSchema };

export const profileSchema: JsonObject = objectSchema({
  of: textSchema,
  askedMs: numberSchema,
  sampledMs: numberSchema,
  everyMs: numberSchema,
  stoodStillMs: objectSchema(profileTimesSchema),
  nodes: listSchema(
    objectSchema({
      parent: { type: "integer", minimum: -1 },
      name: textSchema,
      file: textSchema,
      line: countSchema,
      kind: textSchema,
      selfMs: numberSchema,
    }),
  ),
  graphs: listSchema(
    objectSchema({
      graph: textSchema,
      runs: countSchema,
      watchedRuns: countSchema,
      ms: numberSchema,
      watchingMs: numberSchema,
      operators: listSchema(
        objectSchema({ operator: textSchema, calls: numberSchema, ms: numberSchema }),
      ),
      problem: nullableTextSchema,
    }),
  ),
  stages: listSchema(
    objectSchema({
      model: textSchema,
      stage: textSchema,
      runs: countSchema,
      rows: countSchema,
      ms: numberSchema,
    }),
  ),
});

export const liveSchema: JsonObject = objectSchema({
  live: { const: true },
  deployment: deploymentSchema,
});

const nullableFault: JsonObject = { enum: [...pipelineFaults, null] };

const jobStoreReadiness = { state: { enum: jobStoreStates }, reason: nullableTextSchema };

export const readySchema: JsonObject = objectSchema({
  ready: flagSchema,
  state: serverState,
  models: listSchema(
    objectSchema({ model: textSchema, ready: flagSchema, reason: nullableTextSchema }),
  ),
  notReady: listSchema(
    objectSchema({
      pipelineId: textSchema,
      state: pipelineState,
      reason: nullableTextSchema,
      code: nullableFault,
    }),
  ),
  jobs: described(
    objectSchema(jobStoreReadiness),
    "Durable jobs; they say nothing of `ready`, because all else is served without them.",
  ),
  deployment: deploymentSchema,
});

const runsSchema = {
  runs: countSchema,
  rows: countSchema,
  units: numberSchema,
  paddedUnits: numberSchema,
  ms: numberSchema,
};

const pipelineSchema = objectSchema({
  pipelineId: textSchema,
  kind: { enum: ["realtime", "bulk", "shared"] },
  state: pipelineState,
  reason: nullableTextSchema,
  code: nullableFault,
  lastEnd: {
    anyOf: [{ type: "null" }, objectSchema({ code: { enum: pipelineFaults }, reason: textSchema })],
  },
  pid: { type: ["integer", "null"] },
  inStateMs: numberSchema,
  restarts: countSchema,
  loads: countSchema,
  models: listSchema(
    objectSchema({
      model: textSchema,
      state: { enum: ["loading", "resident", "leaving"] },
      bytes: numberSchema,
      loads: countSchema,
      idleMs: numberSchema,
      inFlight: countSchema,
    }),
  ),
  memoryBytes: countSchema,
  cacheBytes: countSchema,
  doing: {
    anyOf: [
      { type: "null" },
      objectSchema({
        model: textSchema,
        stage: textSchema,
        rows: countSchema,
        width: countSchema,
        predictedMs: numberSchema,
        forMs: numberSchema,
      }),
    ],
  },
  items: objectSchema({ inFlight: countSchema, done: countSchema, failed: countSchema }),
  work: listSchema(objectSchema({ model: textSchema, ...runsSchema })),
});

const modelStatusSchema = objectSchema({
  model: textSchema,
  state: modelState,
  reason: nullableTextSchema,
  pipelines: listSchema(textSchema),
  bytes: numberSchema,
  loadMs: numberSchema,
  loads: countSchema,
  evictions: countSchema,
  loadFailures: countSchema,
  unit: { enum: ["tokens", null] },
  recommended: {
    anyOf: [
      { type: "null" },
      objectSchema({
        batchItems: countSchema,
        requestsInFlight: countSchema,
        realtimeItemsInFlight: { anyOf: [{ type: "null" }, countSchema] },
      }),
    ],
  },
});

const queueSchema = objectSchema({
  model: textSchema,
  class: workClass,
  items: countSchema,
  units: numberSchema,
  bytes: countSchema,
  requests: countSchema,
  tenants: countSchema,
  oldestWaitMs: numberSchema,
});

const batchSchema = objectSchema({
  batchId: countSchema,
  pipelineId: textSchema,
  model: textSchema,
  class: workClass,
  reason: textSchema,
  requests: countSchema,
  items: countSchema,
  units: numberSchema,
  paddedUnits: numberSchema,
  waitedMs: numberSchema,
  agoMs: numberSchema,
});

const stageSchema = objectSchema({ model: textSchema, stage: textSchema, ...runsSchema });

const finishedSchema = objectSchema({
  count: countSchema,
  ...Object.fromEntries(
    ["prepareMs", "queueMs", "computeMs", "totalMs", "p50Ms", "p99Ms"].map((name) => [
      name,
      numberSchema,
    ]),
  ),
});

const tenantSchema = objectSchema({
  tenant: textSchema,
  class: workClass,
  requests: countSchema,
  items: countSchema,
  oldestMs: numberSchema,
});

const waitsSchema = objectSchema({ count: countSchema, p50Ms: numberSchema, p99Ms: numberSchema });

const shownLimits = [
  "queuedItemsMax",
  "queuedBytesMax",
  "modelMemoryBytes",
  "connectionsMax",
  "realtimeTargetMs",
  "bodiesBytesMax",
  "repliesBytesMax",
  "bulkThreshold",
];

function countsSchema(...names: readonly string[]): JsonObject {
  return objectSchema(Object.fromEntries(names.map((name) => [name, countSchema])));
}

const requestsSchema = objectSchema(
  {
    accepted: countSchema,
    refused: countSchema,
    active: countSchema,
    finished: countSchema,
    cancelled: countSchema,
  },
  { alone: countSchema },
);

export const statusSchema: JsonObject = titled(
  "StatusResponse",
  objectSchema({
    deployment: deploymentSchema,
    state: serverState,
    uptimeMs: numberSchema,
    policy: textSchema,
    pipelines: listSchema(pipelineSchema),
    models: listSchema(modelStatusSchema),
    leftOut: listSchema(objectSchema({ dir: textSchema, reason: textSchema })),
    queues: listSchema(queueSchema),
    batches: objectSchema({ byReason: recordSchema(countSchema), recent: listSchema(batchSchema) }),
    stages: listSchema(stageSchema),
    requests: requestsSchema,
    items: countsSchema("accepted", "done", "failed", "cancelled", "retried"),
    waits: objectSchema({ realtime: waitsSchema, bulk: waitsSchema }),
    process: objectSchema({
      ...Object.fromEntries(
        ["pid", "rssBytes", "connections", "queuedBytes", "bodiesBytes", "repliesBytes"].map(
          (name) => [name, countSchema],
        ),
      ),
      eventLoopDelayP99Ms: numberSchema,
      eventLoopActiveMs: numberSchema,
      cpuMs: numberSchema,
    }),
    jobs: objectSchema({
      ...jobStoreReadiness,
      open: { type: ["integer", "null"], minimum: 0 },
      runningChunks: countSchema,
      bytes: countSchema,
      bytesMax: countSchema,
      commits: countSchema,
      commitMs: numberSchema,
    }),
    finished: objectSchema({ realtime: finishedSchema, bulk: finishedSchema }),
    refusals: recordSchema(countSchema),
    failures: recordSchema(countSchema),
    tenants: listSchema(tenantSchema),
    limits: objectSchema(Object.fromEntries(shownLimits.map((name) => [name, countSchema])), {
      rowsMax: countSchema,
    }),
    machine: objectSchema({
      ...Object.fromEntries(
        ["cores", "threads", "memoryBytes", "availableMemoryBytes"].map((name) => [
          name,
          countSchema,
        ]),
      ),
      lacks: listSchema(textSchema),
    }),
  }),
);

const nodeSchema = titled(
  "NodeStatus",
  objectSchema({
    node: textSchema,
    instance: textSchema,
    role: { enum: ["both", "edge", "node"] },
    version: textSchema,
    configHash: textSchema,
    state: { enum: [...serverState.enum, "unknown"] },
    draining: flagSchema,
    ageMs: countSchema,
    pipelines: countSchema,
    waitMs: objectSchema({ realtime: countSchema, bulk: countSchema }),
    sentItems: countSchema,
    models: listSchema(objectSchema({ model: textSchema, ready: flagSchema, state: textSchema })),
  }),
);

export const nodesSchema: JsonObject = titled(
  "NodesResponse",
  objectSchema({
    nats: { enum: ["connected", "connecting", "away", "closed"] },
    nodes: listSchema(nodeSchema),
    deployment: deploymentSchema,
  }),
);
