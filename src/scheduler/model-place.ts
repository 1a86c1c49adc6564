import type { Host } from "./host.js";
import type { LoadFault, ModelSpec, RunMode } from "./types.js";

/** What is believed of a load before one was seen: some processor time, and bytes from a disk. */
const priorMs = 50;
const priorBytesPerMs = 200_000;
/** However fast it is: with it come an unload, and what waits meanwhile. */
const leastMs = 25;
/** Weight of the newest load; the rest is the past. */
const newest = 0.5;

/** Loads in a row that fail before those who wait are told. */
const failuresMax = 2;

export interface LoadFailure {
  readonly reason: string;
  /** The next one fails too, unless the folder changes. */
  readonly isBroken: boolean;
}

/** Where a model is, and what it takes to bring it somewhere. */
export class ModelPlace {
  /** Null: it was never announced, or is gone: nothing loads it. */
  spec: ModelSpec | null = null;
  /** As it was announced; it outlives `spec`. */
  mode: RunMode = "one-shot";
  /** Likewise. */
  rowsMax: number = Infinity;
  /** Likewise. Null: as many as `rowsMax` allows. */
  runRowsMax: number | null = null;
  /** It was announced once, and goes. */
  isGone = false;
  /** Pipelines that load it now, or have a plan to. */
  readonly comingTo: Set<Host> = new Set();
  /** Pipelines on which it is to be though nobody waits for it. */
  readonly wantedOn: Set<Host> = new Set();
  loads = 0;
  evictions = 0;
  /** When it last lost a place to another. */
  leftAtMs: number = -Infinity;
  /** Loads in a row that failed. */
  failures = 0;
  /** Processes in a row that ended of it. */
  deaths = 0;
  /** Whether an end from outside during a load was forgiven since the last one that went well. */
  forgaveOutside = false;
  /** It is not loaded before. */
  heldUntilMs: number = -Infinity;
  /** Why the last load failed; null after one that went well. */
  failure: string | null = null;
  /** No load can go well until its folder is another one, as far as the last load could tell. */
  isBroken = false;
  /** Why no pipeline has room for it, whatever goes; null: one has. */
  tooLarge: string | null = null;
  /** As it was announced; they outlive `spec`. */
  #expectedBytes = 0;
  #leastBytes = 0;
  #measuredBytes: number | null = null;
  #loadMs: number | null = null;

  /** What it takes in a process: as expected, or as measured where that is more. */
  get bytes(): number {
    return Math.max(this.#expectedBytes, this.#measuredBytes ?? 0);
  }

  /** What its files say that it takes at the least. */
  get leastBytes(): number {
    return this.#leastBytes;
  }

  get mayBeLoaded(): boolean {
    return this.spec !== null && this.tooLarge === null;
  }

  /** Why it cannot be loaded now, as far as is known. */
  get reason(): string | null {
    return this.tooLarge ?? this.failure;
  }

  /** Null: whatever is wrong with it may go by itself. */
  get fault(): LoadFault | null {
    if (this.tooLarge !== null) return "too-large";
    return this.isBroken ? "broken" : null;
  }

  /** Whether those who wait for it are told that they wait in vain, until it is tried again. */
  isGivenUp(nowMs: number): boolean {
    if (this.isGone || this.tooLarge !== null) return true;
    return (this.isBroken || this.failures >= failuresMax) && this.heldUntilMs > nowMs;
  }

  /** Whether it is worth a load that nobody asks for. */
  get isWorthTrying(): boolean {
    if (this.isPinned) return this.deaths < failuresMax;
    return !this.isBroken && this.failures < failuresMax;
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
    this.rowsMax = spec.rowsMax;
    this.runRowsMax = spec.runRowsMax ?? null;
    this.#leastBytes = spec.leastBytes ?? spec.bytes;
    this.#expectedBytes = Math.max(spec.bytes, this.#leastBytes);
    this.isGone = false;
    this.tooLarge = null;
    this.#works();
  }

  loaded(bytes: number, ms: number): void {
    this.loads += 1;
    this.forgaveOutside = false;
    this.#works();
    // The least that was ever seen: the first load of a process also pays for what all of them share.
    this.#measuredBytes = Math.min(bytes, this.#measuredBytes ?? Infinity);
    this.#loadMs = this.#loadMs === null ? ms : this.#loadMs + newest * (ms - this.#loadMs);
  }

  failed({ reason, isBroken }: LoadFailure, heldUntilMs: number): void {
    this.failure = reason;
    this.isBroken = isBroken;
    this.failures += 1;
    this.heldUntilMs = heldUntilMs;
  }

  #works(): void {
    this.failures = 0;
    this.deaths = 0;
    this.heldUntilMs = -Infinity;
    this.failure = null;
    this.isBroken = false;
  }
}
