/** An engine of a one-shot model: batches one after the other, each in one run. */
import {
  type EngineRun,
  type RunMs,
  type SimulatedEngine,
  type SimulatedItem,
  sum,
} from "#src/simulation/simulated-engine.js";

export class OneShotEngine<Item extends SimulatedItem> implements SimulatedEngine<Item> {
  readonly #runMs: RunMs;
  readonly #batches: { readonly batchId: number; items: Item[] }[] = [];
  #running: Item[] = [];

  constructor(runMs: RunMs) {
    this.#runMs = runMs;
  }

  add({ batchId }: { readonly batchId: number }, items: readonly Item[]): void {
    const last = this.#batches.at(-1);
    if (last?.batchId === batchId) last.items.push(...items);
    else this.#batches.push({ batchId, items: [...items] });
  }

  cancel(itemIds: readonly number[]): void {
    this.recall(itemIds);
    this.#running = this.#running.filter(({ itemId }) => !itemIds.includes(itemId));
  }

  recall(itemIds: readonly number[]): number[] {
    const taken: number[] = [];
    for (const batch of this.#batches) {
      batch.items = batch.items.filter(({ itemId }) => {
        if (!itemIds.includes(itemId)) return true;
        taken.push(itemId);
        return false;
      });
    }
    return taken;
  }

  get isBusy(): boolean {
    return this.#batches.some(({ items }) => items.length > 0);
  }

  next(): EngineRun<Item> | null {
    let items: Item[] = [];
    while (items.length === 0) {
      const batch = this.#batches.shift();
      if (batch === undefined) return null;
      ({ items } = batch);
    }
    this.#running = items;
    return this.#run(items);
  }

  predictedMs(): number {
    const next = this.#batches.find(({ items }) => items.length > 0);
    return next === undefined ? 0 : this.#run(next.items).ms;
  }

  begun(): number[] {
    return this.#running.map(({ itemId }) => itemId);
  }

  has(itemId: number): boolean {
    const isIt = (item: Item): boolean => item.itemId === itemId;
    return this.#running.some(isIt) || this.#batches.some(({ items }) => items.some(isIt));
  }

  #run(items: readonly Item[]): EngineRun<Item> {
    const rows = sum(items, ({ cost }) => cost.rows);
    const width = Math.max(...items.map(({ cost }) => cost.width));
    const paddedUnits = Math.round(sum(items, ({ cost }) => cost.units * (width / cost.width)));
    return {
      stage: "encode",
      runs: 1,
      rows,
      width,
      units: sum(items, ({ cost }) => cost.units),
      paddedUnits,
      ms: this.#runMs("encode", { rows, width, paddedUnits }),
      itemsBegin: true,
      items,
      finish: () => this.#running.splice(0),
    };
  }
}
