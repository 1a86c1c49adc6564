/**
 * What becomes of requests that the door would refuse for their deadline, where it lets them in all the same: none of it may be done by then.
 * The product's scheduler on a virtual clock; a pipeline takes a time for a run and one for each unit, and is now and then faster.
 */
import type { WorkClass } from "millrace-client/wire";
import type { Batch, ItemSpec, RunMode } from "#src/scheduler/types.js";
import { ClockedScheduler } from "#src/simulation/clocked-scheduler.js";
import { VirtualClock } from "#src/simulation/virtual-clock.js";
import { deadlineRefusal } from "#src/submit/local/deadline-refusal.js";
import { Random } from "./random.js";

export interface OverdueFigures {
  /** Requests that the door would refuse. */
  readonly refused: number;
  /** Of these, such as were done whole by their deadline. */
  readonly metAllTheSame: number;
  /** Requests with a deadline that were let in. */
  readonly letIn: number;
}

interface Asked {
  readonly deadlineAtMs: number | null;
  readonly isRefused: boolean;
  left: number;
}

const model = "m";

export function overdue(seed: number): OverdueFigures {
  return new Overdue(seed).run();
}

class Overdue {
  readonly #clock = new VirtualClock();
  readonly #random: Random;
  readonly #scheduler: ClockedScheduler;
  readonly #mode: RunMode;
  readonly #keys: number;
  readonly #tenants: number;
  readonly #perUnitMs: number;
  readonly #load: number;
  readonly #pipelines: number;
  readonly #specs = new Map<number, { readonly spec: ItemSpec; readonly asked: Asked }>();
  readonly #freeAtMs: number[];
  readonly #figures = { refused: 0, metAllTheSame: 0, letIn: 0 };
  #nextId = 0;

  constructor(seed: number) {
    const random = new Random(seed);
    this.#random = random;
    this.#mode = random.pick(["one-shot", "continuous"]);
    this.#keys = random.int(1, 3);
    this.#tenants = random.int(1, 4);
    this.#perUnitMs = random.pick([0.05, 0.5]);
    this.#load = random.pick([0.8, 1.5, 4]);
    this.#pipelines = random.int(1, 3);
    this.#freeAtMs = Array.from({ length: this.#pipelines }, () => 0);
    const ageLimitMs = random.pick([100, 1_000, 10_000]);
    const limits = { realtimeTargetMs: 200, ageLimitMs, prefetchRows: 8 };
    this.#scheduler = new ClockedScheduler(
      { policy: "millrace", ...limits },
      {
        clock: this.#clock,
        onDecision: (decision) => {
          if (decision.type === "dispatch") this.#dispatch(decision.pipelineId, decision.batch);
        },
      },
    );
  }

  run(): OverdueFigures {
    this.#scheduler.step({
      type: "model",
      model: { model, mode: this.#mode, bytes: 1, keep: "preloaded", rowsMax: 16 },
    });
    for (const at of this.#freeAtMs.keys()) {
      const pipelineId = `p${at}`;
      const pipeline = {
        pipelineId,
        kind: "shared",
        modelMemoryBytesMax: 10,
      } as const;
      this.#scheduler.step({ type: "pipeline-up", pipeline });
      this.#scheduler.step({ type: "loaded", pipelineId, model, bytes: 1, ms: 1 });
    }
    this.#come(0);
    while (this.#clock.advance());
    return this.#figures;
  }

  /** Callers come as often as the load says, for half a minute; then all ends. */
  #come(atMs: number): void {
    if (atMs > 30_000) return;
    this.#clock.at(atMs, () => {
      const units = this.#arrive();
      const serviceMs = (units * this.#perUnitMs) / this.#pipelines;
      this.#come(atMs + this.#random.gap(serviceMs / this.#load));
    });
  }

  /** Its units. */
  #arrive(): number {
    const random = this.#random;
    const nowMs = this.#clock.nowMs;
    const workClass: WorkClass = random.pick(["realtime", "realtime", "bulk"]);
    const count = random.chance(0.1) ? random.int(20, 200) : random.int(1, 4);
    const timeoutMs = random.chance(0.4) ? random.gap(random.pick([50, 500, 5_000])) : null;
    const deadlineAtMs = timeoutMs === null ? null : nowMs + timeoutMs;
    const waitMs =
      deadlineAtMs === null
        ? 0
        : this.#scheduler.leastWaitMs({ model, class: workClass, rows: count, deadlineAtMs });
    const isRefused = timeoutMs !== null && deadlineRefusal({ waitMs, leftMs: timeoutMs }) !== null;
    const asked: Asked = { deadlineAtMs, isRefused, left: count };
    if (isRefused) this.#figures.refused += 1;
    else if (timeoutMs !== null) this.#figures.letIn += 1;
    const batchKey = `k${random.int(1, this.#keys)}`;
    let units = 0;
    const items = Array.from({ length: count }, (): ItemSpec => {
      const width = random.int(1, 60);
      units += width;
      const spec = { itemId: this.#nextId++, units: width, width, rows: 1, bytes: 1, batchKey };
      this.#specs.set(spec.itemId, { spec, asked });
      return spec;
    });
    const tenant = `t${random.int(1, this.#tenants)}`;
    const requestId = this.#nextId++;
    const terms = { model, class: workClass, tenant, deadlineAtMs };
    this.#scheduler.step({ type: "request", request: { requestId, ...terms, items } });
    return units;
  }

  /** One-shot: all of a batch at once, padded; continuous: one item after the other. */
  #dispatch(pipelineId: string, batch: Batch): void {
    const at = Number(pipelineId.slice(1));
    const items = batch.segments.flatMap(({ itemIds }) => itemIds);
    const pace = this.#random.pick([0.7, 1, 1, 1.3]);
    let freeAtMs = Math.max(this.#clock.nowMs, this.#freeAtMs[at] ?? 0);
    const isWhole = this.#mode === "one-shot";
    if (isWhole) freeAtMs += pace * (2 + this.#perUnitMs * batch.paddedUnits);
    for (const itemId of items) {
      const units = this.#specs.get(itemId)?.spec.units ?? 0;
      if (!isWhole) freeAtMs += pace * this.#perUnitMs * units;
      this.#clock.at(freeAtMs, () => this.#end(pipelineId, itemId));
    }
    this.#freeAtMs[at] = freeAtMs;
  }

  #end(pipelineId: string, itemId: number): void {
    const asked = this.#specs.get(itemId)?.asked;
    this.#specs.delete(itemId);
    if (asked !== undefined) {
      asked.left -= 1;
      const isMet = asked.left === 0 && this.#clock.nowMs <= (asked.deadlineAtMs ?? Infinity);
      if (asked.isRefused && isMet) this.#figures.metAllTheSame += 1;
    }
    this.#scheduler.step({ type: "settled", pipelineId, itemId });
  }
}
