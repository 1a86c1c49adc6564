/** `/v1/batches`: a file of requests that are run when there is room, as OpenAI's clients ask for it. */
import type { JobState } from "millrace-client/wire";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import type { Jobs } from "../../jobs/jobs.js";
import type { PageQuery, StoredJob } from "../../jobs/store.js";
import type { Exchange, Route, RouteDoc } from "../../listen/http/http-front.js";
import { durationMs } from "../../options/duration.js";
import { refuseWhileDraining } from "../../work/draining.js";
import {
  countSchema,
  listSchema,
  nullableTextSchema,
  objectSchema,
  recordSchema,
  textSchema,
  titled,
} from "../../work/json-schema.js";
import type { JsonObject } from "../../work/payload.js";
import type { FrontParts } from "../front.js";
import { schemaOf, withJson } from "../json-body.js";
import { badParam, jobsOf, keptMsOf, named, replyJson, seconds } from "./files.js";
import { type Listed, type PageAsked, pageJson, pageQuery, pageSchema, readPage } from "./page.js";

const metadataMax = { pairs: 16, keyCharacters: 64, valueCharacters: 512 };
const windowMs = { min: 1_000, max: 30 * 86_400_000 };
const pages = { usual: 20, most: 100 };
const keyCharactersMax = 255;

const creation = z.strictObject({
  input_file_id: z.string().min(1).max(256),
  endpoint: z.string().min(1).max(256).meta({
    description: "`/v1/embeddings`, or the route of a task: `/v1/<task>`.",
  }),
  completion_window: z.string().min(1).max(32).meta({
    description: "`24h`, or any other time such as `90s`, `45m`, `7d`.",
  }),
  metadata: z.record(z.string(), z.string()).nullish(),
  output_expires_after: z
    .strictObject({ anchor: z.literal("created_at"), seconds: z.int() })
    .nullish(),
});

/** Whoever waits for room is at work as they see it. */
const statuses: Readonly<Record<JobState, Exclude<JobState, "queued">>> = {
  validating: "validating",
  queued: "in_progress",
  in_progress: "in_progress",
  finalizing: "finalizing",
  cancelling: "cancelling",
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
  expired: "expired",
};

const time = { type: ["integer", "null"] } as const;

const batchSchema: JsonObject = titled(
  "OpenAIBatch",
  objectSchema({
    id: textSchema,
    object: { const: "batch" },
    endpoint: textSchema,
    errors: {
      anyOf: [
        { type: "null" },
        objectSchema({
          object: { const: "list" },
          data: listSchema(
            objectSchema({
              code: textSchema,
              message: textSchema,
              param: nullableTextSchema,
              line: { type: ["integer", "null"] },
            }),
          ),
        }),
      ],
    },
    input_file_id: textSchema,
    completion_window: textSchema,
    status: {
      enum: [...new Set(Object.values(statuses))],
    },
    output_file_id: nullableTextSchema,
    error_file_id: nullableTextSchema,
    created_at: countSchema,
    in_progress_at: time,
    expires_at: time,
    finalizing_at: time,
    completed_at: time,
    failed_at: time,
    expired_at: time,
    cancelling_at: time,
    cancelled_at: time,
    request_counts: objectSchema({
      total: countSchema,
      completed: countSchema,
      failed: countSchema,
    }),
    metadata: { anyOf: [{ type: "null" }, recordSchema(textSchema)] },
  }),
);

const reply = { "application/json": batchSchema };
const docs: Readonly<Record<"create" | "list" | "one" | "cancel", RouteDoc>> = {
  create: {
    summary: "Runs the requests of a file, as OpenAI's clients ask for it",
    request: { "application/json": schemaOf(creation) },
    reply,
  },
  list: {
    summary: "The batches that are kept",
    query: pageQuery,
    reply: { "application/json": pageSchema(batchSchema) },
  },
  one: { summary: "A batch, and how far it is", reply },
  cancel: { summary: "Cancels a batch; what was done is kept", reply },
};

export function batchRoutes(parts: FrontParts): readonly Route[] {
  const endpoints = ["/v1/embeddings", ...parts.tasks.map(({ name }) => `/v1/${name}`)];
  const path = "/v1/batches/{batch_id}";
  return [
    {
      path: "/v1/batches",
      method: "POST",
      doc: docs.create,
      handler: async (exchange) => {
        const jobs = jobsOf(parts);
        refuseWhileDraining(parts.views);
        await withJson(exchange, creation, ({ value }) =>
          create(exchange, jobs, { sent: value, endpoints }),
        );
      },
    },
    {
      path: "/v1/batches",
      method: "GET",
      doc: docs.list,
      handler: (exchange) => listBatches(exchange, jobsOf(parts)),
    },
    {
      path,
      method: "GET",
      doc: docs.one,
      handler: async (exchange) =>
        replyJson(exchange, batchObject(await batchOf(exchange, jobsOf(parts)))),
    },
    {
      path: `${path}/cancel`,
      method: "POST",
      doc: docs.cancel,
      handler: async (exchange) => {
        const jobs = jobsOf(parts);
        const { id } = await batchOf(exchange, jobs);
        replyJson(exchange, batchObject(await jobs.cancel(exchange.caller, id)));
      },
    },
  ];
}

interface Creation {
  readonly sent: z.infer<typeof creation>;
  readonly endpoints: readonly string[];
}

async function create(
  exchange: Exchange,
  jobs: Jobs,
  { sent, endpoints }: Creation,
): Promise<void> {
  const { caller, headers } = exchange;
  const { input_file_id: fileId, endpoint, completion_window: window } = sent;
  if (!endpoints.includes(endpoint)) {
    const known = endpoints.map((each) => `'${each}'`).join(", ");
    throw badParam("endpoint", `Invalid value: '${endpoint}'. Supported values are: ${known}.`);
  }
  const deadlineMs = durationMs(window);
  if (deadlineMs === null || deadlineMs < windowMs.min || deadlineMs > windowMs.max) {
    const message = `Invalid value: '${window}'. Supported values are '24h' and other times from '1s' to '30d'.`;
    throw badParam("completion_window", message);
  }
  const metadata = sent.metadata ?? {};
  checkMetadata(metadata);
  const kept = sent.output_expires_after?.seconds;
  const keptMs =
    kept === undefined ? {} : { keptMs: keptMsOf(kept, "output_expires_after.seconds") };
  const { "idempotency-key": key } = headers;
  if (typeof key === "string" && (key === "" || key.length > keyCharactersMax)) {
    throw badParam(
      "idempotency-key",
      `An Idempotency-Key has 1 to ${keyCharactersMax} characters.`,
    );
  }
  const input = await named(fileId, jobs.file(caller, fileId), "input_file_id");
  if (input.purpose !== "batch") {
    const message = `Invalid file purpose: the input file must be uploaded with purpose 'batch', not '${input.purpose}'.`;
    throw badParam("input_file_id", message);
  }
  const made = jobs.create(caller, {
    form: { kind: "requests", endpoint, window },
    input: { fileId },
    deadlineMs,
    metadata,
    ...keptMs,
    ...(typeof key === "string" ? { requestKey: key } : {}),
  });
  replyJson(exchange, batchObject((await named(fileId, made, "input_file_id")).job));
}

/** @throws MillraceError `bad_request` */
function checkMetadata(metadata: Readonly<Record<string, string>>): void {
  const { pairs, keyCharacters, valueCharacters } = metadataMax;
  const entries = Object.entries(metadata);
  if (entries.length > pairs) {
    const message = `Invalid 'metadata': too many properties. Expected an object with at most ${pairs} properties, but got an object with ${entries.length} properties instead.`;
    throw badParam("metadata", message);
  }
  for (const [key, value] of entries) {
    if (key.length > keyCharacters) {
      const message = `Invalid property name in 'metadata': string too long. Expected a string with maximum length ${keyCharacters}, but got a string with length ${key.length} instead.`;
      throw badParam("metadata", message);
    }
    if (value.length <= valueCharacters) continue;
    const message = `Invalid 'metadata.${key}': string too long. Expected a string with maximum length ${valueCharacters}, but got a string with length ${value.length} instead.`;
    throw badParam(`metadata.${key}`, message);
  }
}

/** @throws MillraceError `job_not_found`, also of a job that is no batch */
async function batchOf({ caller, params }: Exchange, jobs: Jobs): Promise<StoredJob> {
  const { batch_id: id = "" } = params;
  const notFound = (cause?: unknown): MillraceError => {
    const message = `No batch found with id '${id.slice(0, 128)}'.`;
    return new MillraceError("job_not_found", message, { cause, param: "batch_id" });
  };
  try {
    const job = await jobs.job(caller, id);
    if (job.form.kind === "requests") return job;
  } catch (cause) {
    if (cause instanceof MillraceError && cause.code === "job_not_found") throw notFound(cause);
    throw cause;
  }
  throw notFound();
}

async function listBatches(exchange: Exchange, jobs: Jobs): Promise<void> {
  const page = readPage(exchange, pages);
  const found = await batchesOf(exchange, jobs, page);
  replyJson(exchange, pageJson(found.map(batchObject), page));
}

/** One more than the page has, where there are more: native jobs are kept in the same list. */
async function batchesOf(
  { caller }: Exchange,
  jobs: Jobs,
  page: PageAsked,
): Promise<readonly StoredJob[]> {
  const found: StoredJob[] = [];
  let query: Omit<PageQuery, "owner"> = { ...page, limit: pages.most };
  for (;;) {
    const listed = await jobs.jobs(caller, query);
    found.push(...listed.filter(({ form }) => form.kind === "requests"));
    const last = listed.at(-1);
    if (found.length > page.limit || last === undefined || listed.length < query.limit) {
      return found.slice(0, page.limit + 1);
    }
    query = { ...query, after: last.sequence };
  }
}

function batchObject(job: StoredJob): Listed {
  const { id, form, state, fileId, errors, lines, progress, metadata, endedAtMs } = job;
  if (form.kind !== "requests") throw new Error(`job ${id} is no batch`);
  const at = (ms: number | null): number | null => (ms === null ? null : seconds(ms));
  const ended = (as: JobState): number | null => (state === as ? at(endedAtMs) : null);
  const told = errors.map(({ word, code, message, param = null, line = null }) => {
    return { code: word ?? code, message, param, line };
  });
  return {
    id,
    object: "batch",
    endpoint: form.endpoint,
    errors: told.length === 0 ? null : { object: "list", data: told },
    input_file_id: fileId,
    completion_window: form.window,
    status: statuses[state],
    output_file_id: job.outputFileId,
    error_file_id: job.errorFileId,
    created_at: seconds(job.createdAtMs),
    in_progress_at: at(job.startedAtMs),
    expires_at: at(job.deadlineAtMs),
    finalizing_at: at(job.finalizingAtMs),
    completed_at: ended("completed"),
    failed_at: ended("failed"),
    expired_at: ended("expired"),
    cancelling_at: at(job.cancellingAtMs),
    cancelled_at: ended("cancelled"),
    request_counts: { total: lines, completed: progress.succeeded, failed: progress.failed },
    metadata: Object.keys(metadata).length === 0 ? null : metadata,
  };
}
