import { assertScheduler } from "./assert.js";
import type { FedPipeline } from "./fed-pipeline.js";
import type { ItemEntry } from "./request-book.js";

/**
 * Groups of items of which one may have ended a pipeline. Each runs alone, and one group of a model at a time, so that
 * never more than one of its pipelines is at risk.
 *
 * ```
 *   groups: {a b} {c d} …          pipeline:  feeds ──reserve──► drains ──empty──► runs {a b} ──settled──► feeds
 *                                                 (the other pipelines go on meanwhile)
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
    pipelines: readonly FedPipeline[],
  ): { readonly pipeline: FedPipeline; readonly group: readonly ItemEntry[] } | null {
    if (this.#running && this.#pipeline?.inFlight === 0) this.#running = false;
    if (this.#running) return null;
    while (this.#groups[0]?.size === 0) this.#groups.shift();
    const group = this.#groups[0];
    if (group === undefined) {
      this.#pipeline = null;
      return null;
    }
    this.#pipeline ??= emptiest(pipelines, group);
    if (this.#pipeline === null || this.#pipeline.inFlight > 0) return null;
    this.#groups.shift();
    for (const item of group) this.#groupOf.delete(item);
    this.#running = true;
    return { pipeline: this.#pipeline, group: [...group] };
  }
}

function emptiest(
  pipelines: readonly FedPipeline[],
  group: ReadonlySet<ItemEntry>,
): FedPipeline | null {
  assertScheduler(group.size > 0, "a group of suspects is empty");
  // Mixed groups come from pipelines that served both classes; where none is left, any will do.
  let able = pipelines;
  for (const workClass of new Set([...group].map((item) => item.request.class))) {
    const narrower = able.filter((pipeline) => pipeline.isMeantFor(workClass));
    if (narrower.length > 0) able = narrower;
  }
  let best: FedPipeline | null = null;
  for (const pipeline of able)
    if (best === null || pipeline.inFlight < best.inFlight) best = pipeline;
  return best;
}
