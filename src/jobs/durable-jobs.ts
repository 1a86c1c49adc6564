/**
 * `Jobs` over a store: who may see what, what may be asked for, and what is kept how long. It runs nothing (runner.ts does); of files
 * durable-files.ts knows.
 */
import { createHash } from "node:crypto";
import { type JobStoreStatus, MillraceError } from "millrace-client/wire";
import { callbackHostsOf, mayCall } from "../options/callback-hosts.js";
import type { Options } from "../options/options.js";
import { type Caller, mayUse, refuseOthersModel } from "../work/caller.js";
import { refuseWhileDraining } from "../work/draining.js";
import type { ServerViews } from "../work/views.js";
import { within } from "../work/within.js";
import { chunkOfLine, resultLines } from "./derived-lines.js";
import { DurableFiles } from "./durable-files.js";
import type { JobDoor } from "./job-door.js";
import type { JobRequest, Jobs, LineResult, Upload } from "./jobs.js";
import type { JobsClock } from "./jobs-clock.js";
import type { KeyReturns } from "./key-returns.js";
import { isOwn, newId, ownerFor } from "./ownership.js";
import type { Paces } from "./pace.js";
import {
  hasEnded,
  type JobStore,
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
  readonly door: JobDoor;
  readonly returns: Pick<KeyReturns, "ended">;
  readonly options: Pick<
    Options,
    "jobFileBytesMax" | "jobRetention" | "bodyBytesMax" | "bodiesBytesMax" | "jobCallbackHosts"
  >;
  readonly views: Pick<ServerViews, "models" | "isDraining">;
  /** Its step is due. */
  readonly touch: (jobId: string) => void;
  /** `isKnown`: the store was looked through since the start. */
  readonly underWay: () => {
    readonly isKnown: boolean;
    readonly open: number | null;
    readonly runningChunks: number;
  };
}

/** How long a request key is remembered. */
const requestKeyMs = 86_400_000;
/** What a job's key is owed is given back before the job goes, by whoever counted it; a server that is gone is waited for no longer. */
const returnMsMax = 2_000;
/** How long the lines of a job wait for it, where the server ended before it was made. */
const orphanMs = 3_600_000;

export class DurableJobs implements Jobs {
  readonly #parts: DurableJobsOptions;
  readonly #files: DurableFiles;

  constructor(parts: DurableJobsOptions) {
    this.#parts = parts;
    this.#files = new DurableFiles(parts);
  }

  status(): JobStoreStatus {
    const { store, underWay } = this.#parts;
    const { isKnown, ...counts } = underWay();
    const reason = store.reason();
    const away = isKnown ? "failed" : "starting";
    return { state: reason === null ? "ok" : away, reason, ...counts, ...store.usage() };
  }

  async upload(
    caller: Caller,
    file: Upload,
    content: AsyncIterable<Uint8Array>,
  ): Promise<StoredFile> {
    return await this.#files.upload(caller, file, content);
  }

  async file(caller: Caller, id: string): Promise<StoredFile> {
    return await this.#files.file(caller, id);
  }

  async files(...asked: Parameters<Jobs["files"]>): Promise<readonly StoredFile[]> {
    return await this.#files.files(...asked);
  }

  async content(caller: Caller, id: string): Promise<AsyncIterable<Uint8Array>> {
    return await this.#files.content(caller, id);
  }

  async deleteFile(caller: Caller, id: string): Promise<void> {
    await this.#files.deleteFile(caller, id);
  }

  async create(
    caller: Caller,
    request: JobRequest,
  ): Promise<{ readonly job: StoredJob; readonly isNew: boolean }> {
    refuseWhileDraining(this.#parts.views);
    this.#check(caller, request);
    const { store, clock, touch, door } = this.#parts;
    const { form, input } = request;
    // Who asks again is told of the job, whatever has no room by now.
    const before = await this.#madeBefore(caller, request);
    if (before === null) await door.refuseFull(tenantOf(caller, request));
    const id = newId(form.kind === "native" ? "job_" : "batch_");
    const hash = hashOf(request);
    const file =
      "fileId" in input
        ? await this.file(caller, input.fileId)
        : await this.#files.write(
            caller,
            {
              head: this.#inputOf(id, caller),
              late: () => ({ expiresAtMs: clock.now() + orphanMs }),
            },
            hashed(input.lines, hash),
          );
    const isOwnFile = "lines" in input;
    try {
      if (form.kind === "native" && file.lines === 0) {
        throw new MillraceError("input_empty", "A job needs at least one line.");
      }
      const requestHash = hash.digest("hex");
      const made = await this.#make(caller, request, { id, file, requestHash });
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
      // What cannot be deleted just now goes when its time is over.
      const isNobodys = isOwnFile && !(await this.#mayBeMade(error, { id, caller, request }));
      if (isNobodys) await store.deleteFile(file.id).catch(() => false);
      throw error;
    }
  }

  /** A store that failed may have the job all the same, which then needs its lines. */
  async #mayBeMade(
    error: unknown,
    { id, caller, request }: { id: string; caller: Caller; request: JobRequest },
  ): Promise<boolean> {
    if (!(error instanceof MillraceError) || error.code !== "job_store_failed") return false;
    const { store } = this.#parts;
    const isKeyed = request.requestKey !== undefined;
    const asked = isKeyed ? this.#madeBefore(caller, request) : store.job(id);
    return await asked.then(
      (job) => job?.id === id,
      () => true,
    );
  }

  /** Through the door, unless this very request made one before. */
  async #make(
    caller: Caller,
    request: JobRequest,
    { id, file, requestHash }: Making,
  ): Promise<{ readonly job: StoredJob; readonly isNew: boolean }> {
    const { clock, options, door } = this.#parts;
    const { form, requestKey = null, deadlineMs = null } = request;
    const { metadata = {}, callbackUrl = null, keptMs = options.jobRetention } = request;
    const before = await this.#madeBefore(caller, request);
    if (before !== null) return { job: before, isNew: false };
    const tenant = tenantOf(caller, request);
    const amount = await this.#files.amountOf(caller, file);
    const { taken, make } = await door.enter({ caller, tenant, amount });
    const now = clock.now();
    return await make({
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
      tenant,
      form,
      fileId: file.id,
      createdAtMs: now,
      deadlineAtMs: deadlineMs === null ? null : now + deadlineMs,
      keptMs,
      metadata,
      callbackUrl,
      state: form.kind === "native" ? "queued" : "validating",
      receipt: taken?.receipt ?? null,
    });
  }

  async #madeBefore({ key }: Caller, { requestKey }: JobRequest): Promise<StoredJob | null> {
    return requestKey === undefined ? null : await this.#parts.store.requestedJob(key, requestKey);
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
    const { store, returns } = this.#parts;
    const left = await this.cancel(caller, id);
    const ended = hasEnded(left) ? left : await this.#when(id, hasEnded);
    if (ended !== null && ended.owed !== null) {
      returns.ended(ended);
      const leaving = new AbortController();
      await within(
        returnMsMax,
        this.#when(id, ({ owed }) => owed === null, leaving),
      );
      leaving.abort();
    }
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
    return linesWithin(this.#parts.store, job, range);
  }

  watch(id: string, onChange: (job: StoredJob) => void, signal: AbortSignal): void {
    const { watchers, paces } = this.#parts;
    // The keeper may be long in its step with it, and sees nothing meanwhile.
    const onSeen = (job: StoredJob): void => {
      paces.saw(job);
      onChange(job);
    };
    watchers.watch(id, onSeen, signal);
  }

  /** Null: it is gone. @throws MillraceError `job_store_failed` */
  #when(
    id: string,
    isSo: (job: StoredJob) => boolean,
    watching: AbortController = new AbortController(),
  ): Promise<StoredJob | null> {
    const { store, watchers } = this.#parts;
    return new Promise<StoredJob | null>((resolve, reject) => {
      const look = async (): Promise<void> => {
        const job = await store.job(id);
        if (job === null || isSo(job)) resolve(job);
      };
      const onChange = (): void => void look().catch(reject);
      watchers.watch(id, onChange, watching.signal);
      onChange();
    }).finally(() => watching.abort());
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
      amount: null,
    };
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

interface Making {
  readonly id: string;
  readonly file: StoredFile;
  readonly requestHash: string;
}

function tenantOf({ tenant }: Caller, request: Pick<JobRequest, "tenant">): string {
  return tenant ?? request.tenant ?? "default";
}

/** @throws MillraceError `bad_request` */
function checkCallback(url: string, { jobCallbackHosts }: Pick<Options, "jobCallbackHosts">): void {
  if (mayCall(url, callbackHostsOf(jobCallbackHosts) ?? [])) return;
  const message =
    "`callback` must be an http or https URL of a host that --job-callback-hosts names.";
  throw new MillraceError("bad_request", message, { param: "callback" });
}

function noSuchJob(): MillraceError {
  return new MillraceError("job_not_found", "There is no such job.");
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

async function* linesWithin(
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
