/**
 * How soon this machine would take another item: pure, of what the status says. What an item takes is what items of its model have taken so
 * far, from all stages; a model that has run nothing yet is reckoned as the others, or with twenty milliseconds.
 */
import type { PipelineStatus, QueueStatus, StatusResponse } from "millrace-client/wire";
import type { ModelStatistics } from "../work/views.js";
import type { NodeWaits } from "./node-entry.js";

export interface QueueEstimate {
  readonly waits: NodeWaits;
  /** Pipelines that are up. */
  readonly pipelines: number;
  /** Of a pipeline's time, by model; 0: none of it has run yet. */
  readonly itemMs: (model: string) => number;
}

/** What is looked at of a status. */
export interface SeenQueue {
  readonly pipelines: readonly SeenPipeline[];
  readonly queues: readonly Pick<QueueStatus, "model" | "class" | "items">[];
  readonly stages: readonly Pick<StatusResponse["stages"][number], "model" | "ms">[];
}

export interface SeenPipeline extends Pick<PipelineStatus, "state"> {
  readonly items: Pick<PipelineStatus["items"], "inFlight">;
  readonly doing: Pick<NonNullable<PipelineStatus["doing"]>, "predictedMs" | "forMs"> | null;
}

const itemMsUnknown = 20;

export function estimateQueue(
  { pipelines, queues, stages }: SeenQueue,
  statistics: readonly Pick<ModelStatistics, "model" | "inputs">[],
): QueueEstimate {
  const msOf = new Map<string, number>();
  for (const { model, ms } of stages) msOf.set(model, (msOf.get(model) ?? 0) + ms);
  const itemMsOf = new Map<string, number>();
  let allMs = 0;
  let allInputs = 0;
  for (const { model, inputs } of statistics) {
    const ms = msOf.get(model) ?? 0;
    if (inputs === 0 || ms === 0) continue;
    itemMsOf.set(model, ms / inputs);
    allMs += ms;
    allInputs += inputs;
  }
  const meanMs = allInputs === 0 ? itemMsUnknown : allMs / allInputs;
  const itemMs = (model: string): number => itemMsOf.get(model) ?? 0;
  const up = pipelines.filter(isUp);
  const count = Math.max(1, up.length);
  const queuedMs = { realtime: 0, bulk: 0 };
  for (const { model, class: workClass, items } of queues) {
    queuedMs[workClass] += items * (itemMs(model) || meanMs);
  }
  // Realtime joins what runs at its next step, and yet shares the machine with it: it waits for a part of that.
  const runningMs = up.reduce((sum, { items }) => sum + items.inFlight * meanMs, 0);
  const nextFreeMs = up.length === 0 ? 0 : Math.min(...up.map(leftMsOf));
  const realtimeMs = nextFreeMs + (queuedMs.realtime + runningMs / 2) / count;
  const bulkMs = nextFreeMs + (queuedMs.realtime + queuedMs.bulk + runningMs) / count;
  return { waits: { realtimeMs, bulkMs }, pipelines: up.length, itemMs };
}

function isUp({ state }: SeenPipeline): boolean {
  return state === "ready" || state === "suspect";
}

/** Of its run. */
function leftMsOf({ doing }: SeenPipeline): number {
  return doing === null ? 0 : Math.max(0, doing.predictedMs - doing.forMs);
}
