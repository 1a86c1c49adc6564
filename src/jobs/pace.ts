/** How fast jobs go lately, from memory. */
import type { StoredJob } from "./store.js";

/** Lines that were done longer ago say nothing of now. */
const windowMs = 60_000;
/** Commits that are kept of a job: many a second are counted together. */
const bucketMs = 1_000;

interface Pace {
  left: number;
  readonly sinceMs: number;
  readonly done: { readonly atMs: number; lines: number }[];
}

export class Paces {
  readonly #now: () => number;
  readonly #jobs = new Map<string, Pace>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Before its first chunk is run here. */
  began({ id, lines, progress }: StoredJob): void {
    if (this.#jobs.has(id)) return;
    const left = lines - progress.succeeded - progress.failed;
    this.#jobs.set(id, { left, sinceMs: this.#now(), done: [] });
  }

  did(id: string, lines: number): void {
    const pace = this.#jobs.get(id);
    if (pace === undefined) return;
    const now = this.#now();
    pace.left -= lines;
    const last = pace.done.at(-1);
    if (last !== undefined && now - last.atMs < bucketMs) last.lines += lines;
    else pace.done.push({ atMs: now, lines });
    while ((pace.done[0]?.atMs ?? now) < now - windowMs) pace.done.shift();
  }

  ended(id: string): void {
    this.#jobs.delete(id);
  }

  /** Null: nothing was done lately. */
  of(id: string): { readonly linesPerSecond: number; readonly endsInMs: number } | null {
    const pace = this.#jobs.get(id);
    if (pace === undefined) return null;
    const now = this.#now();
    const lately = pace.done.filter(({ atMs }) => atMs >= now - windowMs);
    const lines = lately.reduce((sum, each) => sum + each.lines, 0);
    if (lines === 0) return null;
    const ms = Math.max(1, now - Math.max(pace.sinceMs, now - windowMs));
    const linesPerSecond = (lines / ms) * 1_000;
    return { linesPerSecond, endsInMs: (Math.max(0, pace.left) / linesPerSecond) * 1_000 };
  }
}
