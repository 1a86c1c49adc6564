import type { PipelineKind } from "millrace-client/wire";
import type { PolicyName } from "#src/scheduler/policy.js";
import { Scheduler, type SchedulerOptions } from "#src/scheduler/scheduler.js";
import type { Decision, ItemSpec, PipelineCapacity, SchedulerEvent } from "#src/scheduler/types.js";
import { VirtualClock } from "./clock.js";
import { type FakeEvents, type FakeItem, FakePipeline } from "./fake-pipeline.js";
import { Checker, Violation } from "./invariants.js";
import { Random } from "./random.js";

export type SchedulerLike = Pick<Scheduler, "step" | "snapshot">;
export type MakeScheduler = (options: SchedulerOptions) => SchedulerLike;

export interface Result {
  readonly seed: number;
  readonly violation: Violation | null;
  readonly policy: PolicyName;
  readonly items: number;
  readonly outcomes: number;
  readonly batches: number;
  readonly deaths: number;
}

/** Runs one schedule from its seed to the end of all events, or to the first broken promise. */
export function simulate(
  seed: number,
  make: MakeScheduler = (options) => new Scheduler(options),
): Result {
  const world = new World(seed, make);
  const violation = world.run();
  const { policy } = world.options;
  const { outcomes, dispatched: batches } = world.checker;
  return { seed, violation, policy, items: world.items, outcomes, batches, deaths: world.deaths };
}

/** Deaths of the same item alone in a pipeline after which the ledger calls it poison. */
const killsMax = 2;

/** Far more events than any schedule has; a scheduler that wakes itself without end runs into it. */
const eventsMax = 100_000;

/** How the items of a model cost. */
interface Costs {
  readonly hasPoison: boolean;
  /** Units for each unit of width; translation has one. */
  readonly densities: readonly number[];
  /** Batch keys to choose from; null: each item has its own. */
  readonly batchKeys: readonly string[] | null;
}

/** Callers, pipelines and the ledger: everything around one scheduler, driven by one seed. */
class World {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly options: SchedulerOptions & { readonly policy: PolicyName };
  readonly checker: Checker;
  items = 0;
  deaths = 0;
  readonly #scheduler: SchedulerLike;
  readonly #pipelines = new Map<string, FakePipeline>();
  readonly #items = new Map<number, FakeItem>();
  readonly #kills = new Map<number, number>();
  readonly #absent = new Set<number>();
  #requests = 0;
  #violation: Violation | null = null;
  #stopWake: () => void = () => {};

  constructor(seed: number, make: MakeScheduler) {
    this.random = new Random(seed);
    this.options = {
      policy: this.random.pick([
        "millrace",
        "millrace",
        "millrace",
        "fcfs",
        "seed-router",
      ] as const),
      realtimeTargetMs: this.random.pick([20, 50, 200]),
      ageLimitMs: this.random.pick([100, 300, 2000]),
      prefetchRows: this.random.pick([0, 4, 16]),
    };
    this.checker = new Checker(this.options);
    this.#scheduler = make(this.options);
    for (const model of this.random.chance(0.3) ? ["a", "b"] : ["a"]) this.#plan(model);
  }

  run(): Violation | null {
    let events = 0;
    while (this.#violation === null && this.clock.advance()) {
      events += 1;
      if (events > eventsMax)
        this.#violation = new Violation("every item has one outcome", "the schedule never ends");
    }
    if (this.#violation === null) this.#guard(() => this.checker.atEnd());
    return this.#violation;
  }

  #plan(model: string): void {
    const { random } = this;
    const mode = random.pick(["generation", "one-shot"] as const);
    const kinds: readonly PipelineKind[] = random.pick([
      ["shared"],
      ["shared", "shared"],
      ["realtime", "bulk"],
      ["realtime"],
      ["shared", "bulk", "realtime"],
    ] as const);
    for (const [at, kind] of kinds.entries()) {
      const pipelineId = `${model}${at}`;
      const rowsMax = random.pick([4, 16, 64]);
      const spec: PipelineCapacity = { pipelineId, model, kind, mode, rowsMax };
      this.clock.after(random.gap(20), () => this.#up(spec));
    }
    // Callers come in waves of their own rhythm: from far too little to far too much.
    const meanGapMs = random.pick([3, 10, 40]);
    const costs: Costs = {
      hasPoison: random.chance(0.3),
      densities: random.pick([[1], [1], [0.5, 3]]),
      batchKeys: random.pick([[""], [""], ["", "x"], ["x", "y", "z"], null]),
    };
    let atMs = 0;
    for (let count = random.int(4, 24); count > 0; count -= 1) {
      atMs += random.gap(meanGapMs);
      this.clock.at(atMs, () => this.#request(model, costs));
    }
    for (let count = random.pick([0, 0, 1, 3]); count > 0; count -= 1)
      this.clock.at(random.next() * atMs * 1.5, () => this.#kill());
  }

  #request(model: string, costs: Costs): void {
    const { random } = this;
    const workClass = random.pick(["realtime", "bulk"] as const);
    const rows = random.pick([1, 1, 1, 4]);
    const size =
      workClass === "bulk"
        ? random.int(1, random.pick([3, 8, 8, 80]))
        : random.int(1, random.pick([1, 1, 8]));
    const items: ItemSpec[] = [];
    for (let count = size; count > 0; count -= 1) {
      const item = this.#item(costs, rows);
      items.push(item);
      const poison = costs.hasPoison && random.chance(0.02);
      this.#items.set(item.itemId, { ...item, class: workClass, poison });
    }
    const requestId = this.#requests++;
    const { nowMs } = this.clock;
    const deadlineAtMs = random.chance(0.3) ? nowMs + random.gap(150) : null;
    const tenant = random.pick(["", "x", "y"]);
    this.#step({
      type: "request",
      request: { requestId, model, class: workClass, tenant, deadlineAtMs, items },
    });
    if (random.chance(0.15))
      this.clock.after(random.gap(60), () => {
        for (const { itemId } of items) this.#absent.add(itemId);
        this.#step({ type: "cancel", requestId });
      });
  }

  #item({ densities, batchKeys }: Costs, rows: number): ItemSpec {
    const { random } = this;
    const itemId = this.items++;
    const width = random.int(2, random.pick([12, 40, 120]));
    const units = width * random.pick(densities);
    const batchKey = batchKeys === null ? `of ${itemId}` : random.pick(batchKeys);
    return { itemId, units, width, rows, bytes: 4 * width, batchKey };
  }

  #up(spec: PipelineCapacity): void {
    const { pipelineId, model } = spec;
    const events: FakeEvents = {
      settled: (itemId) => this.#step({ type: "settled", pipelineId, itemId }),
      returned: (innocent) => this.#step({ type: "returned", pipelineId, innocent, groups: [] }),
      measured: (run) => this.#step({ type: "measured", model, ...run }),
      died: (byItems) => this.#died(spec, byItems),
    };
    const { clock, random } = this;
    this.#pipelines.set(pipelineId, new FakePipeline(spec, { clock, random, events }));
    this.#step({ type: "pipeline-up", pipeline: spec });
  }

  #kill(): void {
    const alive = [...this.#pipelines.values()];
    if (alive.length > 0) this.random.pick(alive).die(false);
  }

  /** What the ledger does: tells of the death, then what becomes of the items; a new process comes later. */
  #died(spec: PipelineCapacity, byItems: boolean): void {
    this.deaths += 1;
    const pipeline = this.#pipelines.get(spec.pipelineId);
    this.#pipelines.delete(spec.pipelineId);
    const held = [...(pipeline?.held.values() ?? [])];
    this.#step({ type: "pipeline-down", pipelineId: spec.pipelineId });
    this.clock.after(this.random.gap(5), () => this.#judge(spec.pipelineId, { held, byItems }));
    this.clock.after(this.random.gap(80), () => this.#up(spec));
  }

  #judge(
    pipelineId: string,
    { held, byItems }: { held: readonly { item: FakeItem; begun: boolean }[]; byItems: boolean },
  ): void {
    const innocent: number[] = [];
    const suspects: number[] = [];
    for (const { item, begun } of held) {
      // Of an item whose caller left, the ledger may or may not speak again.
      if (this.#absent.has(item.itemId) && this.random.chance(0.5)) continue;
      // A last frame that was on its way when the process died.
      if (this.random.chance(0.1)) this.#step({ type: "settled", pipelineId, itemId: item.itemId });
      else if (byItems && begun) suspects.push(item.itemId);
      else innocent.push(item.itemId);
    }
    const groups: number[][] = [];
    const [single] = suspects;
    if (suspects.length === 1 && single !== undefined) {
      const kills = (this.#kills.get(single) ?? 0) + 1;
      this.#kills.set(single, kills);
      if (kills > killsMax) this.#step({ type: "settled", pipelineId, itemId: single });
      else groups.push([single]);
    } else if (suspects.length > 1) {
      const middle = Math.ceil(suspects.length / 2);
      groups.push(suspects.slice(0, middle), suspects.slice(middle));
    }
    this.#step({ type: "returned", pipelineId, innocent, groups });
  }

  #step(event: SchedulerEvent): void {
    if (this.#violation !== null) return;
    const { nowMs } = this.clock;
    this.#guard(() => {
      this.checker.before(event, nowMs);
      const decisions = this.#scheduler.step(event, nowMs);
      this.checker.after(decisions, this.#scheduler.snapshot(nowMs), nowMs);
      for (const decision of decisions) this.#carryOut(decision);
    });
  }

  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (error instanceof Violation) this.#violation = error;
      else if (error instanceof Error && error.name === "SchedulerBug")
        this.#violation = new Violation("the scheduler's own assertions", error.message);
      else throw error;
    }
  }

  #carryOut(decision: Decision): void {
    switch (decision.type) {
      case "dispatch": {
        const items: FakeItem[] = [];
        for (const { itemIds } of decision.batch.spans)
          for (const itemId of itemIds) {
            const item = this.#items.get(itemId);
            if (item !== undefined) items.push(item);
          }
        this.#pipelines.get(decision.pipelineId)?.send(decision.batch, items);
        return;
      }
      case "cancel":
        this.#pipelines.get(decision.pipelineId)?.cancel(decision.itemIds);
        return;
      case "recall":
        this.#pipelines.get(decision.pipelineId)?.recall(decision.itemIds);
        return;
      case "expire":
        for (const itemId of decision.itemIds) this.#absent.add(itemId);
        return;
      case "wake":
        this.#stopWake();
        this.#stopWake = this.clock.at(decision.atMs, () => this.#step({ type: "tick" }));
        return;
    }
  }
}
