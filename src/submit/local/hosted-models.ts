/** Which models can be hosted, and whether somebody could be served with them now: what the door asks. */
import { MillraceError } from "millrace-client/wire";
import type { Decision, Keep, LoadFault, ModelSpec, RunMode } from "../../scheduler/types.js";
import type { Clock } from "../../work/clock.js";

/** A version of a model, as pipelines know it. */
export interface HostedModel {
  /** Unique in the server's life: a newer version of the same name has another one. */
  readonly key: string;
  /** As callers and metrics have it. */
  readonly name: string;
  readonly modelDir: string;
  readonly mode: RunMode;
  /** What it is expected to take in a process, and at the least: default `bytes`. */
  readonly bytes: number;
  readonly leastBytes?: number;
  readonly keep: Keep;
}

/** When somebody may come again: a pipeline may be up by then, or another version of the model be served. */
const notReadyRetryMs = 1_000;

type Hold = Omit<Extract<Decision, { readonly type: "hold" }>, "type" | "model">;

export class HostedModels {
  readonly #clock: Clock;
  readonly #models = new Map<string, HostedModel>();
  readonly #retired = new Set<string>();
  readonly #up = new Set<string>();
  /** Pipelines by model. */
  readonly #residences = new Map<string, Set<string>>();
  /** Models that nobody could load, until when not. */
  readonly #holds = new Map<string, Hold>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(model: HostedModel): ModelSpec {
    const { key, name, modelDir, mode, bytes, leastBytes = bytes, keep } = model;
    // Only this: what else the owner has of a version, its tokenizer above all, may go when the version does.
    this.#models.set(key, { key, name, modelDir, mode, bytes, leastBytes, keep });
    this.#holds.delete(key);
    this.#retired.delete(key);
    return { model: key, mode, bytes, leastBytes, keep };
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
    // Where it is too large by now it will go, and not come again.
    if (this.#holds.get(key)?.fault !== "too-large") this.#holds.delete(key);
  }

  /** Told to go: what is asked of it from now on waits for another load. */
  unloading(pipelineId: string, key: string): void {
    this.#residences.get(key)?.delete(pipelineId);
  }

  hold(key: string, hold: Hold): void {
    this.#holds.set(key, hold);
  }

  /** Resident somewhere, or likely to be after one load: null; else why nobody can be served with it now. */
  refusalOf(key: string): MillraceError | null {
    if (this.#retired.has(key)) {
      return notReady(`${this.nameOf(key)} is not served any more`, notReadyRetryMs);
    }
    if ((this.#residences.get(key)?.size ?? 0) > 0) return null;
    const name = this.nameOf(key);
    const hold = this.#holds.get(key);
    const waitMs = hold === undefined ? 0 : hold.untilMs - this.#clock.now();
    // Whichever pipeline comes up, it will not fit there.
    if (hold?.fault === "too-large" && waitMs > 0) return this.refusal(key, hold);
    if (this.#up.size === 0) return notReady(`no pipeline is ready for ${name}`, notReadyRetryMs);
    return hold === undefined || waitMs <= 0 ? null : this.refusal(key, hold, waitMs);
  }

  /** What callers are told of a model that cannot be loaded: where only somebody else's change would help, not to come again. */
  refusal(
    key: string,
    { reason, fault }: { readonly reason: string; readonly fault?: LoadFault },
    waitMs = 0,
  ): MillraceError {
    const message = `${this.nameOf(key)} cannot be loaded: ${reason}`;
    if (fault === "too-large") return new MillraceError("model_too_large", message);
    if (fault === "broken") return new MillraceError("model_folder_invalid", message);
    return notReady(message, Math.max(notReadyRetryMs, waitMs));
  }
}

function notReady(message: string, retryAfterMs: number): MillraceError {
  return new MillraceError("not_ready", message, { retryAfterMs });
}
