/** Before a job of requests is run, each of its lines is looked at: in slices, with everybody else's turn in between. */
import { setImmediate } from "node:timers/promises";
import { MillraceError } from "millrace-client/wire";
import { linesOf } from "./line-chunks.js";
import { readRequestLine } from "./request-lines.js";
import type { JobLineError, JobStore, StoredJob } from "./store.js";

/** So many are told. */
export const lineErrorsMax = 100;

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
  const { form, lines } = job;
  if (form.kind !== "requests") return [];
  if (lines === 0) {
    return [new MillraceError("input_empty", "The file has no lines.").toWire()];
  }
  const errors: JobLineError[] = [];
  const seen = new Set<string>();
  let physical = 0;
  for (let index = 0; index < job.chunks && errors.length < lineErrorsMax; index += 1) {
    signal.throwIfAborted();
    const chunk = await store.chunk(job.fileId, index);
    if (chunk === null) {
      return [new MillraceError("file_not_found", "The file is gone.").toWire()];
    }
    for (const { text, place } of linesOf(chunk)) {
      const line = physical + place + 1;
      try {
        const { customId } = readRequestLine(text, form.endpoint);
        if (seen.has(customId)) {
          const message = `custom_id ${JSON.stringify(customId.slice(0, 64))} came before.`;
          throw new MillraceError("bad_request", message, { param: "custom_id" });
        }
        seen.add(customId);
      } catch (error) {
        if (!(error instanceof MillraceError)) throw error;
        errors.push({ ...error.toWire(), line });
      }
    }
    physical += chunk.bytes.filter((byte) => byte === 0x0a).length;
    await setImmediate();
  }
  return errors.slice(0, lineErrorsMax);
}
