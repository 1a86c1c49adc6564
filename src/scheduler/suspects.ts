import { assertScheduler } from "./assert.js";
import type { FedPipeline } from "./fed-pipeline.js";
import type { ModelState } from "./model-state.js";
import type { ItemEntry, RequestEntry } from "./request-book.js";

/**
 * Groups of items of which one may have ended a pipeline. Each runs alone in its process, whatever else that hosts, and one
 * group of a model at a time, so that never more than one of its pipelines is at risk.
 *
 * ```
 *   groups: {a b} {c d} …          pipeline:  feeds ──reserve──► drains ──empty──► runs {a b} ──settled──► feeds
 *                                                 (other pipelines go on meanwhile, other models of this one wait)
 * ```
 */
export class Suspects {
  /** In the order in which they run; those whose callers have all left are empty. */
  readonly #groups: Set<ItemEntry>[] = [];
  readonly #groupOf = new Map<ItemEntry, Set<ItemEntry>>();
  #pipeline: FedPipeline | null = null;
  #running = false;

  /** The pipeline that drains for a group or runs one; nothing else is sent to it. */
  get pipeline(): FedPipeline | null {
    return this.#pipeline;
  }

  get waitingItems(): number {
    return this.#groupOf.size;
  }

  /** Whose items wait. */
  get requests(): readonly RequestEntry[] {
    return [...this.#groupOf.keys()].map((item) => item.request);
  }

  /** A group of several batch keys runs as several: no batch mixes keys. */
  add(items: readonly ItemEntry[]): void {
    const byKey = new Map<string, Set<ItemEntry>>();
    for (const item of items) {
      const { batchKey } = item.kin;
      let group = byKey.get(batchKey);
      if (group === undefined) {
        group = new Set();
        byKey.set(batchKey, group);
        this.#groups.push(group);
      }
      group.add(item);
      this.#groupOf.set(item, group);
    }
  }

  /** Nobody waits for this one any more. */
  remove(item: ItemEntry): void {
    this.#groupOf.get(item)?.delete(item);
    this.#groupOf.delete(item);
  }

  pipelineDown(pipeline: FedPipeline): void {
    if (this.#pipeline !== pipeline) return;
    this.#pipeline = null;
    this.#running = false;
  }

  /** The group to send now, and where; null: there is none, or its pipeline still drains. */
  next(
    model: ModelState,
  ): { readonly pipeline: FedPipeline; readonly group: readonly ItemEntry[] } | null {
    if (this.#running && this.#pipeline?.host.items === 0) this.#running = false;
    if (this.#running) return null;
    while (this.#groups[0]?.size === 0) this.#groups.shift();
    const group = this.#groups[0];
    if (group === undefined) {
      this.#reserve(null, model);
      return null;
    }
    if (this.#pipeline === null) this.#reserve(emptiest(model.pipelines, group), model);
    if (this.#pipeline === null || this.#pipeline.host.items > 0) return null;
    this.#groups.shift();
    for (const item of group) this.#groupOf.delete(item);
    this.#running = true;
    return { pipeline: this.#pipeline, group: [...group] };
  }

  #reserve(pipeline: FedPipeline | null, model: ModelState): void {
    if (this.#pipeline !== null) this.#pipeline.host.reservedFor = null;
    this.#pipeline = pipeline;
    if (pipeline !== null) pipeline.host.reservedFor = model;
  }
}

function emptiest(
  pipelines: readonly FedPipeline[],
  group: ReadonlySet<ItemEntry>,
): FedPipeline | null {
  assertScheduler(group.size > 0, "a group of suspects is empty");
  // Mixed groups come from pipelines that served both classes; where none is left, any will do.
  // What drains to be unloaded, loads, or is kept for another model's suspects, is none to wait for.
  let able = pipelines.filter((pipeline) => !pipeline.isClosed);
  for (const workClass of new Set([...group].map((item) => item.request.class))) {
    const narrower = able.filter((pipeline) => pipeline.isMeantFor(workClass));
    if (narrower.length > 0) able = narrower;
  }
  let best: FedPipeline | null = null;
  for (const pipeline of able)
    if (best === null || pipeline.host.items < best.host.items) best = pipeline;
  return best;
}
