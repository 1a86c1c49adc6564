/** `GET /v1/jobs/{id}/events`: how far a job is, as server-sent events, until it has ended. */
import type { Jobs } from "../../jobs/jobs.js";
import { hasEnded, type StoredJob } from "../../jobs/store.js";
import type { Exchange } from "../../listen/http/http-front.js";
import type { ServerViews } from "../../work/views.js";
import { JobChanges } from "./job-changes.js";
import { jobStatus } from "./job-status.js";

/** A reader that lost the connection, or was sent away because the server stops, comes back after this. */
const retryMs = 1_000;

/**
 * Each event is the whole state, so nothing is missed by who comes late or again, and `Last-Event-ID` says nothing. A reader that is
 * slow gets the latest, and not all that was before.
 */
export async function sendEvents(
  exchange: Exchange,
  jobs: Jobs,
  views: Pick<ServerViews, "isDraining">,
): Promise<void> {
  let job: StoredJob | null = await jobs.job(exchange.caller, exchange.params["id"] ?? "");
  const reply = exchange.stream({
    status: 200,
    contentType: "text/event-stream",
    signOfLife: ": alive\n\n",
  });
  try {
    using changes = new JobChanges(jobs, exchange, job);
    reply.write(`retry: ${retryMs}\n\n`);
    let told = "";
    while (job !== null) {
      const isOver = hasEnded(job);
      const data = JSON.stringify(jobStatus(job, jobs));
      if (data !== told) reply.write(`event: ${isOver ? "end" : "progress"}\ndata: ${data}\n\n`);
      told = data;
      await reply.ready();
      if (isOver || views.isDraining) break;
      job = await changes.next();
    }
  } catch (thrown) {
    const error = exchange.told(thrown).toWire();
    reply.write(`event: error\ndata: ${JSON.stringify({ error })}\n\n`);
  }
  await reply.end();
}
