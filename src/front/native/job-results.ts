/** `GET /v1/jobs/{id}/results`: a line for each line of the input, in their order, from any line on. */
import { MillraceError } from "millrace-client/wire";
import type { Jobs } from "../../jobs/jobs.js";
import { hasEnded, type StoredJob } from "../../jobs/store.js";
import type { Exchange, ReplyStream } from "../../listen/http/http-front.js";
import { refuseWhileDraining } from "../../work/draining.js";
import type { ServerViews } from "../../work/views.js";
import { JobChanges } from "./job-changes.js";
import { queryCount, queryFlag, refuseUnknownQuery } from "./query.js";

interface Range {
  readonly from: number;
  /** Before this one. */
  readonly to: number;
  readonly wait: boolean;
}

export async function sendResults(
  exchange: Exchange,
  jobs: Jobs,
  views: Pick<ServerViews, "isDraining">,
): Promise<void> {
  const range = readRange(exchange.query);
  const job = await jobs.job(exchange.caller, exchange.params["id"] ?? "");
  // Readers of lines skip an empty one.
  const reply = exchange.stream({ status: 200, contentType: ndjson, signOfLife: "\n" });
  try {
    const sending = { exchange, jobs, reply, range };
    if (range.wait) await follow(sending, job, views);
    else await sendFrom(sending, job.id, range.from);
  } catch (thrown) {
    reply.write(`${JSON.stringify({ error: exchange.told(thrown).toWire() })}\n`);
  }
  await reply.end();
}

interface Sending {
  readonly exchange: Exchange;
  readonly jobs: Jobs;
  readonly reply: ReplyStream;
  readonly range: Range;
}

/** Until all are sent, or the job has ended. */
async function follow(
  sending: Sending,
  asked: StoredJob,
  views: Pick<ServerViews, "isDraining">,
): Promise<void> {
  const { exchange, jobs, range } = sending;
  using changes = new JobChanges(jobs, exchange, asked);
  let next = range.from;
  let chunks = -1;
  for (let job: StoredJob | null = asked; job !== null; job = await changes.next()) {
    const isOver = hasEnded(job);
    if (job.progress.chunks !== chunks || isOver) next = await sendFrom(sending, job.id, next);
    chunks = job.progress.chunks;
    if (isOver || next >= Math.min(range.to, job.lines)) return;
    refuseWhileDraining(views);
  }
}

/** Gives the line to go on with. */
async function sendFrom(
  { exchange, jobs, reply, range }: Sending,
  id: string,
  from: number,
): Promise<number> {
  let next = from;
  const to = Number.isFinite(range.to) ? { toLine: range.to } : {};
  for await (const { line, json } of await jobs.results(exchange.caller, id, {
    fromLine: from,
    ...to,
  })) {
    if (exchange.departed.aborted) break;
    reply.write(`${json}\n`);
    await reply.ready();
    next = line + 1;
  }
  return next;
}

const ndjson = "application/x-ndjson";

function readRange(query: URLSearchParams): Range {
  refuseUnknownQuery(query, ["from", "to", "wait"]);
  const from = queryCount(query, "from", [0, Number.MAX_SAFE_INTEGER]) ?? 0;
  const to = queryCount(query, "to", [0, Number.MAX_SAFE_INTEGER]) ?? Number.POSITIVE_INFINITY;
  if (to < from) {
    const message = `\`to\`: must not be before \`from\`, ${from}.`;
    throw new MillraceError("bad_request", message, { param: "to" });
  }
  return { from, to, wait: queryFlag(query, "wait") };
}
