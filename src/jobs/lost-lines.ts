/**
 * What of a job is damaged or gone in its store, for good: it costs the lines that it had, and no others. Which ones they were is said
 * by what is around them.
 *
 *   chunk 4 (lines 512–639) │ 5 lost │ 6 lost │ chunk 7 (from line 896)      lines 640–895 are lost, counted to chunk 5
 */
import { MillraceError, type WireError } from "millrace-client/wire";
import type { ChunkResults, JobStore, StoredJob } from "./store.js";

/** One after the other; where more are gone the whole input is taken to be. */
const chunksMax = 64;

export interface LostChunks {
  readonly from: number;
  /** Behind the last one. */
  readonly to: number;
  readonly firstLine: number;
  readonly lines: number;
}

/** @throws what is thrown for any other reason */
export async function unlessLost<T>(read: Promise<T>): Promise<T | "lost"> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof MillraceError && error.code === "job_data_lost") return "lost";
    throw error;
  }
}

export const lineLost: WireError = new MillraceError(
  "job_data_lost",
  "What was kept of this line is damaged or gone.",
).toWire();

export const inputLost: WireError = new MillraceError(
  "job_data_lost",
  "The job's input is damaged or gone.",
).toWire();

/** Those around a chunk of an open job's input that is lost. Null: too many to be told apart. */
export async function lostChunks(
  store: Pick<JobStore, "chunk" | "results">,
  job: StoredJob,
  index: number,
): Promise<LostChunks | null> {
  let firstLine = 0;
  let from = index;
  for (; from > 0; from -= 1) {
    const before = await linesOf(store, job, from - 1);
    if (before !== null) {
      firstLine = before.firstLine + before.lines;
      break;
    }
    if (index - from >= chunksMax) return null;
  }
  let endLine = job.lines;
  let to = index + 1;
  for (; to < job.chunks; to += 1) {
    const behind = await linesOf(store, job, to);
    if (behind !== null) {
      endLine = behind.firstLine;
      break;
    }
    if (to - from >= chunksMax) return null;
  }
  return { from, to, firstLine, lines: Math.max(0, endLine - firstLine) };
}

/** Of its input, or of its results: a chunk of an open job that has some has all. */
async function linesOf(
  store: Pick<JobStore, "chunk" | "results">,
  job: StoredJob,
  index: number,
): Promise<Pick<ChunkResults, "firstLine" | "lines"> | null> {
  const input = await unlessLost(store.chunk(job.fileId, index));
  if (input !== "lost") return input;
  const results = await unlessLost(store.results(job.id, index));
  return results === "lost" ? null : results;
}
