import type { Batch, ItemSpec, PipelineCapacity } from "#src/scheduler/types.js";
import type { VirtualClock } from "./clock.js";
import type { Random } from "./random.js";
import { runMs } from "./recorded-runs.js";

export interface FakeItem extends ItemSpec {
  readonly class: "realtime" | "bulk";
  /** A run with it ends the pipeline. */
  readonly poison: boolean;
}

export interface FakeEvents {
  settled(itemId: number): void;
  returned(itemIds: readonly number[]): void;
  measured(run: { stage: string; runs: number; paddedUnits: number; ms: number }): void;
  /** `byItems`: it died of a run; the begun items are suspects. */
  died(byItems: boolean): void;
}

interface Held {
  readonly item: FakeItem;
  readonly batchId: number;
  begun: boolean;
  cancelled: boolean;
  stepsLeft: number;
}

/** Tokens that a simulated generation advances between two looks at its queue: fewer events, the same order. */
const stride = 8;

/** A child process as the parent sees it: takes batches, takes time, may die, and may answer late. */
export class FakePipeline {
  readonly spec: PipelineCapacity;
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #events: FakeEvents;
  readonly held = new Map<number, Held>();
  alive = true;
  #busy = false;

  constructor(
    spec: PipelineCapacity,
    world: { clock: VirtualClock; random: Random; events: FakeEvents },
  ) {
    this.spec = spec;
    this.#clock = world.clock;
    this.#random = world.random;
    this.#events = world.events;
  }

  send(batch: Batch, items: readonly FakeItem[]): void {
    for (const item of items) {
      const stepsLeft = this.spec.mode === "generation" ? Math.ceil(item.width / stride) : 1;
      const { batchId } = batch;
      this.held.set(item.itemId, { item, batchId, begun: false, cancelled: false, stepsLeft });
    }
    this.#later(0.1, () => this.#run());
  }

  /** What has not begun is dropped soon and reported; what runs ends with its run. */
  cancel(itemIds: readonly number[]): void {
    this.#later(this.#random.gap(3), () => {
      for (const itemId of itemIds) {
        const held = this.held.get(itemId);
        if (held === undefined) continue;
        held.cancelled = true;
        if (!held.begun) this.#settle(held);
      }
    });
  }

  recall(itemIds: readonly number[]): void {
    this.#later(this.#random.gap(1), () => {
      const back = itemIds.filter((itemId) => this.held.get(itemId)?.begun === false);
      for (const itemId of back) this.held.delete(itemId);
      if (back.length > 0) this.#events.returned(back);
    });
  }

  die(byItems: boolean): void {
    if (!this.alive) return;
    this.alive = false;
    this.#events.died(byItems);
  }

  #later(ms: number, run: () => void): void {
    this.#clock.after(ms, () => {
      if (this.alive) run();
    });
  }

  #settle(held: Held): void {
    this.held.delete(held.item.itemId);
    this.#events.settled(held.item.itemId);
  }

  #run(): void {
    if (this.#busy || this.held.size === 0) return;
    const running = this.spec.mode === "generation" ? this.#admit() : this.#firstBatch();
    if (running.length === 0) return;
    for (const held of running) held.begun = true;
    this.#busy = true;
    const rows = running.reduce((sum, { item }) => sum + item.rows, 0);
    const width = Math.max(...running.map(({ item }) => item.width));
    const stage = this.spec.mode === "generation" ? "decode" : "encode";
    const runs = this.spec.mode === "generation" ? stride : 1;
    const ms = runs * runMs(stage, rows, width) * (0.8 + 0.4 * this.#random.next());
    this.#later(ms, () => {
      if (running.some(({ item }) => item.poison)) return this.die(true);
      this.#busy = false;
      let padded = 0;
      for (const { item } of running) padded += item.units * (width / item.width);
      this.#events.measured({ stage, runs, paddedUnits: runs * padded, ms });
      for (const held of running) {
        held.stepsLeft -= 1;
        if (held.stepsLeft <= 0 || held.cancelled) this.#settle(held);
      }
      this.#run();
    });
  }

  #firstBatch(): Held[] {
    const [first] = this.held.values();
    return [...this.held.values()].filter(({ batchId }) => batchId === first?.batchId);
  }

  /** Rows that run go on; realtime joins before bulk. */
  #admit(): Held[] {
    const running = [...this.held.values()].filter(({ begun }) => begun);
    let rows = running.reduce((sum, { item }) => sum + item.rows, 0);
    for (const workClass of ["realtime", "bulk"] as const) {
      for (const held of this.held.values()) {
        if (held.begun || held.item.class !== workClass || running.includes(held)) continue;
        if (rows > 0 && rows + held.item.rows > this.spec.rowsMax) continue;
        rows += held.item.rows;
        running.push(held);
      }
    }
    return running;
  }
}
