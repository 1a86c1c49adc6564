import { assertScheduler } from "./assert.js";
import { type PipelineState, serving } from "./pipeline-state.js";
import type { ItemEntry } from "./request-book.js";

/**
 * Groups of items of which one may have ended a pipeline. Each runs alone, and one group of a model at a time, so that
 * never more than one of its pipelines is at risk.
 *
 * ```
 *   groups: [a b] [c d] …          pipeline:  feeds ──reserve──► drains ──empty──► runs [a b] ──settled──► feeds
 *                                                 (the other pipelines go on meanwhile)
 * ```
 */
export class Suspects {
  #groups: ItemEntry[][] = [];
  #pipeline: PipelineState | null = null;
  #running = false;

  /** The pipeline that drains for a group or runs one; nothing else is sent to it. */
  get pipeline(): PipelineState | null {
    return this.#pipeline;
  }

  get waitingItems(): number {
    return this.#groups.reduce((sum, group) => sum + group.length, 0);
  }

  add(group: readonly ItemEntry[]): void {
    if (group.length > 0) this.#groups.push([...group]);
  }

  /** Nobody waits for this one any more. */
  remove(item: ItemEntry): void {
    this.#groups = this.#groups
      .map((group) => group.filter((other) => other !== item))
      .filter((group) => group.length > 0);
  }

  pipelineDown(pipeline: PipelineState): void {
    if (this.#pipeline !== pipeline) return;
    this.#pipeline = null;
    this.#running = false;
  }

  /** The group to send now, and where; null: there is none, or its pipeline still drains. */
  next(
    pipelines: readonly PipelineState[],
  ): { readonly pipeline: PipelineState; readonly group: readonly ItemEntry[] } | null {
    if (this.#running && this.#pipeline?.inFlight === 0) this.#running = false;
    if (this.#running) return null;
    const group = this.#groups[0];
    if (group === undefined) {
      this.#pipeline = null;
      return null;
    }
    this.#pipeline ??= emptiest(pipelines, group);
    if (this.#pipeline === null || this.#pipeline.inFlight > 0) return null;
    this.#groups.shift();
    this.#running = true;
    return { pipeline: this.#pipeline, group };
  }
}

function emptiest(
  pipelines: readonly PipelineState[],
  group: readonly ItemEntry[],
): PipelineState | null {
  const first = group[0];
  assertScheduler(first !== undefined, "a group of suspects is empty");
  // Mixed groups come from pipelines that served both classes; where none is left, any will do.
  let able = pipelines;
  for (const workClass of new Set(group.map((item) => item.request.class))) {
    const narrower = serving(able, workClass);
    if (narrower.length > 0) able = narrower;
  }
  return able.toSorted((a, b) => a.inFlight - b.inFlight)[0] ?? null;
}
