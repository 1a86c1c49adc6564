/** Before a job of requests is run, each of its lines is looked at: in slices, with everybody else's turn in between. */
import { setImmediate } from "node:timers/promises";
import { MillraceError } from "millrace-client/wire";
import { linesInChunk } from "./line-chunks.js";
import { inputLost, unlessLost } from "./lost-lines.js";
import { RequestCheck } from "./request-lines.js";
import type { JobLineError, JobStore, StoredJob } from "./store.js";

/**
 * Empty: it can be run.
 *
 * @throws MillraceError `job_store_failed`, or the signal's reason
 */
export async function validate(
  store: Pick<JobStore, "chunk">,
  job: StoredJob,
  signal: AbortSignal,
): Promise<readonly JobLineError[]> {
  const { form } = job;
  if (form.kind !== "requests") return [];
  const check = new RequestCheck(form.endpoint);
  let before = 0;
  for (let index = 0; index < job.chunks && !check.isEnough; index += 1) {
    signal.throwIfAborted();
    const chunk = await unlessLost(store.chunk(job.fileId, index));
    // Whether its other lines can be run is not known without it.
    if (chunk === "lost") return [inputLost];
    if (chunk === null) {
      return [new MillraceError("file_not_found", "The file is gone.").toWire()];
    }
    for (const { text, place } of linesInChunk(chunk)) check.add(text, before + place + 1);
    before += chunk.bytes.filter((byte) => byte === 0x0a).length;
    await setImmediate();
  }
  return check.finish();
}
