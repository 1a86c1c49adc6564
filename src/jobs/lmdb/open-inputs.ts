/** Which files are read by jobs that have not ended: in memory, because each file that expires asks. */
import { hasEnded, type StoredJob } from "../store.js";

export class OpenInputs {
  readonly #fileOf = new Map<string, string>();
  readonly #readers = new Map<string, number>();

  /** As it is now; null: it is gone. */
  see(jobId: string, job: Pick<StoredJob, "fileId" | "state"> | null): void {
    const before = this.#fileOf.get(jobId);
    const now = job === null || hasEnded(job) ? undefined : job.fileId;
    if (before === now) return;
    if (before !== undefined) this.#count(before, -1);
    if (now === undefined) this.#fileOf.delete(jobId);
    else {
      this.#fileOf.set(jobId, now);
      this.#count(now, 1);
    }
  }

  isRead(fileId: string): boolean {
    return this.#readers.has(fileId);
  }

  #count(fileId: string, more: number): void {
    const readers = (this.#readers.get(fileId) ?? 0) + more;
    if (readers > 0) this.#readers.set(fileId, readers);
    else this.#readers.delete(fileId);
  }
}
