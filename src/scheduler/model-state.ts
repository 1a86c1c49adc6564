import type { WorkClass } from "millrace-client/wire";
import { BatchCost } from "./batch-cost.js";
import { Lane } from "./lane.js";
import { type PipelineState, serving } from "./pipeline-state.js";
import { ServiceTime } from "./service-time.js";
import { Suspects } from "./suspects.js";

export const workClasses: readonly WorkClass[] = ["realtime", "bulk"];

/** All that belongs to one model: its queues, its pipelines and what was learned of it. */
export class ModelState {
  readonly model: string;
  readonly lanes: Readonly<Record<WorkClass, Lane>> = {
    realtime: new Lane("realtime"),
    bulk: new Lane("bulk"),
  };
  readonly pipelines: PipelineState[] = [];
  readonly suspects: Suspects = new Suspects();
  readonly service: ServiceTime = new ServiceTime();
  readonly cost: BatchCost;

  constructor(model: string, realtimeTargetMs: number) {
    this.model = model;
    this.cost = new BatchCost(this.service, realtimeTargetMs);
  }

  get queuedItems(): number {
    return this.lanes.realtime.items + this.lanes.bulk.items;
  }

  /** Pipelines that are fed as usual, the emptiest first. */
  feedable(): PipelineState[] {
    return this.pipelines
      .filter((pipeline) => pipeline !== this.suspects.pipeline)
      .toSorted((a, b) => a.load - b.load);
  }

  /** Classes with queued items that the pipeline may serve. */
  lanesFor(pipeline: PipelineState): Partial<Record<WorkClass, Lane>> {
    const lanes: Partial<Record<WorkClass, Lane>> = {};
    for (const workClass of workClasses) {
      const lane = this.lanes[workClass];
      if (lane.items > 0 && serving(this.pipelines, workClass).includes(pipeline))
        lanes[workClass] = lane;
    }
    return lanes;
  }
}
