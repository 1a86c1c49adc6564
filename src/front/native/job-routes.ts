/**
 * READ FIRST of what begins with `job-`: durable jobs in Millrace's own words, `/v1/jobs`.
 *
 *   POST     job-request.ts: what is to be done; job-lines.ts: to what ─► 202, when all of it is on disk
 *   GET      ../../jobs/job-status.ts: how far it is; job-events.ts: the same at each change; job-results.ts: what came of each line
 *   DELETE   cancels one that has not ended, removes one that has
 */
import {
  type JobDeletedReply,
  type JobReply,
  type JobsReply,
  jobLimits,
  MillraceError,
} from "millrace-client/wire";
import { jobStatus } from "../../jobs/job-status.js";
import type { JobRequest, Jobs } from "../../jobs/jobs.js";
import { hasEnded, type StoredJob } from "../../jobs/store.js";
import type { Exchange, Route } from "../../listen/http/http-front.js";
import { Counts } from "../../work/counts.js";
import { refuseWhileDraining } from "../../work/draining.js";
import { parseObject } from "../../work/json-object.js";
import type { FrontParts } from "../front.js";
import { jsonReply } from "../json-reply.js";
import { mediaTypeOf } from "../media-type.js";
import { withBody } from "../with-body.js";
import { jobDocs } from "./job-docs.js";
import { sendEvents } from "./job-events.js";
import { headAndLines, linesOfTexts, readJobTexts } from "./job-lines.js";
import { readJobHead, sentRequestKey } from "./job-request.js";
import { sendResults } from "./job-results.js";
import { queryCount, refuseUnknownQuery } from "./query.js";

/** Where the server keeps no jobs the routes say so, and what to do. */
export function jobRoutes(parts: FrontParts): readonly Route[] {
  const docs = jobDocs(parts);
  const { views } = parts;
  const creations = new Creations();
  const on =
    (answer: (exchange: Exchange, jobs: Jobs) => Promise<void>): Route["handler"] =>
    async (exchange) => {
      if (parts.jobs === undefined) {
        const message =
          "This server keeps no durable jobs: start it with --data DIR, or with --nats.";
        throw new MillraceError("jobs_off", message);
      }
      await answer(exchange, parts.jobs);
    };
  const reply = (exchange: Exchange, job: StoredJob, jobs: Jobs): void => {
    const body: JobReply = { job: jobStatus(job, jobs), deployment: views.identity };
    exchange.reply(jsonReply(200, body));
  };
  const one = "/v1/jobs/{id}";
  return [
    {
      path: "/v1/jobs",
      method: "POST",
      doc: docs.create,
      handler: on((exchange, jobs) => create(exchange, jobs, { ...parts, creations })),
    },
    {
      path: "/v1/jobs",
      method: "GET",
      doc: docs.list,
      handler: on((exchange, jobs) => list(exchange, jobs, parts)),
    },
    {
      path: one,
      method: "GET",
      doc: docs.get,
      handler: on(async (exchange, jobs) =>
        reply(exchange, await jobs.job(exchange.caller, idOf(exchange)), jobs),
      ),
    },
    {
      path: one,
      method: "DELETE",
      doc: docs.remove,
      handler: on((exchange, jobs) => remove(exchange, jobs, parts)),
    },
    {
      path: `${one}/cancel`,
      method: "POST",
      doc: docs.cancel,
      handler: on(async (exchange, jobs) =>
        reply(exchange, await jobs.cancel(exchange.caller, idOf(exchange)), jobs),
      ),
    },
    {
      path: `${one}/results`,
      method: "GET",
      doc: docs.results,
      handler: on((exchange, jobs) => sendResults(exchange, jobs, views)),
    },
    {
      path: `${one}/events`,
      method: "GET",
      doc: docs.events,
      handler: on((exchange, jobs) => sendEvents(exchange, jobs, views)),
    },
  ];
}

/** Requests whose lines are being stored: each holds a body, or a connection that may be slow. */
const creationsMax = 64;
/** Whoever sends slowly, on purpose or not, leaves room to the others. */
const creationsOfKeyMax = 32;

class Creations {
  #count = 0;
  readonly #ofKeys = new Counts();

  /** `key`: its name, where keys are asked for. @throws MillraceError `queue_full` */
  begin(key: string | null): Disposable {
    const ofKey = key === null ? 0 : this.#ofKeys.of(key);
    const isOfKey = ofKey >= creationsOfKeyMax;
    if (isOfKey || this.#count >= creationsMax) {
      const how = isOfKey ? `${ofKey} jobs of this key` : `${this.#count} jobs`;
      throw new MillraceError(
        "queue_full",
        `${how} are being taken in; try again when one of them is.`,
      );
    }
    this.#add(key, 1);
    return { [Symbol.dispose]: () => this.#add(key, -1) };
  }

  #add(key: string | null, change: 1 | -1): void {
    this.#count += change;
    if (key !== null) this.#ofKeys.add(key, change);
  }
}

interface CreateParts extends FrontParts {
  readonly creations: Creations;
}

async function create(exchange: Exchange, jobs: Jobs, parts: CreateParts): Promise<void> {
  refuseWhileDraining(parts.views);
  const type = mediaTypeOf(exchange);
  const key = sentRequestKey(exchange.headers);
  using _creation = parts.creations.begin(exchange.caller.key);
  const store = async (request: JobRequest): Promise<void> => {
    const { job, isNew } = await jobs.create(exchange.caller, request);
    const body: JobReply = { job: jobStatus(job, jobs), deployment: parts.views.identity };
    exchange.reply(jsonReply(isNew ? 202 : 200, body, { location: `/v1/jobs/${job.id}` }));
  };
  if (type === "application/x-ndjson") {
    const content = await exchange.receiveStream(parts.options.jobFileBytesMax);
    const { head: first, lines } = await headAndLines(content);
    const body = parseObject(first);
    if ("texts" in body) {
      const message =
        "`texts`: in a request in lines the texts stand in the lines behind the first.";
      throw new MillraceError("bad_request", message, { param: "texts" });
    }
    await store({ ...readJobHead(body, parts.tasks), ...key, input: { lines } });
    return;
  }
  if (type !== "application/json") {
    const sent = type === "" ? "untyped" : JSON.stringify(type.slice(0, 128));
    const message = `The body must be application/json or application/x-ndjson, not ${sent}.`;
    throw new MillraceError("unsupported_media_type", message, { param: "content-type" });
  }
  await withBody(exchange, {
    read: (received) => {
      const body = parseObject(received.text());
      return { request: readJobHead(body, parts.tasks), texts: readJobTexts(body["texts"]) };
    },
    answer: ({ request, texts }) =>
      store({ ...request, ...key, input: { lines: linesOfTexts(texts) } }),
  });
}

const pageDefault = 20;

async function list(exchange: Exchange, jobs: Jobs, { views }: FrontParts): Promise<void> {
  const { query } = exchange;
  refuseUnknownQuery(query, ["limit", "after"]);
  const limit = queryCount(query, "limit", [1, jobLimits.pageMax]) ?? pageDefault;
  const after = query.get("after");
  const found = await jobs.jobs(exchange.caller, {
    // One more says whether there is another page.
    limit: limit + 1,
    order: "desc",
    ...(after === null ? {} : { after }),
  });
  const page = found.slice(0, limit);
  const body: JobsReply = {
    jobs: page.map((job) => jobStatus(job, jobs)),
    next: found.length > limit ? (page.at(-1)?.id ?? null) : null,
    deployment: views.identity,
  };
  exchange.reply(jsonReply(200, body));
}

async function remove(exchange: Exchange, jobs: Jobs, { views }: FrontParts): Promise<void> {
  const { caller } = exchange;
  const job = await jobs.job(caller, idOf(exchange));
  const isOver = hasEnded(job);
  const left = isOver ? job : await jobs.cancel(caller, job.id);
  if (isOver) await jobs.remove(caller, job.id);
  const body: JobDeletedReply = {
    job: jobStatus(left, jobs),
    outcome: isOver ? "removed" : "cancelled",
    deployment: views.identity,
  };
  exchange.reply(jsonReply(200, body));
}

function idOf({ params }: Exchange): string {
  return params["id"] ?? "";
}
