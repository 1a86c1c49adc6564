import { type WorkClass, workClasses } from "millrace-client/wire";
import { BatchCost } from "./batch-cost.js";
import { ClassQueue } from "./class-queue.js";
import type { FedPipeline } from "./fed-pipeline.js";
import { ModelPlace } from "./model-place.js";
import { Pace } from "./pace.js";
import { type Rank, ranks } from "./rank.js";
import { UsualItem } from "./recommend.js";
import { ServiceTime } from "./service-time.js";
import { Suspects } from "./suspects.js";
import { Throughput } from "./throughput.js";
import type { RunMode } from "./types.js";

/** All that belongs to one model: its queues, its pipelines and what was learned of it. */
export class ModelState {
  readonly model: string;
  /** Order in which the scheduler heard of its models. */
  readonly sequence: number;
  readonly queues: Readonly<Record<Rank, ClassQueue>>;
  readonly ageLimitMs: number;
  /** Those that host it, in the order in which they loaded it. */
  readonly pipelines: FedPipeline[] = [];
  readonly suspects: Suspects = new Suspects();
  readonly place: ModelPlace = new ModelPlace();
  readonly service: ServiceTime = new ServiceTime();
  readonly cost: BatchCost;
  readonly pace: Pace = new Pace();
  readonly throughput: Throughput = new Throughput();
  readonly usual: UsualItem = new UsualItem();
  /** It is on the agenda of this step. */
  isTouched = false;
  /** Pipelines that host it and are meant for a class. */
  readonly #meant: Record<WorkClass, number> = { realtime: 0, bulk: 0 };

  constructor(
    model: string,
    of: {
      readonly sequence: number;
      readonly realtimeTargetMs: number;
      readonly ageLimitMs: number;
    },
  ) {
    this.model = model;
    this.sequence = of.sequence;
    this.ageLimitMs = of.ageLimitMs;
    this.queues = {
      small: new ClassQueue("small", of.ageLimitMs),
      large: new ClassQueue("large", of.ageLimitMs),
      bulk: new ClassQueue("bulk", of.ageLimitMs),
    };
    this.cost = new BatchCost(this.service, of.realtimeTargetMs);
  }

  /** Its batches' kind; nothing is loaded that was not announced. */
  get mode(): RunMode {
    return this.place.mode;
  }

  get queuedItems(): number {
    const { small, large, bulk } = this.queues;
    return small.items + large.items + bulk.items;
  }

  /** Items of a class. */
  queuedOf(workClass: WorkClass): number {
    const { small, large, bulk } = this.queues;
    return workClass === "bulk" ? bulk.items : small.items + large.items;
  }

  /** Somebody waits for a pipeline that has it. */
  get isAskedFor(): boolean {
    return this.queuedItems > 0 || this.suspects.waitingItems > 0;
  }

  /** When the item that waits longest came; `Infinity`: none is queued. */
  get oldestMs(): number {
    const ages = ranks.map((each) => this.queues[each].oldest.first?.arrivedMs ?? Infinity);
    return Math.min(...ages);
  }

  /**
   * Since when it waits for a place. Its oldest item may have waited longer: for its turn in the queue, while the model was there.
   * Whoever has the longest queue would else have the next place always, and the one after it.
   */
  waitsSinceMs(nowMs: number): number {
    return Math.min(Math.max(this.oldestMs, this.place.leftAtMs), nowMs);
  }

  /** Expected service of all that is queued, by one pipeline. */
  get queuedMs(): number {
    const { small, large, bulk } = this.queues;
    const units = small.units + large.units + bulk.units;
    return this.queuedItems === 0 ? 0 : this.service.expectedMs(units);
  }

  pipelineUp(pipeline: FedPipeline): void {
    this.pipelines.push(pipeline);
    this.#countMeant(pipeline, 1);
    this.throughput.forget();
  }

  pipelineDown(pipeline: FedPipeline): void {
    this.pipelines.splice(this.pipelines.indexOf(pipeline), 1);
    this.#countMeant(pipeline, -1);
    this.throughput.forget();
    this.suspects.pipelineDown(pipeline);
  }

  #countMeant(pipeline: FedPipeline, sign: 1 | -1): void {
    for (const workClass of workClasses)
      if (pipeline.isMeantFor(workClass)) this.#meant[workClass] += sign;
  }

  /**
   * Whether a pipeline serves a class: those of its kind do, and the shared ones. A class that no pipeline
   * which hosts it is meant for may use any of them: nothing hangs because all that was dedicated to it is down, or was never configured.
   * Such guests yield as on a shared pipeline.
   */
  serves(pipeline: FedPipeline, workClass: WorkClass): boolean {
    return this.#meant[workClass] === 0 || pipeline.isMeantFor(workClass);
  }

  /** How many pipelines serve a class. */
  serving(workClass: WorkClass): number {
    return this.#meant[workClass] || this.pipelines.length;
  }

  /** Whether something is queued that the pipeline serves. */
  isAskedOf(pipeline: FedPipeline): boolean {
    return workClasses.some(
      (workClass) => this.queuedOf(workClass) > 0 && this.serves(pipeline, workClass),
    );
  }
}
