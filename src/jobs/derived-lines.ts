/** A job's results as lines, in the order of its input: what was done, and where the job ended before, what was not. */
import { setImmediate } from "node:timers/promises";
import { MillraceError, type WireError } from "millrace-client/wire";
import { decodeResults } from "./chunk-results.js";
import type { LineResult } from "./jobs.js";
import { failure } from "./line-calls.js";
import { linesInChunk } from "./line-chunks.js";
import { lineLost, unlessLost } from "./lost-lines.js";
import { type Chunk, chunkLimits, hasEnded, type JobStore, type StoredJob } from "./store.js";

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
 * From the line on, which the chunk or one behind it has, as far as there are results one after the other; of a job that has ended as
 * it was: all of them. What is lost of it has that as its result.
 *
 * @throws MillraceError `job_store_failed`
 */
export async function* resultLines(
  store: ResultStore,
  job: StoredJob,
  from: { readonly chunk: number; readonly line: number } = { chunk: 0, line: 0 },
): AsyncGenerator<LineResult> {
  // Its lines are no requests: it says so in its errors.
  if (job.state === "failed" && whyNotRun(job) === null) return;
  let next = from.line;
  for await (const result of knownLines(store, job, from.chunk)) {
    if (result.line < next) continue;
    yield* unknownLines(job, next, result.line);
    yield result;
    next = result.line + 1;
  }
  if (hasEnded(job)) yield* unknownLines(job, next, job.lines);
}

/** Of which nothing is there but that they were: maybe a million, of which whoever reads takes none, and others have a turn between. */
async function* unknownLines(job: StoredJob, from: number, to: number): AsyncGenerator<LineResult> {
  const error = whyNotRun(job) ?? lineLost;
  for (let line = from; line < to; line += 1) {
    if ((line - from + 1) % chunkLimits.linesMax === 0) await setImmediate();
    const { json } = failure({ job, index: 0, firstLine: line, texts: [] }, 0, error);
    yield { line, isError: true, json };
  }
}

async function* knownLines(
  store: ResultStore,
  job: StoredJob,
  fromChunk: number,
): AsyncGenerator<LineResult> {
  const why = whyNotRun(job);
  for (let index = fromChunk; index < job.chunks; index += 1) {
    const done = await unlessLost(doneLines(store, job.id, index));
    // A store may answer so fast that those who read are all that has a turn.
    await setImmediate();
    if (done === null && !hasEnded(job)) return;
    const lines = done === null || done === "lost" ? [] : done;
    const isWhole = lines === done && why === null;
    const input = isWhole ? null : await unlessLost(store.chunk(job.fileId, index));
    if (input === null || input === "lost") yield* lines;
    else yield* withOthers({ job, input, lines, error: why ?? lineLost });
  }
}

/** Null: not yet. */
async function doneLines(
  store: ResultStore,
  jobId: string,
  index: number,
): Promise<readonly LineResult[] | null> {
  const results = await store.results(jobId, index);
  if (results === null) return null;
  const { firstLine } = results;
  return decodeResults(results).map(({ place, isError, json }) => {
    return { line: firstLine + place, isError, json };
  });
}

/** Every line of the chunk: those that were not run, or whose results are lost, have the error. */
function withOthers({
  job,
  input,
  lines,
  error,
}: {
  readonly job: StoredJob;
  readonly input: Chunk;
  readonly lines: readonly LineResult[];
  readonly error: WireError;
}): readonly LineResult[] {
  if (input.lines === lines.length) return lines;
  const { index, firstLine } = input;
  const texts = linesInChunk(input).map(({ text }) => text);
  const had = new Map(lines.map((each) => [each.line, each]));
  return texts.map((_, place) => {
    const line = firstLine + place;
    const done = had.get(line);
    if (done !== undefined) return done;
    const { json } = failure({ job, index, firstLine, texts }, place, error);
    return { line, isError: true, json };
  });
}

/** The chunk that has the line, or one before it where what is around is lost; the job's `chunks` where it has fewer lines. */
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
    let at = middle;
    let first = await firstLineOf(store, job, at);
    while (first === "lost" && at + 1 < high) {
      at += 1;
      first = await firstLineOf(store, job, at);
    }
    // Neither results nor input: it lies behind all that there is.
    if (first === null || first === "lost" || first > line) high = middle;
    else low = at;
  }
  return low;
}

async function firstLineOf(
  store: ResultStore,
  job: StoredJob,
  index: number,
): Promise<number | "lost" | null> {
  const results = await unlessLost(store.results(job.id, index));
  if (results !== null && results !== "lost") return results.firstLine;
  const input = await unlessLost(store.chunk(job.fileId, index));
  if (input === "lost") return input;
  return input === null ? null : input.firstLine;
}
