import type { Host } from "./host.js";
import type { ModelSpec, RunMode } from "./types.js";

/** What is believed of a load before one was seen: some processor time, and bytes from a disk. */
const priorMs = 50;
const priorBytesPerMs = 200_000;
/** However fast it is: with it come an unload, and what waits meanwhile. */
const leastMs = 25;
/** Weight of the newest load; the rest is the past. */
const newest = 0.5;

/** Where a model is, and what it takes to bring it somewhere. */
export class ModelPlace {
  /** Null: it was never announced, or is gone: nothing loads it. */
  spec: ModelSpec | null = null;
  /** As it was announced; it outlives `spec`. */
  mode: RunMode = "one-shot";
  /** Likewise. Null: pipelines bound it by themselves. */
  runRowsMax: number | null = null;
  /** It was announced once, and goes. */
  isGone = false;
  /** Pipelines that load it now, or have a plan to. */
  readonly comingTo: Set<Host> = new Set();
  /** Pipelines on which it is to be though nobody waits for it. */
  readonly wantedOn: Set<Host> = new Set();
  loads = 0;
  evictions = 0;
  /** Loads in a row that failed. */
  failures = 0;
  /** Processes in a row that ended of it. */
  deaths = 0;
  /** Whether an end from outside during a load was forgiven since the last one that went well. */
  forgaveOutside = false;
  /** It is not loaded before. */
  heldUntilMs: number = -Infinity;
  /** Why the last load failed, or why it cannot be loaded; null after one that went well. */
  reason: string | null = null;
  #measuredBytes: number | null = null;
  #loadMs: number | null = null;

  /** What it takes in a process: as expected, or as measured where that is more. */
  get bytes(): number {
    return Math.max(this.spec?.bytes ?? 0, this.#measuredBytes ?? 0);
  }

  /** Expected time of a load. */
  get loadMs(): number {
    return Math.max(leastMs, this.#loadMs ?? priorMs + this.bytes / priorBytesPerMs);
  }

  get isPinned(): boolean {
    return this.spec?.keep === "pinned";
  }

  /** What failed before may go well now. */
  announced(spec: ModelSpec): void {
    this.spec = spec;
    this.mode = spec.mode;
    this.runRowsMax = spec.runRowsMax ?? null;
    this.isGone = false;
    this.failures = 0;
    this.deaths = 0;
    this.heldUntilMs = -Infinity;
    this.reason = null;
  }

  loaded(bytes: number, ms: number): void {
    this.loads += 1;
    this.failures = 0;
    this.deaths = 0;
    this.forgaveOutside = false;
    this.heldUntilMs = -Infinity;
    this.reason = null;
    // The least that was ever seen: the first load of a process also pays for what all of them share.
    this.#measuredBytes = Math.min(bytes, this.#measuredBytes ?? Infinity);
    this.#loadMs = this.#loadMs === null ? ms : this.#loadMs + newest * (ms - this.#loadMs);
  }
}
