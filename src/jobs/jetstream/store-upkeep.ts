/** What becomes of things in time: expired ones, what writers that died left, and the last traces of what was deleted. */
import { messageOf } from "../../work/thrown.js";
import { placeKeptMs } from "../store.js";
import type { ProgressBook } from "./progress-book.js";
import type { GoneEntry, RecordIndex, Records } from "./records.js";
import type { StoreLog, StoreSession } from "./session.js";
import type { StoreFiles } from "./store-files.js";
import type { StoreJobs } from "./store-jobs.js";

export interface StoreUpkeepOptions {
  readonly session: StoreSession;
  readonly index: RecordIndex;
  readonly records: Records;
  readonly progress: ProgressBook;
  readonly files: StoreFiles;
  readonly jobs: StoreJobs;
  readonly abandonedMs: number;
  readonly log: StoreLog;
}

/** By then every server has heard of it, nobody commits results of it any more, and nobody pages on behind it. */
const goneMs = placeKeptMs;
/** A file of a job alone, whose job was never made, and that does not say itself how long that may take. */
const orphanMs = 3_600_000;

export class StoreUpkeep {
  readonly #options: StoreUpkeepOptions;
  readonly #timer: NodeJS.Timeout;

  constructor(options: StoreUpkeepOptions) {
    this.#options = options;
    const { log, session } = options;
    this.#timer = setInterval(() => {
      if (session.reason !== null) return;
      this.#removeAbandoned().catch((error: unknown) => {
        const reason = messageOf(error);
        log.warn({ reason }, "files whose writers died could not be taken away; it is tried again");
      });
    }, options.abandonedMs / 4);
    this.#timer.unref();
  }

  async removeExpired(nowMs: number): Promise<number> {
    const { index, jobs, files, progress } = this.#options;
    let removed = 0;
    for (const { id, open, expiresAtMs } of index.jobs.values()) {
      const isOver = open === null && expiresAtMs !== null && expiresAtMs <= nowMs;
      if (isOver && (await jobs.remove(id))) removed++;
    }
    const reading = [...index.jobs.values()].filter(({ open }) => open !== null);
    const isRead = new Set(reading.map(({ fileId }) => fileId));
    const hasJob = new Set([...index.jobs.values()].map(({ fileId }) => fileId));
    for (const file of index.files.values()) {
      const { id, expiresAtMs, isInternal, createdAtMs } = file;
      const isUsed = isInternal ? hasJob.has(id) : isRead.has(id);
      const untilMs = expiresAtMs ?? (isInternal ? createdAtMs + orphanMs : Infinity);
      if (untilMs <= nowMs && !isUsed && (await files.remove(id))) removed++;
    }
    removed += await this.#removeKeys(nowMs);
    await this.#removeTraces();
    progress.forgetStrangers();
    return removed;
  }

  async keptTimeMs(): Promise<number> {
    const found = await this.#options.records.get("meta", "time");
    return found?.record.is === "time" ? found.record.ms : 0;
  }

  async keepTimeMs(nowMs: number): Promise<void> {
    const { records } = this.#options;
    for (;;) {
      const found = await records.get("meta", "time");
      if (found?.record.is === "time" && found.record.ms >= nowMs) return;
      const at = { kind: "meta", id: "time", expected: found?.revision ?? 0 } as const;
      if ((await records.put(at, { is: "time", ms: nowMs })) !== null) return;
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #removeKeys(nowMs: number): Promise<number> {
    const { index, records } = this.#options;
    const over = [...index.keys].filter(([, { untilMs }]) => untilMs <= nowMs);
    let removed = 0;
    for (const [token, { revision }] of over) {
      if (await records.erase(revision)) removed++;
      index.keys.delete(token);
    }
    if (removed > 0) await records.touch();
    return removed;
  }

  /** Whose writer has not said for a while that it lives, as this server has seen it. */
  async #removeAbandoned(): Promise<void> {
    const { index, files, abandonedMs } = this.#options;
    const sinceMs = performance.now() - abandonedMs;
    for (const [id, { revision, seenAtMs }] of index.writing) {
      if (seenAtMs > sinceMs) continue;
      if (await files.removeRecord(id, revision)) await files.removeChunks(id);
    }
  }

  async #removeTraces(): Promise<void> {
    const { index, records } = this.#options;
    const sinceMs = performance.now() - goneMs;
    const old = [...index.gone].filter(([, { seenAtMs }]) => seenAtMs <= sinceMs);
    for (const [key, gone] of old) {
      await this.#removeTrace(gone);
      index.gone.delete(key);
    }
    if (old.length > 0) await records.touch();
  }

  /** With what a server that died while it deleted left behind. */
  async #removeTrace({ kind, id, revision }: GoneEntry): Promise<void> {
    const { files, jobs, records } = this.#options;
    if (kind === "file") await files.removeChunks(id);
    if (kind === "job") {
      await jobs.removeResults(id);
      await jobs.removeFence(id);
    }
    await records.erase(revision);
  }
}
