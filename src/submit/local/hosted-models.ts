/**
 * Which models can be hosted, and whether somebody could be served with them now: what the door asks. A version that was retired
 * stays known while anything of it is on its way (requests that are being prepared, items, pipelines that were told to load it),
 * and is then forgotten.
 */
import { MillraceError } from "millrace-client/wire";
import type { FolderVersion } from "../../models/folder-version.js";
import type { Decision, Keep, LoadFault, ModelSpec, RunMode } from "../../scheduler/types.js";
import type { Clock } from "../../work/clock.js";

/** A version of a model, as pipelines know it. */
export interface HostedModel {
  /** Unique in the server's life: a newer version of the same name has another one. */
  readonly key: string;
  /** As callers and metrics have it. */
  readonly name: string;
  readonly modelDir: string;
  /** What its folder was when it was read; left out: whatever is there. */
  readonly version?: FolderVersion;
  readonly mode: RunMode;
  /** What it is expected to take in a process, and at the least: default `bytes`. */
  readonly bytes: number;
  readonly leastBytes?: number;
  readonly keep: Keep;
  /** As the scheduler has them. */
  readonly rowsMax: number;
  readonly runRowsMax?: number;
}

/** When somebody may come again: a pipeline may be up by then, or another version of the model be served. */
const notReadyRetryMs = 1_000;

type Hold = Omit<Extract<Decision, { readonly type: "hold" }>, "type" | "model">;

export class HostedModels {
  readonly #clock: Clock;
  readonly #models = new Map<string, HostedModel>();
  readonly #retired = new Set<string>();
  /** Pipelines that were told to load it and are not rid of it yet, by model. */
  readonly #holders = new Map<string, Set<string>>();
  /** Requests that were let in and are not queued yet, by model. */
  readonly #expected = new Map<string, number>();
  /** Items that have not ended, by model. */
  readonly #items = new Map<string, number>();
  readonly #up = new Set<string>();
  /** Pipelines by model. */
  readonly #residences = new Map<string, Set<string>>();
  /** Models that nobody could load, until when not. */
  readonly #holds = new Map<string, Hold>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(model: HostedModel): ModelSpec {
    const { key, name, modelDir, version, mode, bytes, keep, rowsMax, runRowsMax } = model;
    const { leastBytes = bytes } = model;
    // Only this: what else the owner has of a version, its tokenizer above all, may go when the version does.
    const own = { key, name, modelDir, mode, bytes, leastBytes, keep, rowsMax };
    this.#models.set(key, version === undefined ? own : { ...own, version });
    this.#holds.delete(key);
    this.#retired.delete(key);
    const runs = runRowsMax === undefined ? {} : { runRowsMax };
    return { model: key, mode, bytes, leastBytes, keep, rowsMax, ...runs };
  }

  /** Nobody is let in for it any more. */
  retire(key: string): void {
    if (this.#models.has(key)) this.#retired.add(key);
  }

  expect(key: string): void {
    this.#expected.set(key, (this.#expected.get(key) ?? 0) + 1);
  }

  arrived(key: string): void {
    const left = (this.#expected.get(key) ?? 0) - 1;
    if (left > 0) this.#expected.set(key, left);
    else this.#expected.delete(key);
  }

  isExpected(key: string): boolean {
    return this.#expected.has(key);
  }

  /** Or was, and is forgotten. */
  isRetired(key: string): boolean {
    return this.#retired.has(key) || !this.#models.has(key);
  }

  itemsOpened(key: string, items: number): void {
    this.#items.set(key, (this.#items.get(key) ?? 0) + items);
  }

  itemClosed(key: string): void {
    const left = (this.#items.get(key) ?? 0) - 1;
    if (left > 0) this.#items.set(key, left);
    else {
      this.#items.delete(key);
      this.forgetIfOver(key);
    }
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

  /** After all that follows from that. */
  pipelineGone(pipelineId: string): void {
    for (const key of this.#holders.keys()) this.rid(pipelineId, key);
  }

  loading(pipelineId: string, key: string): void {
    const pipelines = this.#holders.get(key) ?? new Set();
    this.#holders.set(key, pipelines.add(pipelineId));
  }

  /** It could not load it, or has unloaded it, or is gone: it says nothing of it any more. */
  rid(pipelineId: string, key: string): void {
    const pipelines = this.#holders.get(key);
    pipelines?.delete(pipelineId);
    if (pipelines?.size === 0) this.#holders.delete(key);
    this.forgetIfOver(key);
  }

  forgetIfOver(key: string): void {
    const uses = [this.#holders, this.#items, this.#expected];
    if (!this.isRetired(key) || uses.some((each) => each.has(key))) return;
    this.#models.delete(key);
    this.#retired.delete(key);
    this.#residences.delete(key);
    this.#holds.delete(key);
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
    if (this.#models.has(key)) this.#holds.set(key, hold);
  }

  /** Resident somewhere, or likely to be after one load: null; else why nobody can be served with it now. */
  refusalOf(key: string): MillraceError | null {
    if (this.isRetired(key)) return notServed(this.nameOf(key));
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

/** Whoever sends it again meets the version that is served now, or learns that there is none. */
export function notServed(name: string): MillraceError {
  return notReady(`this version of ${name} is not served any more`, notReadyRetryMs);
}

function notReady(message: string, retryAfterMs: number): MillraceError {
  return new MillraceError("not_ready", message, { retryAfterMs });
}
