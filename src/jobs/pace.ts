/** How fast jobs go lately, from what is seen of their progress: whichever server runs them. From memory. */
import { hasEnded, type StoredJob } from "./store.js";

/** Lines that were done longer ago say nothing of now. */
const windowMs = 60_000;
/** Looks that are kept of a job: many a second are one. */
const bucketMs = 1_000;

interface Pace {
  readonly lines: number;
  /** Rising in time. The first is before the window, or when the job was first seen at work; what waits is not at work. */
  readonly seen: { readonly atMs: number; done: number }[];
}

export class Paces {
  readonly #now: () => number;
  readonly #jobs = new Map<string, Pace>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** As it is now. One that has ended is forgotten. */
  saw(job: Pick<StoredJob, "id" | "state" | "lines" | "progress">): void {
    const { id, state, lines, progress } = job;
    if (hasEnded(job)) return this.gone(id);
    if (state === "validating" || state === "queued") return;
    const done = progress.succeeded + progress.failed;
    const now = this.#now();
    const { seen } = this.#jobs.get(id) ?? this.#begin(id, lines);
    const last = seen.at(-1);
    // The first one stays as it is: what is done since then is what it is for.
    if (last !== undefined && seen.length > 1 && now - last.atMs < bucketMs) last.done = done;
    else if (last?.done !== done) seen.push({ atMs: now, done });
    while ((seen[1]?.atMs ?? now) <= now - windowMs) seen.shift();
  }

  gone(id: string): void {
    this.#jobs.delete(id);
  }

  /** Null: nothing was done lately. */
  of(id: string): { readonly linesPerSecond: number; readonly endsInMs: number } | null {
    const pace = this.#jobs.get(id);
    const now = this.#now();
    const first = pace?.seen[0];
    const last = pace?.seen.at(-1);
    if (pace === undefined || first === undefined || last === undefined) return null;
    if (last.atMs < now - windowMs || last.done <= first.done) return null;
    const ms = Math.max(1, Math.min(windowMs, now - first.atMs));
    const linesPerSecond = ((last.done - first.done) / ms) * 1_000;
    return { linesPerSecond, endsInMs: ((pace.lines - last.done) / linesPerSecond) * 1_000 };
  }

  #begin(id: string, lines: number): Pace {
    const pace: Pace = { lines, seen: [] };
    this.#jobs.set(id, pace);
    return pace;
  }
}
