/** What new work may still take: of the limit, less what open jobs are expected to add, and of the disk. */
import { statfsSync } from "node:fs";
import { MillraceError } from "millrace-client/wire";
import { hasEnded, type StoredFile, type StoredJob } from "../store.js";

/** Of the disk, kept for results of accepted jobs and for deletions, which need some pages before they free any. */
const spareBytesMax = 64 * 1024 ** 2;
const spareShare = 1 / 16;

interface FileRoom {
  readonly usedBytes: number;
  /** Of pages in the file that hold nothing any more, and are used again. */
  readonly freeBytes: number;
}

export class StoreRoom {
  readonly #dir: string;
  readonly #bytesMax: number;
  /** By job: results are taken to be as large as their input. */
  readonly #owed = new Map<string, number>();
  #owedBytes = 0;

  constructor(dir: string, bytesMax: number) {
    this.#dir = dir;
    this.#bytesMax = bytesMax;
  }

  /** As it is now; null: it is gone. */
  see(jobId: string, job: StoredJob | null, file: StoredFile | null): void {
    const isOpen = job !== null && file !== null && !hasEnded(job) && job.chunks > 0;
    const owed = isOpen ? file.bytes * (1 - job.progress.chunks / job.chunks) : 0;
    this.#owedBytes += owed - (this.#owed.get(jobId) ?? 0);
    if (owed > 0) this.#owed.set(jobId, owed);
    else this.#owed.delete(jobId);
  }

  /** @throws MillraceError `job_store_full` where there is none for so much */
  refuseFull({ usedBytes, freeBytes }: FileRoom, newBytes: number): void {
    const taken = usedBytes + Math.ceil(this.#owedBytes);
    if (taken + newBytes > this.#bytesMax) {
      const owed = `${taken} bytes are taken or owed to jobs that run, of ${this.#bytesMax}`;
      throw new MillraceError("job_store_full", `jobs and files leave no room: ${owed}`);
    }
    if (this.isDiskFull(freeBytes)) throw diskFull();
  }

  /** Or so nearly that only what was accepted may have the rest. */
  isDiskFull(freeBytes: number): boolean {
    const { bavail, blocks, bsize } = statfsSync(this.#dir);
    return bavail * bsize + freeBytes < Math.min(spareBytesMax, blocks * bsize * spareShare);
  }
}

export function diskFull(): MillraceError {
  return new MillraceError("job_store_full", "the disk of the jobs' folder is full");
}
