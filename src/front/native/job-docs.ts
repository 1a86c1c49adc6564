/** What the description of all routes (OpenAPI) says of those of jobs. */
import { apiLimits, jobLimits, jobStates } from "millrace-client/wire";
import type { RouteDoc } from "../../listen/http/http-front.js";
import {
  countSchema,
  described,
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
import type { FrontParts } from "../front.js";
import { deploymentSchema } from "../own-error.js";

type JobRoute = "create" | "list" | "get" | "remove" | "cancel" | "results" | "events";

const json = "application/json";
const ndjson = "application/x-ndjson";

const jobSchema = titled(
  "Job",
  objectSchema({
    id: textSchema,
    state: described({ enum: jobStates }, "The last four are final."),
    task: nullableTextSchema,
    model: nullableTextSchema,
    tenant: textSchema,
    lines: countSchema,
    succeeded: countSchema,
    failed: countSchema,
    linesPerSecond: nullable(numberSchema),
    expectedEndAt: nullableTextSchema,
    createdAt: described(textSchema, "ISO 8601, as the other times."),
    startedAt: nullableTextSchema,
    endedAt: nullableTextSchema,
    deadlineAt: nullableTextSchema,
    expiresAt: nullableTextSchema,
    metadata: recordSchema(textSchema),
    errors: described(
      listSchema(
        objectSchema(
          { code: textSchema, message: textSchema },
          { line: countSchema, param: textSchema },
        ),
      ),
      "Why it failed as a whole; `line` from 1.",
    ),
  }),
);

const jobReply = titled("JobReply", objectSchema({ job: jobSchema, deployment: deploymentSchema }));

const resultLine = titled("JobResult", {
  description:
    "A line for each line of the input, in their order: `line` from 0, and what the task's route gives for an input, or `error`.",
  anyOf: [
    objectSchema({ line: countSchema }, { error: wireErrorSchema }),
    objectSchema({ error: wireErrorSchema }),
  ],
});

export function jobDocs({
  tasks,
}: Pick<FrontParts, "tasks">): Readonly<Record<JobRoute, RouteDoc>> {
  return {
    create: {
      summary: "Makes a durable job: it is on disk when this answers",
      request: {
        [json]: requestSchema(tasks.map(({ name }) => name)),
        [ndjson]: described(
          {},
          "The first line is the same without `texts`; every other one an input: a text as JSON string, or an object with the fields of a request.",
        ),
      },
      reply: { [json]: jobReply },
      // 200: the `Idempotency-Key` made it before.
      sameBody: [202],
    },
    list: {
      summary: "Durable jobs, the newest first",
      query: {
        limit: {
          schema: { type: "integer", minimum: 1, maximum: jobLimits.pageMax },
          description: "Jobs in the reply. Default: 20.",
        },
        after: { schema: textSchema, description: "`next` of the page before." },
      },
      reply: {
        [json]: titled(
          "JobsReply",
          objectSchema({
            jobs: listSchema(jobSchema),
            next: nullableTextSchema,
            deployment: deploymentSchema,
          }),
        ),
      },
    },
    get: { summary: "How far a job is", reply: { [json]: jobReply } },
    remove: {
      summary: "Cancels a job that has not ended and keeps what is done; removes one that has",
      reply: {
        [json]: titled(
          "JobDeletedReply",
          objectSchema({
            job: jobSchema,
            outcome: { enum: ["cancelled", "removed"] },
            deployment: deploymentSchema,
          }),
        ),
      },
    },
    cancel: { summary: "Ends a job; what is done is kept", reply: { [json]: jobReply } },
    results: {
      summary: "What came of each line, in their order",
      query: {
        from: { schema: countSchema, description: "The first line that is wanted. Default: 0." },
        to: { schema: countSchema, description: "The line before which it ends. Default: none." },
        wait: {
          schema: { type: "boolean" },
          description: "Also what is not done yet, until the job has ended. Default: false.",
        },
      },
      reply: { [ndjson]: resultLine },
    },
    events: {
      summary: "How far a job is, at each change: events `progress`, and `end` at its end",
      reply: { "text/event-stream": textSchema },
    },
  };
}

function requestSchema(names: readonly string[]): JsonObject {
  return titled(
    "JobRequest",
    described(
      objectSchema(
        { task: { enum: names }, texts: listSchema(textSchema, { minItems: 1 }) },
        {
          model: { type: "string", minLength: 1, maxLength: 256 },
          tenant: { type: "string", minLength: 1, maxLength: apiLimits.tenantCharactersMax },
          timeoutMs: described(
            { type: "integer", minimum: 1, maximum: jobLimits.timeoutMsMax },
            "From acceptance; what is done then is kept. Default: none.",
          ),
          metadata: described(
            recordSchema({ type: "string", maxLength: jobLimits.metadataValueCharactersMax }),
            `At most ${jobLimits.metadataPairsMax} texts that come back with the job.`,
          ),
          callback: described(
            { type: "string", maxLength: jobLimits.callbackCharactersMax },
            "Told when the job has ended; only on hosts that the server allows.",
          ),
        },
      ),
      "The task's settings stand beside, for all lines.",
    ),
  );
}

function nullable(schema: JsonObject): JsonObject {
  return { anyOf: [{ type: "null" }, schema] };
}
