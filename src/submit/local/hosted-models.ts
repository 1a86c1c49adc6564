/** Which models can be hosted, and whether somebody could be served with them now: what the door asks. */
import { MillraceError } from "millrace-client/wire";
import type { Keep, ModelSpec, RunMode } from "../../scheduler/types.js";
import type { Clock } from "../../work/clock.js";

/** A version of a model, as pipelines know it. */
export interface HostedModel {
  /** Unique in the server's life: a newer version of the same name has another one. */
  readonly key: string;
  /** As callers and metrics have it. */
  readonly name: string;
  readonly modelDir: string;
  readonly mode: RunMode;
  /** What it is expected to take in a process. */
  readonly bytes: number;
  readonly keep: Keep;
  /** As the scheduler has it. */
  readonly runRowsMax?: number;
}

const notReadyRetryMs = 1_000;

export class HostedModels {
  readonly #clock: Clock;
  readonly #models = new Map<string, HostedModel>();
  readonly #retired = new Set<string>();
  readonly #up = new Set<string>();
  /** Pipelines by model. */
  readonly #residences = new Map<string, Set<string>>();
  /** Models that nobody could load, until when not. */
  readonly #holds = new Map<string, { readonly untilMs: number; readonly reason: string }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(model: HostedModel): ModelSpec {
    const { key, name, modelDir, mode, bytes, keep, runRowsMax } = model;
    // Only this: what else the owner has of a version, its tokenizer above all, may go when the version does.
    this.#models.set(key, { key, name, modelDir, mode, bytes, keep });
    this.#holds.delete(key);
    this.#retired.delete(key);
    return { model: key, mode, bytes, keep, ...(runRowsMax === undefined ? {} : { runRowsMax }) };
  }

  /** Nobody is let in for it any more; what it is called stays known, for what is on its way. */
  retire(key: string): void {
    this.#retired.add(key);
  }

  isRetired(key: string): boolean {
    return this.#retired.has(key);
  }

  find(key: string): HostedModel | undefined {
    return this.#models.get(key);
  }

  nameOf(key: string): string {
    return this.#models.get(key)?.name ?? key;
  }

  pipelineUp(pipelineId: string): void {
    this.#up.add(pipelineId);
  }

  pipelineDown(pipelineId: string): void {
    this.#up.delete(pipelineId);
    for (const pipelines of this.#residences.values()) pipelines.delete(pipelineId);
  }

  loaded(pipelineId: string, key: string): void {
    const pipelines = this.#residences.get(key) ?? new Set();
    this.#residences.set(key, pipelines.add(pipelineId));
    this.#holds.delete(key);
  }

  /** Told to go: what is asked of it from now on waits for another load. */
  unloading(pipelineId: string, key: string): void {
    this.#residences.get(key)?.delete(pipelineId);
  }

  hold(key: string, untilMs: number, reason: string): void {
    this.#holds.set(key, { untilMs, reason });
  }

  /** Resident somewhere, or likely to be after one load: null; else why nobody can be served with it now. */
  refusalOf(key: string): MillraceError | null {
    if (this.#retired.has(key)) {
      return notReady(`${this.nameOf(key)} is not served any more`, notReadyRetryMs);
    }
    if ((this.#residences.get(key)?.size ?? 0) > 0) return null;
    const name = this.nameOf(key);
    if (this.#up.size === 0) return notReady(`no pipeline is ready for ${name}`, notReadyRetryMs);
    const hold = this.#holds.get(key);
    const nowMs = this.#clock.now();
    if (hold === undefined || hold.untilMs <= nowMs) return null;
    const waitMs = Math.max(notReadyRetryMs, hold.untilMs - nowMs);
    return cannotBeLoaded(name, hold.reason, Number.isFinite(waitMs) ? waitMs : retryMsMost);
  }
}

/** Of a model that will not be loaded as it is: somebody may change it, or the options. */
const retryMsMost = 60_000;

export function cannotBeLoaded(name: string, reason: string, retryAfterMs: number): MillraceError {
  return notReady(`${name} cannot be loaded: ${reason}`, retryAfterMs);
}

function notReady(message: string, retryAfterMs: number): MillraceError {
  return new MillraceError("not_ready", message, { retryAfterMs });
}
