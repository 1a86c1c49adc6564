/** A pipeline of a simulated server: runs what its process chooses, one run after the other, each for as long as it takes there. */
import type { StageReport } from "../frames/messages.js";
import type { SeenPipeline } from "../nats/queue-estimate.js";
import { generationEngineDefaults } from "../runtime/generation/generation-engine.js";
import { stagedEngineDefaults } from "../runtime/staged/staged-engine.js";
import type { SimulatedEngine, SimulatedItem } from "../simulation/simulated-engine.js";
import { SimulatedGeneration } from "../simulation/simulated-generation.js";
import { type HostedTurn, SimulatedProcess } from "../simulation/simulated-process.js";
import { SimulatedStaged } from "../simulation/simulated-staged.js";
import type { VirtualClock } from "../simulation/virtual-clock.js";
import type { PlannedModel } from "./planned-models.js";

export interface PipelineEvents {
  readonly onEnded: (itemIds: readonly number[]) => void;
  readonly onMeasured: (model: string, stages: readonly StageReport[]) => void;
}

export interface PipelineTimes {
  /** Beside each run. */
  readonly betweenMs: number;
  /** How many times as long a run takes now, because others run too. */
  readonly stretch: () => number;
}

const reportEveryMs = 1_000;

export class SimulatedPipeline {
  readonly #clock: VirtualClock;
  readonly #events: PipelineEvents;
  readonly #times: PipelineTimes;
  readonly #process: SimulatedProcess<SimulatedItem>;
  #turn: HostedTurn | null = null;
  #turnBeganMs = 0;
  /** Items that it was given, and that are not back. */
  readonly #held = new Set<number>();
  #loading = 0;
  #reportedAtMs = 0;
  /** With what runs, and in between. */
  busyMs = 0;

  constructor(clock: VirtualClock, events: PipelineEvents, times: PipelineTimes) {
    this.#clock = clock;
    this.#events = events;
    this.#times = times;
    this.#process = new SimulatedProcess({ now: () => clock.now() });
  }

  get isRunning(): boolean {
    return this.#turn !== null;
  }

  /** As a node looks at its own. */
  get seen(): SeenPipeline {
    const forMs = this.#clock.now() - this.#turnBeganMs;
    const doing = this.#turn === null ? null : { predictedMs: this.#turn.run.ms, forMs };
    return { state: "ready", items: { inFlight: this.#held.size }, doing };
  }

  /** Nothing is begun meanwhile. */
  load(
    planned: PlannedModel,
    of: { readonly rowsMax: number; readonly ms: number },
    onLoaded: () => void,
  ): void {
    this.#loading += 1;
    this.#clock.at(this.#clock.now() + of.ms, () => {
      this.#loading -= 1;
      this.#process.load(planned.spec.model, engineOf(planned, of.rowsMax));
      onLoaded();
      this.#go();
    });
  }

  unload(model: string): void {
    this.#process.unload(model);
  }

  add(
    batch: Parameters<SimulatedProcess<SimulatedItem>["add"]>[0],
    items: readonly SimulatedItem[],
  ): void {
    this.#process.add(batch, items);
    for (const { itemId } of items) this.#held.add(itemId);
    // What else this step sends comes before the first run.
    this.#clock.at(this.#clock.now(), () => this.#go());
  }

  cancel(itemIds: readonly number[]): void {
    this.#process.cancel(itemIds);
    this.#gone(itemIds);
  }

  recall(itemIds: readonly number[]): readonly number[] {
    const recalled = this.#process.recall(itemIds);
    this.#gone(recalled);
    return recalled;
  }

  #gone(itemIds: readonly number[]): void {
    for (const itemId of itemIds) this.#held.delete(itemId);
  }

  #go(): void {
    if (this.isRunning || this.#loading > 0) return;
    const turn = this.#process.next();
    if (turn === null) return this.#report();
    this.#turn = turn;
    this.#turnBeganMs = this.#clock.now();
    const { run } = turn;
    const stretch = this.#times.stretch();
    const ms = run.ms * stretch;
    const betweenMs = run.runs * this.#times.betweenMs * stretch;
    this.busyMs += ms + betweenMs;
    this.#clock.at(this.#clock.now() + ms + betweenMs, () => {
      this.#process.ran(turn, ms);
      const itemIds = run.finish(ms, this.#clock.now()).map(({ itemId }) => itemId);
      this.#process.gone(itemIds);
      this.#gone(itemIds);
      this.#turn = null;
      if (itemIds.length > 0) this.#events.onEnded(itemIds);
      if (this.#clock.now() - this.#reportedAtMs > reportEveryMs) this.#report();
      this.#go();
    });
  }

  #report(): void {
    this.#reportedAtMs = this.#clock.now();
    for (const { model, stages } of this.#process.reports()) this.#events.onMeasured(model, stages);
  }
}

function engineOf({ spec, engine, stages, runMs }: PlannedModel, rowsMax: number): SimulatedEngine {
  const limits = { rowsMax };
  if (engine === "generation")
    return new SimulatedGeneration({ limits: { ...generationEngineDefaults, ...limits }, runMs });
  const staged = { ...stagedEngineDefaults, ...limits };
  if (stages.length === 0) throw new Error(`nothing is known of what ${spec.model} runs`);
  return new SimulatedStaged({ stages, limits: staged, runMs });
}
