/** A job's results as lines, in the order of its input: what was done, and where the job ended before, what was not. */
import { setImmediate } from "node:timers/promises";
import { MillraceError, type WireError } from "millrace-client/wire";
import { decodeResults } from "./chunk-results.js";
import type { LineResult } from "./jobs.js";
import { failure } from "./line-calls.js";
import { linesInChunk } from "./line-chunks.js";
import { hasEnded, type JobStore, type StoredJob } from "./store.js";

type ResultStore = Pick<JobStore, "results" | "chunk">;

/** Null: each line has a result, or none was looked at. */
function whyNotRun({
  state,
  form,
  startedAtMs,
  errors,
}: Pick<StoredJob, "state" | "form" | "startedAtMs" | "errors">): WireError | null {
  if (state === "failed") {
    // A batch whose lines cannot be run says so in its errors, and has no files.
    if (form.kind === "requests" && startedAtMs === null) return null;
    const [error] = errors;
    return new MillraceError(
      error?.code ?? "internal",
      error?.message ?? "The job failed.",
    ).toWire();
  }
  if (state === "cancelled") {
    return new MillraceError(
      "job_cancelled",
      "The job was cancelled before this line was run.",
    ).toWire();
  }
  if (state !== "expired") return null;
  return new MillraceError(
    "job_expired",
    "The job's time was over before this line was run.",
  ).toWire();
}

/**
 * From the chunk on, as far as there are results one after the other; of a job that has ended as it was: all of them.
 *
 * @throws MillraceError `job_store_failed`
 */
export async function* resultLines(
  store: ResultStore,
  job: StoredJob,
  fromChunk = 0,
): AsyncGenerator<LineResult> {
  for (let index = fromChunk; index < job.chunks; index += 1) {
    const results = await store.results(job.id, index);
    // A store may answer so fast that those who read are all that has a turn.
    await setImmediate();
    if (results === null && !hasEnded(job)) return;
    const done = results === null ? [] : decodeResults(results);
    const lines = done.map(({ place, isError, json }) => {
      return { line: (results?.firstLine ?? 0) + place, isError, json };
    });
    const why = whyNotRun(job);
    if (why === null) yield* lines;
    else yield* await withNotRun(store, { job, index, lines, why });
  }
}

async function withNotRun(
  store: ResultStore,
  {
    job,
    index,
    lines,
    why,
  }: { job: StoredJob; index: number; lines: readonly LineResult[]; why: WireError },
): Promise<readonly LineResult[]> {
  const chunk = await store.chunk(job.fileId, index);
  // The input is gone: nobody knows what it was.
  if (chunk === null || chunk.lines === lines.length) return lines;
  const { firstLine } = chunk;
  const texts = linesInChunk(chunk).map(({ text }) => text);
  const had = new Map(lines.map((each) => [each.line, each]));
  return texts.map((_, place) => {
    const line = firstLine + place;
    const done = had.get(line);
    if (done !== undefined) return done;
    const { json } = failure({ job, index, firstLine, texts }, place, why);
    return { line, isError: true, json };
  });
}

/** The chunk that has the line, by halving; the job's `chunks` where it has fewer lines. */
export async function chunkOfLine(
  store: ResultStore,
  job: StoredJob,
  line: number,
): Promise<number> {
  if (line >= job.lines) return job.chunks;
  let low = 0;
  let high = job.chunks;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const of = (await store.results(job.id, middle)) ?? (await store.chunk(job.fileId, middle));
    // Neither results nor input: it lies behind all that there is.
    if (of === null || of.firstLine > line) high = middle;
    else low = middle;
  }
  return low;
}
