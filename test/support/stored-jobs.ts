/** Heads of files and jobs as fronts would make them. */
import type { ChunkResults, NewFile, NewJob } from "#src/jobs/store.js";

export function newFileHead(id: string, given: Partial<NewFile> = {}): NewFile {
  return {
    id,
    owner: null,
    name: `${id}.jsonl`,
    purpose: "batch",
    createdAtMs: 1_000,
    expiresAtMs: null,
    isInternal: false,
    amount: null,
    ...given,
  };
}

export function jobOn(fileId: string, given: Partial<NewJob> & Pick<NewJob, "id">): NewJob {
  const hasKey = (given.requestKey ?? null) !== null;
  return {
    owner: null,
    requestKey: null,
    requestKeyUntilMs: hasKey ? 90_000_000 : null,
    requestHash: null,
    caller: { key: null, keyId: null, tenant: null, classes: null, models: null, isAdmin: false },
    tenant: "default",
    form: { kind: "native", task: "translate", model: null, fields: {} },
    fileId,
    createdAtMs: 2_000,
    deadlineAtMs: null,
    keptMs: 60_000,
    metadata: {},
    callbackUrl: null,
    state: "queued",
    receipt: null,
    ...given,
  };
}

/** Of one line that succeeded. */
export function resultsOf(index: number, body = `result ${index}\n`): ChunkResults {
  const bytes = Buffer.from(body);
  return {
    index,
    firstLine: index,
    lines: 1,
    succeeded: 1,
    failed: 0,
    outputBytes: bytes.length,
    errorBytes: 0,
    body: bytes,
  };
}
