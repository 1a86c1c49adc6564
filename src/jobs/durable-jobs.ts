/** `Jobs` over a store: who may see what, what may be asked for, and what is kept how long. It runs nothing (runner.ts does). */
import { createHash, randomUUID } from "node:crypto";
import { type JobStoreStatus, MillraceError } from "millrace-client/wire";
import { callbackHostsOf, mayCall } from "../options/callback-hosts.js";
import type { Options } from "../options/options.js";
import { type Caller, mayUse, refuseOthersModel } from "../work/caller.js";
import type { ServerViews } from "../work/views.js";
import { chunkOfLine, resultLines } from "./derived-lines.js";
import type { JobRequest, Jobs, LineResult, Upload, UploadTerms } from "./jobs.js";
import type { JobsClock } from "./jobs-clock.js";
import { lineChunks } from "./line-chunks.js";
import type { Paces } from "./pace.js";
import {
  hasEnded,
  type JobStore,
  type LateFile,
  type NewFile,
  type PageQuery,
  type StoredFile,
  type StoredJob,
} from "./store.js";
import type { Watchers } from "./watchers.js";

export interface DurableJobsOptions {
  readonly store: JobStore;
  readonly clock: JobsClock;
  readonly paces: Paces;
  readonly watchers: Watchers;
  readonly options: Pick<
    Options,
    "jobFileBytesMax" | "jobRetention" | "bodyBytesMax" | "jobCallbackHosts"
  >;
  readonly views: Pick<ServerViews, "models" | "isDraining">;
  /** Its step is due. */
  readonly touch: (jobId: string) => void;
  /** `isKnown`: the store was looked through since the start. */
  readonly underWay: () => {
    readonly isKnown: boolean;
    readonly open: number;
    readonly runningChunks: number;
  };
}

/** How long a request key is remembered. */
const requestKeyMs = 86_400_000;
const pageMax = 100;
/** How long the lines of a job wait for it, where the server ended before it was made. */
const orphanMs = 3_600_000;

export class DurableJobs implements Jobs {
  readonly #parts: DurableJobsOptions;

  constructor(parts: DurableJobsOptions) {
    this.#parts = parts;
  }

  status(): JobStoreStatus {
    const { store, underWay } = this.#parts;
    const { isKnown, ...counts } = underWay();
    const reason = store.reason();
    const isAway = isKnown ? "failed" : "starting";
    return { state: reason === null ? "ok" : isAway, reason, ...counts, ...store.usage() };
  }

  async upload(
    caller: Caller,
    file: Upload,
    content: AsyncIterable<Uint8Array>,
  ): Promise<StoredFile> {
    this.#refuseWhileDraining();
    const { clock, options } = this.#parts;
    const now = clock.now();
    const { late } = file;
    const termsOf = ({ purpose, keptMs = options.jobRetention }: UploadTerms): LateFile => {
      return { purpose, expiresAtMs: now + keptMs };
    };
    const head: NewFile = {
      id: newId("file-"),
      owner: caller.key,
      name: file.name,
      purpose: file.purpose,
      createdAtMs: now,
      expiresAtMs: now + (file.keptMs ?? options.jobRetention),
      isInternal: false,
    };
    return await this.#write(head, content, late && (() => termsOf(late())));
  }

  async file(caller: Caller, id: string): Promise<StoredFile> {
    const file = await this.#parts.store.file(id);
    if (file === null || file.isInternal || !isOwn(caller, file)) throw noSuchFile();
    return file;
  }

  async files(
    caller: Caller,
    { purpose, ...query }: Omit<PageQuery, "owner"> & { readonly purpose?: string },
  ): Promise<readonly StoredFile[]> {
    const { store } = this.#parts;
    const owner = ownerFor(caller);
    if (purpose === undefined) return await store.files({ ...query, owner });
    const found: StoredFile[] = [];
    let { after } = query;
    for (;;) {
      const page = await store.files({
        ...query,
        owner,
        limit: pageMax,
        ...(after === undefined ? {} : { after }),
      });
      found.push(...page.filter((each) => each.purpose === purpose));
      after = page.at(-1)?.id;
      if (page.length < pageMax || found.length >= query.limit) return found.slice(0, query.limit);
    }
  }

  async content(caller: Caller, id: string): Promise<AsyncIterable<Uint8Array>> {
    const file = await this.file(caller, id);
    const { store } = this.#parts;
    if (file.of === null) return chunkBytes(store, file);
    const job = await store.job(file.of.jobId);
    if (job === null) throw noSuchFile();
    return resultBytes(store, job, file.of.which);
  }

  async deleteFile(caller: Caller, id: string): Promise<void> {
    const file = await this.file(caller, id);
    const { store } = this.#parts;
    const reader = (await store.openJobs()).find(({ fileId }) => fileId === id);
    if (reader !== undefined) {
      throw new MillraceError("file_in_use", `Job ${reader.id} reads it, and has not ended.`);
    }
    const made = file.of === null ? await errorFileOf(store, file) : null;
    if (made !== null) {
      const message = `File ${made} tells of lines of it that were not run: delete that one first.`;
      throw new MillraceError("file_in_use", message);
    }
    await store.deleteFile(id);
  }

  async create(
    caller: Caller,
    request: JobRequest,
  ): Promise<{ readonly job: StoredJob; readonly isNew: boolean }> {
    this.#refuseWhileDraining();
    this.#check(caller, request);
    const { store, clock, options, touch } = this.#parts;
    const { form, input } = request;
    const id = newId(form.kind === "native" ? "job_" : "batch_");
    const hash = hashOf(request);
    const file =
      "fileId" in input
        ? await this.file(caller, input.fileId)
        : await this.#write(this.#inputOf(id, caller), hashed(input.lines, hash), () => ({
            expiresAtMs: clock.now() + orphanMs,
          }));
    const isOwnFile = "lines" in input;
    try {
      if (form.kind === "native" && file.lines === 0) {
        throw new MillraceError("input_empty", "A job needs at least one line.");
      }
      const now = clock.now();
      const { requestKey = null, deadlineMs = null, metadata = {}, callbackUrl = null } = request;
      const { keptMs = options.jobRetention } = request;
      const requestHash = hash.digest("hex");
      const made = await store.createJob({
        id,
        owner: caller.key,
        requestKey,
        requestKeyUntilMs: requestKey === null ? null : now + requestKeyMs,
        requestHash: requestKey === null ? null : requestHash,
        caller: {
          key: caller.key,
          keyId: caller.keyId,
          tenant: caller.tenant,
          classes: caller.classes,
          models: caller.models,
          isAdmin: caller.isAdmin,
        },
        tenant: caller.tenant ?? request.tenant ?? "default",
        form,
        fileId: file.id,
        createdAtMs: now,
        deadlineAtMs: deadlineMs === null ? null : now + deadlineMs,
        keptMs,
        metadata,
        callbackUrl,
        state: form.kind === "native" ? "queued" : "validating",
      });
      if (!made.isNew) {
        if (isOwnFile) await store.deleteFile(file.id);
        if (made.job.requestHash !== requestHash) {
          const message = "The key came before with another request.";
          throw new MillraceError("request_key_reused", message, { param: "Idempotency-Key" });
        }
      }
      touch(made.job.id);
      return made;
    } catch (error) {
      // Whether the job was made nobody knows where the store has failed. Where it was not, the file goes when its time is over.
      const isUnknown = error instanceof MillraceError && error.code === "job_store_failed";
      if (isOwnFile && !isUnknown) await store.deleteFile(file.id).catch(() => false);
      throw error;
    }
  }

  async job(caller: Caller, id: string): Promise<StoredJob> {
    const job = await this.#parts.store.job(id);
    if (job === null || !isOwn(caller, job)) throw noSuchJob();
    return job;
  }

  async jobs(caller: Caller, query: Omit<PageQuery, "owner">): Promise<readonly StoredJob[]> {
    return await this.#parts.store.jobs({ ...query, owner: ownerFor(caller) });
  }

  async cancel(caller: Caller, id: string): Promise<StoredJob> {
    await this.job(caller, id);
    const { store, clock, touch } = this.#parts;
    const job = await store.changeJob(id, (now) =>
      hasEnded(now) || now.state === "cancelling" || now.state === "finalizing"
        ? null
        : { state: "cancelling", cancellingAtMs: clock.now() },
    );
    if (job === null) throw noSuchJob();
    touch(id);
    return job;
  }

  async remove(caller: Caller, id: string): Promise<void> {
    const { store } = this.#parts;
    const job = await this.cancel(caller, id);
    if (!hasEnded(job)) await this.#ended(id);
    await store.deleteJob(id);
  }

  pace(id: string): ReturnType<Jobs["pace"]> {
    return this.#parts.paces.of(id);
  }

  async results(
    caller: Caller,
    id: string,
    range: { readonly fromLine: number; readonly toLine?: number },
  ): Promise<AsyncIterable<LineResult>> {
    const job = await this.job(caller, id);
    return within(this.#parts.store, job, range);
  }

  watch(id: string, onChange: (job: StoredJob) => void, signal: AbortSignal): void {
    this.#parts.watchers.watch(id, onChange, signal);
  }

  /** What runs of it is left within one batch. */
  #ended(id: string): Promise<void> {
    const { store, watchers } = this.#parts;
    const watching = new AbortController();
    return new Promise<void>((resolve) => {
      const look = async (): Promise<void> => {
        const job = await store.job(id).catch(() => null);
        if (job === null || hasEnded(job)) resolve();
      };
      watchers.watch(id, () => void look(), watching.signal);
      void look();
    }).finally(() => watching.abort());
  }

  async #write(
    head: NewFile,
    content: AsyncIterable<Uint8Array>,
    late?: () => LateFile,
  ): Promise<StoredFile> {
    const { store, options } = this.#parts;
    const writing = await store.beginFile(head);
    try {
      const bounded = atMost(content, options.jobFileBytesMax);
      for await (const chunk of lineChunks(bounded, { lineBytesMax: options.bodyBytesMax })) {
        this.#refuseWhileDraining();
        await writing.add(chunk);
      }
      return await writing.finish(late?.());
    } catch (error) {
      await writing.abort();
      throw error;
    }
  }

  #inputOf(jobId: string, caller: Caller): NewFile {
    return {
      id: newId("file-"),
      owner: caller.key,
      name: `${jobId}_input.jsonl`,
      purpose: "job_input",
      createdAtMs: this.#parts.clock.now(),
      expiresAtMs: null,
      isInternal: true,
    };
  }

  #refuseWhileDraining(): void {
    if (!this.#parts.views.isDraining) return;
    throw new MillraceError("draining", "The server is stopping and takes no new work.");
  }

  /** What can be known before the lines are there. */
  #check(caller: Caller, { form, callbackUrl }: JobRequest): void {
    if (caller.classes !== null && !caller.classes.includes("bulk")) {
      const message = `Jobs are bulk work: this key is for ${caller.classes.join(", ")}.`;
      throw new MillraceError("forbidden", message);
    }
    if (callbackUrl !== undefined) checkCallback(callbackUrl, this.#parts.options);
    if (form.kind !== "native") return;
    const { task, model } = form;
    if (model !== null) refuseOthersModel(caller, model);
    const all = this.#parts.views.models();
    if (all.length === 0) {
      // An edge that has just started, or whose NATS is away: another time it would be there.
      const message = "No node is heard of that serves a model; try again.";
      throw new MillraceError("not_ready", message, { retryAfterMs: 1_000 });
    }
    const served = all.filter((each) => each.task === task && mayUse(caller, each.name));
    const fits = model === null ? served.length === 1 : served.some(({ name }) => name === model);
    if (fits) return;
    const names = served.map(({ name }) => name).join(", ");
    const what = served.length === 0 ? `no model for ${task} is served` : `there is ${names}`;
    throw new MillraceError("model_not_found", `Not ${model ?? "one model"}: ${what}.`, {
      param: "model",
    });
  }
}

/** @throws MillraceError `bad_request` */
function checkCallback(url: string, { jobCallbackHosts }: Pick<Options, "jobCallbackHosts">): void {
  if (mayCall(url, callbackHostsOf(jobCallbackHosts) ?? [])) return;
  const message =
    "`callback` must be an http or https URL of a host that --job-callback-hosts names.";
  throw new MillraceError("bad_request", message, { param: "callback" });
}

function ownerFor({ key, isAdmin }: Caller): string | null | undefined {
  return isAdmin ? undefined : key;
}

function isOwn({ key, isAdmin }: Caller, { owner }: { readonly owner: string | null }): boolean {
  return isAdmin || owner === key;
}

function noSuchFile(): MillraceError {
  return new MillraceError("file_not_found", "There is no such file.");
}

function noSuchJob(): MillraceError {
  return new MillraceError("job_not_found", "There is no such job.");
}

function newId(prefix: string): string {
  return prefix + randomUUID().replaceAll("-", "");
}

/** Of all that the request says; its own lines are added as they come. */
function hashOf({ form, input, ...rest }: JobRequest): ReturnType<typeof createHash> {
  const { tenant = null, deadlineMs = null, metadata = {}, callbackUrl = null } = rest;
  const { keptMs = null } = rest;
  const fileId = "fileId" in input ? input.fileId : null;
  const said = { form, fileId, tenant, deadlineMs, keptMs, metadata, callbackUrl };
  return createHash("sha256").update(JSON.stringify(said)).update("\n");
}

async function* hashed(
  content: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Uint8Array> {
  for await (const piece of content) {
    hash.update(piece);
    yield piece;
  }
}

async function* atMost(
  content: AsyncIterable<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of content) {
    bytes += piece.length;
    if (bytes > bytesMax) {
      const message = `The file has more than ${bytesMax} bytes (--job-file-bytes-max).`;
      throw new MillraceError("body_too_large", message);
    }
    yield piece;
  }
}

/** Lines that were not run are in a file of errors only as long as their input is there. Null: nobody needs it. */
async function errorFileOf(store: JobStore, input: StoredFile): Promise<string | null> {
  let after: string | undefined;
  for (;;) {
    const page = await store.jobs({
      owner: undefined,
      limit: pageMax,
      order: "desc",
      ...(after === undefined ? {} : { after }),
    });
    for (const { sequence, fileId, errorFileId, lines, progress } of page) {
      // Jobs that are older than the file do not read it.
      if (sequence < input.sequence) return null;
      if (fileId !== input.id || errorFileId === null) continue;
      const isWhole = progress.succeeded + progress.failed >= lines;
      if (!isWhole && (await store.file(errorFileId)) !== null) return errorFileId;
    }
    after = page.at(-1)?.id;
    if (page.length < pageMax) return null;
  }
}

async function* chunkBytes(
  store: Pick<JobStore, "chunk">,
  { id, chunks }: StoredFile,
): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < chunks; index += 1) {
    const chunk = await store.chunk(id, index);
    if (chunk === null) throw noSuchFile();
    yield chunk.bytes;
  }
}

async function* resultBytes(
  store: JobStore,
  job: StoredJob,
  which: "output" | "error",
): AsyncGenerator<Uint8Array> {
  let text = "";
  for await (const { isError, json } of resultLines(store, job)) {
    if (isError !== (which === "error")) continue;
    text += `${json}\n`;
    if (text.length < contentCharacters) continue;
    yield Buffer.from(text, "utf8");
    text = "";
  }
  if (text !== "") yield Buffer.from(text, "utf8");
}

/** Of one piece of a file of results. */
const contentCharacters = 64 * 1024;

async function* within(
  store: JobStore,
  job: StoredJob,
  { fromLine, toLine = Number.POSITIVE_INFINITY }: { fromLine: number; toLine?: number },
): AsyncGenerator<LineResult> {
  const chunk = await chunkOfLine(store, job, fromLine);
  for await (const result of resultLines(store, job, { chunk, line: fromLine })) {
    if (result.line >= toLine) break;
    yield result;
  }
  // Of one that was removed meanwhile nothing says which lines are missing.
  if ((await store.job(job.id)) === null) throw noSuchJob();
}
