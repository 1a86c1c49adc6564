/**
 * A policy at work without processes: the product's scheduler and the engine's choosing on a virtual clock. Runs take the times that
 * were recorded of the model (`npm run bench -- record-runs`), each pipeline on a processor of its own; the server around them takes none.
 */
import type { PipelineKind } from "millrace-client/wire";
import { generationEngineDefaults } from "#src/runtime/generation/generation-engine.js";
import type { PolicyName } from "#src/scheduler/policy.js";
import { engineClassOf } from "#src/scheduler/rank.js";
import type { Batch, ItemSpec } from "#src/scheduler/types.js";
import { ClockedScheduler } from "#src/simulation/clocked-scheduler.js";
import { RunMeter } from "#src/simulation/run-meter.js";
import type { EngineRun, SimulatedItem } from "#src/simulation/simulated-engine.js";
import { SimulatedGeneration } from "#src/simulation/simulated-generation.js";
import { VirtualClock } from "#src/simulation/virtual-clock.js";
import { recordedMs } from "../../test/sim/recorded-runs.js";
import { type Quantiles, quantiles } from "../harness/quantiles.js";
import { fewItems, type SimCall, type Workload } from "./workloads.js";

export interface SimulationShape {
  readonly policy: PolicyName;
  /** One for each pipeline. */
  readonly pipelines: readonly PipelineKind[];
  readonly rowsMax: number;
}

export interface SimulationFigures {
  /** Of the callers with a few items: from a request to its last item. */
  readonly few: Quantiles;
  /** Until the last item of all. */
  readonly totalMs: number;
  readonly tokensPerSecond: number;
  /** What the encoder computed for nothing, of all that it computed: while a thousand items or more waited, and over all. */
  readonly paddingFull: number;
  readonly padding: number;
  /** The first of these, if chunks were padded to their widest item and no further. */
  readonly paddingTight: number;
  /** Rows of a mean step of the decoder, of those that there are. */
  readonly fullness: number;
}

const model = "m";
const reportEveryMs = 100;
/** Tokens that a step of the simulation advances. */
const stride = 4;
/** Submit queues a request in slices of so many. */
const sliceItems = 4_096;
const manyWait = 1_000;

export function simulate(workload: Workload, shape: SimulationShape): SimulationFigures {
  return new Simulation(workload, shape).run();
}

interface OpenCall {
  readonly call: SimCall;
  left: number;
}

interface SimPipeline {
  readonly pipelineId: string;
  readonly engine: SimulatedGeneration<SimulatedItem>;
  readonly meter: RunMeter;
  isRunning: boolean;
}

class Simulation {
  readonly #clock = new VirtualClock();
  readonly #scheduler: ClockedScheduler;
  readonly #workload: Workload;
  readonly #shape: SimulationShape;
  readonly #pipelines = new Map<string, SimPipeline>();
  readonly #items = new Map<number, { readonly spec: ItemSpec; readonly open: OpenCall }>();
  readonly #latencies: number[] = [];
  readonly #encoded = { units: 0, padded: 0, unitsFull: 0, paddedFull: 0, tightFull: 0 };
  readonly #steps = { rows: 0, runs: 0 };
  #stopReport: () => void = () => {};
  #openItems = 0;
  #queued = 0;
  #nextId = 0;
  #tokens = 0;

  constructor(workload: Workload, shape: SimulationShape) {
    this.#workload = workload;
    this.#shape = shape;
    const limits = { realtimeTargetMs: 200, ageLimitMs: 10_000, prefetchRows: 32 };
    this.#scheduler = new ClockedScheduler(
      { policy: shape.policy, ...limits },
      {
        clock: this.#clock,
        onDecision: (decision) => {
          if (decision.type === "dispatch") this.#dispatch(decision.pipelineId, decision.batch);
        },
      },
    );
    this.#openItems = workload.calls.reduce((sum, { widths }) => sum + widths.length, 0);
  }

  run(): SimulationFigures {
    this.#start();
    for (const call of this.#workload.calls) this.#clock.at(call.atMs, () => this.#arrive(call));
    while (this.#openItems > 0 && this.#clock.advance());
    if (this.#openItems > 0) throw new Error(`${this.#openItems} items were never computed`);
    const { units, padded, unitsFull, paddedFull, tightFull } = this.#encoded;
    const totalMs = this.#clock.nowMs;
    const rowsOfAll = this.#steps.runs * this.#shape.rowsMax;
    return {
      few: quantiles(this.#latencies),
      totalMs,
      tokensPerSecond: (1_000 * this.#tokens) / totalMs,
      paddingFull: paddedFull === 0 ? 0 : 1 - unitsFull / paddedFull,
      padding: 1 - units / padded,
      paddingTight: tightFull === 0 ? 0 : 1 - unitsFull / tightFull,
      fullness: this.#steps.rows / rowsOfAll,
    };
  }

  #start(): void {
    const { pipelines, rowsMax } = this.#shape;
    const spec = { model, mode: "continuous", bytes: 1, keep: "preloaded", rowsMax } as const;
    this.#scheduler.step({ type: "model", model: spec });
    for (const [at, kind] of pipelines.entries()) {
      const pipelineId = `p${at}`;
      const limits = { ...generationEngineDefaults, rowsMax };
      const engine = new SimulatedGeneration({ limits, runMs: recordedMs, stride });
      const meter = new RunMeter();
      this.#pipelines.set(pipelineId, { pipelineId, engine, meter, isRunning: false });
      const pipeline = { pipelineId, kind, modelMemoryBytesMax: 10 };
      this.#scheduler.step({ type: "pipeline-up", pipeline });
      this.#scheduler.step({ type: "loaded", pipelineId, model, bytes: 1, ms: 1 });
    }
    this.#report();
  }

  #arrive(call: SimCall): void {
    const open: OpenCall = { call, left: call.widths.length };
    const { class: workClass, tenant } = call;
    for (let from = 0; from < call.widths.length; from += sliceItems) {
      const items = call.widths.slice(from, from + sliceItems).map((width): ItemSpec => {
        const itemId = this.#nextId++;
        const spec = { itemId, units: width, width, rows: 1, bytes: 4 * width, batchKey: "" };
        this.#items.set(itemId, { spec, open });
        return spec;
      });
      this.#queued += items.length;
      const requestId = this.#nextId++;
      const request = { requestId, model, class: workClass, tenant, deadlineAtMs: null, items };
      this.#scheduler.step({ type: "request", request });
    }
  }

  #dispatch(pipelineId: string, batch: Batch): void {
    const pipeline = this.#pipelines.get(pipelineId);
    const items = batch.segments.flatMap(({ itemIds }) => itemIds.map((id) => this.#itemOf(id)));
    this.#queued -= items.length;
    pipeline?.engine.add({ class: engineClassOf(batch) }, items, this.#clock.nowMs);
    // What else this step sends comes before the first run.
    if (pipeline !== undefined && !pipeline.isRunning)
      this.#clock.at(this.#clock.nowMs, () => this.#runNext(pipeline));
  }

  #itemOf(itemId: number): SimulatedItem {
    const spec = this.#items.get(itemId)?.spec;
    if (spec === undefined) throw new Error(`item ${itemId} was sent after its end`);
    return { itemId, cost: spec };
  }

  #runNext(pipeline: SimPipeline): void {
    if (pipeline.isRunning) return;
    const run = pipeline.engine.next(this.#clock.nowMs);
    if (run === null) return;
    pipeline.isRunning = true;
    this.#count(run);
    this.#clock.at(this.#clock.nowMs + run.ms, () => {
      pipeline.isRunning = false;
      pipeline.meter.add(run, run.ms);
      const ended = run.finish(run.ms, this.#clock.nowMs);
      for (const { itemId } of ended) this.#end(pipeline.pipelineId, itemId);
      this.#runNext(pipeline);
    });
  }

  #count({ stage, rows, runs, units, paddedUnits, items }: EngineRun): void {
    if (stage === "decode") {
      this.#steps.rows += rows * runs;
      this.#steps.runs += runs;
      return;
    }
    this.#encoded.units += units;
    this.#encoded.padded += paddedUnits;
    if (this.#queued < manyWait) return;
    this.#encoded.unitsFull += units;
    this.#encoded.paddedFull += paddedUnits;
    this.#encoded.tightFull += rows * Math.max(...items.map(({ cost }) => cost.width));
  }

  #end(pipelineId: string, itemId: number): void {
    const item = this.#items.get(itemId);
    if (item === undefined) throw new Error(`item ${itemId} ended twice`);
    this.#items.delete(itemId);
    this.#openItems -= 1;
    this.#tokens += item.spec.width;
    const { open } = item;
    open.left -= 1;
    if (open.left === 0 && open.call.widths.length === fewItems)
      this.#latencies.push(this.#clock.nowMs - open.call.atMs);
    this.#scheduler.step({ type: "settled", pipelineId, itemId });
  }

  #report(): void {
    for (const { meter } of this.#pipelines.values())
      for (const { stage, runs, paddedUnits, ms } of meter.take())
        this.#scheduler.step({ type: "measured", model, stage, runs, paddedUnits, ms });
    this.#stopReport();
    this.#stopReport = this.#clock.after(reportEveryMs, () => this.#report(), "background");
  }
}
