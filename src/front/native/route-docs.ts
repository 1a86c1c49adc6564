/** What the description of all routes (OpenAPI) says of the native ones. */
import { profileSecondsDefault, profileSecondsMax, recordSecondsMax } from "millrace-client/wire";
import type { RouteDoc } from "../../listen/http/http-front.js";
import type { Options } from "../../options/options.js";
import { objectSchema, textSchema } from "../../work/json-schema.js";
import type { JsonObject } from "../../work/payload.js";
import type { FrontTask } from "../front.js";
import {
  liveSchema,
  modelsSchema,
  nodesSchema,
  profileSchema,
  readySchema,
  reloadSchema,
  statusSchema,
  taskLineSchema,
  taskReplySchema,
  taskRequestSchema,
} from "./schemas.js";

const json = "application/json";
const object = { type: "object" };

export const openMetricsType = "application/openmetrics-text";

type NativeRoute =
  | "models"
  | "reload"
  | "live"
  | "ready"
  | "status"
  | "statusEvents"
  | "nodes"
  | "metrics"
  | "profile"
  | "endProfile"
  | "record"
  | "openApi";

export const nativeDocs: Readonly<Record<NativeRoute, RouteDoc>> = {
  models: reply("What is served, for Millrace's clients and for OpenAI's", modelsSchema),
  reload: reply("Reads the folder of models again", reloadSchema),
  live: reply("Whether the server answers", liveSchema),
  // 503 says in the same words what is missing.
  ready: { ...reply("Whether work is taken, and what is missing", readySchema), sameBody: [503] },
  status: reply("What the server is doing, from memory", statusSchema),
  statusEvents: {
    summary:
      "What the server does, as server-sent events: `history` once, then `status` each second",
    query: {
      looks: {
        schema: { type: "integer", minimum: 1, maximum: 1_000_000 },
        description: "So many, and then the end. Default: for ever.",
      },
    },
    reply: { "text/event-stream": {} },
  },
  nodes: reply("The servers of the deployment, as each said last", nodesSchema),
  profile: {
    ...reply(
      "What the server's thread or a pipeline does, sampled for some seconds",
      profileSchema,
    ),
    query: {
      of: { schema: textSchema, description: "`front`, the server itself, or a pipeline." },
      seconds: {
        schema: { type: "integer", minimum: 1, maximum: profileSecondsMax },
        description: `Default: ${profileSecondsDefault}.`,
      },
      operators: {
        schema: { type: "boolean" },
        description: "Of a pipeline: the operators that ONNX Runtime runs, too. Default: false.",
      },
      id: { schema: textSchema, description: "By which DELETE ends this one, and no other." },
    },
  },
  endProfile: {
    ...reply(
      "Ends a profile: whoever waits for it gets what was seen so far",
      objectSchema({ ended: { type: "boolean" } }),
    ),
    query: {
      id: { schema: textSchema, description: "Its id; without one whichever is taken ends." },
    },
  },
  record: {
    summary:
      "What arrives, a JSON object a line: the server as it is, then sizes, times and ends of requests, and what was run; no texts",
    query: {
      seconds: {
        schema: { type: "integer", minimum: 1, maximum: recordSecondsMax },
        description: "Default: 60.",
      },
    },
    reply: { "application/x-ndjson": {} },
  },
  metrics: {
    summary: "Metrics, as Prometheus reads them; with exemplars where OpenMetrics is accepted",
    reply: { "text/plain": {}, [openMetricsType]: {} },
  },
  openApi: reply(
    "This description",
    objectSchema({ openapi: textSchema, info: object, paths: object }),
  ),
};

/** Undefined where the task says nothing of its messages. */
export function taskDoc(task: FrontTask, options: Options): RouteDoc | undefined {
  const { schema, files, rows, name } = task;
  if (schema === undefined) return undefined;
  const told = { ...task, schema };
  const fileBodies = files === undefined ? [] : [...files.mediaTypes, "multipart/form-data"];
  return {
    summary: `The task ${name}`,
    request: {
      [json]: taskRequestSchema(told, options),
      ...Object.fromEntries(fileBodies.map((type): [string, JsonObject] => [type, {}])),
    },
    reply: {
      [json]: taskReplySchema(told),
      "application/x-ndjson": taskLineSchema(told),
      ...(rows === undefined ? {} : { "application/octet-stream": {} }),
    },
  };
}

function reply(summary: string, schema: JsonObject): RouteDoc {
  return { summary, reply: { [json]: schema } };
}
