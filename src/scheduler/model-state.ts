import type { WorkClass } from "millrace-client/wire";
import { BatchCost } from "./batch-cost.js";
import { ClassQueue } from "./class-queue.js";
import type { FedPipeline } from "./fed-pipeline.js";
import { ServiceTime } from "./service-time.js";
import { Suspects } from "./suspects.js";

export const workClasses: readonly WorkClass[] = ["realtime", "bulk"];

/** All that belongs to one model: its queues, its pipelines and what was learned of it. */
export class ModelState {
  readonly model: string;
  /** Order in which the scheduler heard of its models. */
  readonly sequence: number;
  readonly queues: Readonly<Record<WorkClass, ClassQueue>> = {
    realtime: new ClassQueue("realtime"),
    bulk: new ClassQueue("bulk"),
  };
  /** Those that are up, in the order in which they came up. */
  readonly pipelines: FedPipeline[] = [];
  readonly suspects: Suspects = new Suspects();
  readonly service: ServiceTime = new ServiceTime();
  readonly cost: BatchCost;
  /** Pipelines that are up and meant for a class. */
  readonly #meant: Record<WorkClass, number> = { realtime: 0, bulk: 0 };

  constructor(model: string, of: { readonly sequence: number; readonly realtimeTargetMs: number }) {
    this.model = model;
    this.sequence = of.sequence;
    this.cost = new BatchCost(this.service, of.realtimeTargetMs);
  }

  get queuedItems(): number {
    return this.queues.realtime.items + this.queues.bulk.items;
  }

  pipelineUp(pipeline: FedPipeline): void {
    this.pipelines.push(pipeline);
    this.#countMeant(pipeline, 1);
  }

  pipelineDown(pipeline: FedPipeline): void {
    this.pipelines.splice(this.pipelines.indexOf(pipeline), 1);
    this.#countMeant(pipeline, -1);
    this.suspects.pipelineDown(pipeline);
  }

  #countMeant(pipeline: FedPipeline, sign: 1 | -1): void {
    for (const workClass of workClasses)
      if (pipeline.isMeantFor(workClass)) this.#meant[workClass] += sign;
  }

  /**
   * Whether a pipeline serves a class: those of its kind do, and the shared ones. A class that no living pipeline is
   * meant for may use any of them: nothing hangs because all that was dedicated to it is down, or was never configured.
   * Such guests yield as on a shared pipeline.
   */
  serves(pipeline: FedPipeline, workClass: WorkClass): boolean {
    return this.#meant[workClass] === 0 || pipeline.isMeantFor(workClass);
  }
}
