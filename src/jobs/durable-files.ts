/** Files of callers over a store: who may see which, how large they may be and how long they are kept; those made of a job's results too. */
import { setImmediate } from "node:timers/promises";
import { MillraceError } from "millrace-client/wire";
import type { KeyAmount } from "../access/access.js";
import type { Options } from "../options/options.js";
import type { Caller } from "../work/caller.js";
import { refuseWhileDraining } from "../work/draining.js";
import type { ServerViews } from "../work/views.js";
import { allJobs } from "./all-jobs.js";
import { resultLines } from "./derived-lines.js";
import type { Upload, UploadTerms } from "./jobs.js";
import type { JobsClock } from "./jobs-clock.js";
import { amountOfChunk, nothing, sumOf } from "./line-amount.js";
import { lineChunks } from "./line-chunks.js";
import { LongLines } from "./long-lines.js";
import { isOwn, newId, ownerFor } from "./ownership.js";
import type { JobStore, LateFile, NewFile, PageQuery, StoredFile, StoredJob } from "./store.js";

export interface DurableFilesOptions {
  readonly store: JobStore;
  readonly clock: JobsClock;
  readonly options: Pick<
    Options,
    "jobFileBytesMax" | "jobRetention" | "bodyBytesMax" | "bodiesBytesMax"
  >;
  readonly views: Pick<ServerViews, "isDraining">;
}

const pageMax = 100;

export class DurableFiles {
  readonly #parts: DurableFilesOptions;
  readonly #longLines: LongLines;

  constructor(parts: DurableFilesOptions) {
    this.#parts = parts;
    this.#longLines = new LongLines(parts.options.bodiesBytesMax);
  }

  async upload(
    caller: Caller,
    file: Upload,
    content: AsyncIterable<Uint8Array>,
  ): Promise<StoredFile> {
    refuseWhileDraining(this.#parts.views);
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
      amount: null,
    };
    return await this.write(caller, { head, late: late && (() => termsOf(late())) }, content);
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
      after = page.at(-1)?.sequence;
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

  /** Its lines are counted as they come, where its caller has a key. `late`: what comes to be known only behind its bytes. */
  async write(
    { keyId }: Caller,
    { head, late }: { readonly head: NewFile; readonly late?: (() => LateFile) | undefined },
    content: AsyncIterable<Uint8Array>,
  ): Promise<StoredFile> {
    const { store, options, views } = this.#parts;
    const writing = await store.beginFile(head);
    let amount = nothing;
    try {
      const bounded = atMost(content, options.jobFileBytesMax);
      const bounds = { lineBytesMax: options.bodyBytesMax, longLines: this.#longLines };
      for await (const chunk of lineChunks(bounded, bounds)) {
        refuseWhileDraining(views);
        if (keyId !== null) amount = sumOf(amount, amountOfChunk(chunk));
        await writing.add(chunk);
      }
      return await writing.finish({ ...late?.(), ...(keyId !== null && { amount }) });
    } catch (error) {
      await writing.abort();
      throw error;
    }
  }

  /** Counted as it came in; not so where it came from somebody who had no key. */
  async amountOf({ keyId }: Caller, file: StoredFile): Promise<KeyAmount> {
    if (keyId === null) return nothing;
    if (file.amount !== null) return file.amount;
    let amount = nothing;
    for (let index = 0; index < file.chunks; index += 1) {
      const chunk = await this.#parts.store.chunk(file.id, index);
      if (chunk === null) throw noSuchFile();
      amount = sumOf(amount, amountOfChunk(chunk));
    }
    return amount;
  }
}

function noSuchFile(): MillraceError {
  return new MillraceError("file_not_found", "There is no such file.");
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
  for await (const job of allJobs(store, "desc")) {
    const { sequence, fileId, errorFileId, lines, progress } = job;
    // Jobs that are older than the file do not read it.
    if (sequence < input.sequence) return null;
    if (fileId !== input.id || errorFileId === null) continue;
    const isWhole = progress.succeeded + progress.failed >= lines;
    if (!isWhole && (await store.file(errorFileId)) !== null) return errorFileId;
  }
  return null;
}

async function* chunkBytes(
  store: Pick<JobStore, "chunk">,
  { id, chunks }: StoredFile,
): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < chunks; index += 1) {
    const chunk = await store.chunk(id, index);
    // As of results: others have a turn.
    await setImmediate();
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
