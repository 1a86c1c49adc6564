/**
 * More models than fit, all of them asked for all the time, on a virtual clock: how long each is kept waiting, and what the loads
 * cost. The real scheduler; a pipeline that runs one batch after the other and loads in between; callers who ask again as
 * soon as they are answered.
 */
import type { WorkClass } from "millrace-client/wire";
import type { SchedulerOptions } from "#src/scheduler/scheduler.js";
import type { Batch, Decision } from "#src/scheduler/types.js";
import { ClockedScheduler } from "#src/simulation/clocked-scheduler.js";
import { VirtualClock } from "#src/simulation/virtual-clock.js";
import type { Random } from "./random.js";

export interface RotatingModel {
  readonly name: string;
  readonly mode: "continuous" | "one-shot";
  readonly class: WorkClass;
  readonly callers: number;
  readonly itemsPerRequest: number;
  readonly loadMs: number;
  /** Of one item. */
  readonly runMs: number;
}

export interface Rotation {
  readonly models: readonly RotatingModel[];
  readonly pipelines: number;
  /** Models that fit into a pipeline. */
  readonly fitting: number;
  readonly endsAtMs: number;
}

export interface Rotated {
  /** The longest that each model was asked for and on no pipeline, one that still is included. */
  readonly starvedMs: Readonly<Record<string, number>>;
  readonly loads: number;
  readonly loadingMs: number;
  readonly workingMs: number;
}

export const rotationOptions: SchedulerOptions = {
  policy: "millrace",
  realtimeTargetMs: 200,
  ageLimitMs: 2_000,
  prefetchRows: 8,
};

export function makeRotation(random: Random): Rotation {
  const models = ["a", "b", "c", "d"].map((name): RotatingModel => {
    const workClass = random.pick(["realtime", "realtime", "bulk"] as const);
    return {
      name,
      mode: random.pick(["continuous", "one-shot"] as const),
      class: workClass,
      callers: random.pick([1, 1, 2, 8]),
      itemsPerRequest: workClass === "bulk" ? random.pick([1, 40, 400]) : random.pick([1, 1, 4]),
      loadMs: random.pick([30, 100, 400]),
      runMs: random.pick([1, 5, 20]),
    };
  });
  return { models, pipelines: random.pick([1, 1, 2]), fitting: 2, endsAtMs: 120_000 };
}

/** What one pipeline does now, and what it was told to do. */
interface Process {
  readonly batches: Batch[];
  readonly residents: Set<string>;
  load: string | null;
  busy: boolean;
  turn: number;
}

export class RotationWorld {
  readonly #rotation: Rotation;
  readonly #clock = new VirtualClock();
  readonly #scheduler = new ClockedScheduler(rotationOptions, {
    clock: this.#clock,
    onDecision: (decision) => this.#carryOut(decision),
    onStepped: () => {
      for (const pipelineId of this.#processes.keys()) this.#go(pipelineId);
    },
  });
  readonly #processes = new Map<string, Process>();
  readonly #models = new Map<string, RotatingModel>();
  /** Requests that wait: their items that have no outcome yet. */
  readonly #open = new Map<
    number,
    { readonly model: RotatingModel; readonly items: Set<number> }
  >();
  readonly #requestOf = new Map<number, number>();
  readonly #starvedMs: Record<string, number> = {};
  readonly #starvedSinceMs = new Map<string, number>();
  #loads = 0;
  #loadingMs = 0;
  #workingMs = 0;
  #ids = 0;

  constructor(rotation: Rotation) {
    this.#rotation = rotation;
  }

  play(): Rotated {
    const { models, pipelines, fitting, endsAtMs } = this.#rotation;
    for (const model of models) {
      this.#models.set(model.name, model);
      const { name, mode } = model;
      const spec = { model: name, mode, bytes: 10, keep: "on-demand", rowsMax: 16 } as const;
      this.#scheduler.step({ type: "model", model: spec });
    }
    for (let at = 0; at < pipelines; at += 1) {
      const pipelineId = `p${at}`;
      this.#processes.set(pipelineId, {
        batches: [],
        residents: new Set(),
        load: null,
        busy: false,
        turn: 0,
      });
      const pipeline = { pipelineId, kind: "shared" as const, modelMemoryBytesMax: 10 * fitting };
      this.#scheduler.step({ type: "pipeline-up", pipeline });
    }
    for (const model of models)
      for (let caller = 0; caller < model.callers; caller += 1) this.#ask(model);
    while (this.#clock.nowMs < endsAtMs && this.#clock.advance());
    for (const { name } of models) this.#fed(name);
    return {
      starvedMs: this.#starvedMs,
      loads: this.#loads,
      loadingMs: this.#loadingMs,
      workingMs: this.#workingMs,
    };
  }

  #ask(model: RotatingModel): void {
    this.#ids += 1;
    const requestId = this.#ids;
    const items = Array.from({ length: model.itemsPerRequest }, () => {
      this.#ids += 1;
      this.#requestOf.set(this.#ids, requestId);
      return { itemId: this.#ids, units: 10, width: 10, rows: 1, bytes: 0, batchKey: "" };
    });
    const itemIds = new Set(items.map(({ itemId }) => itemId));
    this.#open.set(requestId, { model, items: itemIds });
    const { name, class: workClass } = model;
    this.#asked(name);
    const request = { requestId, model: name, class: workClass, tenant: "", deadlineAtMs: null };
    this.#scheduler.step({ type: "request", request: { ...request, items } });
  }

  #carryOut(decision: Decision): void {
    if (decision.type === "dispatch")
      this.#processes.get(decision.pipelineId)?.batches.push(decision.batch);
    const process = decision.type === "load" ? this.#processes.get(decision.pipelineId) : undefined;
    if (decision.type === "load" && process !== undefined) process.load = decision.model;
    if (decision.type === "unload") {
      const { pipelineId, model } = decision;
      this.#processes.get(pipelineId)?.residents.delete(model);
      if ([...this.#open.values()].some((each) => each.model.name === model)) this.#asked(model);
    }
    if (decision.type === "recall") {
      // The second of two batches waits in the process until the first one is through.
      const { pipelineId, itemIds } = decision;
      const batches = this.#processes.get(pipelineId)?.batches ?? [];
      const at = batches.findIndex(({ segments }) =>
        segments[0]?.itemIds.includes(itemIds[0] ?? -1),
      );
      if (at < 0 || (at === 0 && this.#processes.get(pipelineId)?.busy === true)) return;
      batches.splice(at, 1);
      this.#clock.at(this.#clock.nowMs, () =>
        this.#scheduler.step({ type: "returned", pipelineId, innocent: itemIds, groups: [] }),
      );
    }
  }

  #go(pipelineId: string): void {
    const process = this.#processes.get(pipelineId);
    if (process === undefined || process.busy) return;
    if (process.load !== null) return this.#load(pipelineId, process);
    const [first] = process.batches;
    if (first === undefined) return;
    // Models take turns, as engine-turns.ts has it; of one of them the oldest batch.
    const names = [...new Set(process.batches.map((batch) => batch.model))];
    process.turn += 1;
    const name = names[process.turn % names.length];
    const batch = process.batches.find((each) => each.model === name) ?? first;
    process.batches.splice(process.batches.indexOf(batch), 1);
    process.busy = true;
    const itemIds = batch.segments.flatMap((segment) => segment.itemIds);
    const ms = (this.#models.get(batch.model)?.runMs ?? 1) * itemIds.length;
    this.#workingMs += ms;
    this.#clock.at(this.#clock.nowMs + ms, () => {
      process.busy = false;
      const { model, paddedUnits } = batch;
      const told = { type: "measured", stage: "encode", runs: 1, model, paddedUnits, ms } as const;
      this.#scheduler.step(told);
      for (const itemId of itemIds) this.#settle(pipelineId, itemId);
    });
  }

  #load(pipelineId: string, process: Process): void {
    const model = process.load ?? "";
    const ms = this.#models.get(model)?.loadMs ?? 0;
    process.busy = true;
    this.#loads += 1;
    this.#loadingMs += ms;
    this.#clock.at(this.#clock.nowMs + ms, () => {
      process.load = null;
      process.busy = false;
      process.residents.add(model);
      this.#fed(model);
      this.#scheduler.step({ type: "loaded", pipelineId, model, bytes: 10, ms });
    });
  }

  #settle(pipelineId: string, itemId: number): void {
    const requestId = this.#requestOf.get(itemId) ?? -1;
    this.#requestOf.delete(itemId);
    this.#scheduler.step({ type: "settled", pipelineId, itemId });
    const request = this.#open.get(requestId);
    request?.items.delete(itemId);
    if (request === undefined || request.items.size > 0) return;
    this.#open.delete(requestId);
    this.#ask(request.model);
  }

  #asked(name: string): void {
    const isThere = [...this.#processes.values()].some(({ residents }) => residents.has(name));
    if (!isThere && !this.#starvedSinceMs.has(name))
      this.#starvedSinceMs.set(name, this.#clock.nowMs);
  }

  #fed(name: string): void {
    const sinceMs = this.#starvedSinceMs.get(name) ?? this.#clock.nowMs;
    this.#starvedSinceMs.delete(name);
    this.#starvedMs[name] = Math.max(this.#starvedMs[name] ?? 0, this.#clock.nowMs - sinceMs);
  }
}
