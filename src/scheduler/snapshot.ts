import type { WorkClass } from "millrace-client/wire";
import { type ModelState, workClasses } from "./model-state.js";
import type { PolicyName } from "./policy.js";
import type { ServiceFit } from "./service-time.js";

/** The queue of one model and class. */
export interface QueueSnapshot {
  readonly model: string;
  readonly class: WorkClass;
  readonly items: number;
  readonly units: number;
  readonly bytes: number;
  readonly requests: number;
  readonly tenants: number;
  readonly batchKeys: number;
  readonly oldestWaitMs: number;
}

/** What status and metrics show of the scheduler; a copy, made in time proportional to models and pipelines. */
export interface SchedulerSnapshot {
  readonly policy: PolicyName;
  readonly requests: number;
  /** One for each model and class. */
  readonly queues: readonly QueueSnapshot[];
  readonly pipelines: readonly {
    readonly pipelineId: string;
    readonly model: string;
    readonly inFlight: number;
    readonly rows: Readonly<Record<WorkClass, number>>;
    readonly batches: number;
    /** Drains for a group of suspects, or runs one. */
    readonly exclusive: boolean;
  }[];
  readonly models: readonly {
    readonly model: string;
    /** Suspects that wait for a pipeline of their own. */
    readonly suspects: number;
    /** Most padded units of the next one-shot batch. */
    readonly costMax: number;
    readonly service: Readonly<Record<string, ServiceFit>>;
  }[];
}

export function snapshotOf(
  models: readonly ModelState[],
  nowMs: number,
): Pick<SchedulerSnapshot, "queues" | "pipelines" | "models"> {
  return {
    queues: models.flatMap((model) => workClasses.map((each) => queueOf(model, each, nowMs))),
    pipelines: models.flatMap((model) =>
      model.pipelines.map((pipeline) => ({
        pipelineId: pipeline.capacity.pipelineId,
        model: model.model,
        inFlight: pipeline.inFlight,
        rows: { ...pipeline.rows },
        batches: pipeline.batches.length,
        exclusive: model.suspects.pipeline === pipeline,
      })),
    ),
    models: models.map(({ model, suspects, cost, service }) => ({
      model,
      suspects: suspects.waitingItems,
      costMax: cost.costMax,
      service: service.stages,
    })),
  };
}

function queueOf(model: ModelState, workClass: WorkClass, nowMs: number): QueueSnapshot {
  const { items, units, bytes, oldest, tenants, keys } = model.queues[workClass];
  const first = oldest.peek();
  return {
    model: model.model,
    class: workClass,
    items,
    units,
    bytes,
    requests: oldest.size,
    tenants: tenants.size,
    batchKeys: keys,
    oldestWaitMs: first === undefined ? 0 : nowMs - first.arrivedMs,
  };
}
