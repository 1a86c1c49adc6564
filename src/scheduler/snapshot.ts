import { type QueueStatus, type WorkClass, workClasses } from "millrace-client/wire";
import type { ModelPlace } from "./model-place.js";
import type { ModelState } from "./model-state.js";
import type { PolicyName } from "./policy.js";
import { ranksOf } from "./rank.js";
import { type Recommendation, recommendationFor } from "./recommend.js";
import type { ServiceFit } from "./service-time.js";
import type { Tenants } from "./tenants.js";

/** What is shown of the scheduler, and what it is held to in the simulation; a copy, made in time proportional to models, pipelines, and the tenants of realtime's smaller rank. */
export interface SchedulerSnapshot {
  readonly policy: PolicyName;
  readonly requests: number;
  /** One for each model and class. */
  readonly queues: readonly QueueStatus[];
  readonly pipelines: readonly {
    readonly inFlight: number;
  }[];
  readonly models: readonly {
    readonly model: string;
    /** Suspects that wait for a pipeline of their own. */
    readonly suspects: number;
    readonly place: PlaceSnapshot;
    readonly service: Readonly<Record<string, ServiceFit>>;
    /** Null: no pipeline has it. */
    readonly recommended: Recommendation | null;
  }[];
}

/** Where a model could be, and what it took to bring it there. */
export interface PlaceSnapshot {
  /** What it takes in a process, as far as is known. */
  readonly bytes: number;
  readonly loads: number;
  readonly evictions: number;
  /** Expected time of a load. */
  readonly loadMs: number;
  /** Loads in a row that failed. */
  readonly failures: number;
  /** No pipeline has room for it, whatever goes. */
  readonly isTooLarge: boolean;
  /** Why it cannot be loaded now, as far as is known. */
  readonly reason: string | null;
  /** Pipelines on which it is to be and is not yet, or is not any more. */
  readonly missing: number;
}

function placeOf(place: ModelPlace): PlaceSnapshot {
  const { bytes, loads, evictions, loadMs, failures, reason } = place;
  const missing = place.wantedOn.size + place.comingTo.size;
  const isTooLarge = place.tooLarge !== null;
  return { bytes, loads, evictions, loadMs, failures, isTooLarge, reason, missing };
}

export function snapshotOf(
  models: readonly ModelState[],
  at: { readonly nowMs: number; readonly realtimeTargetMs: number },
): Pick<SchedulerSnapshot, "queues" | "pipelines" | "models"> {
  return {
    queues: models.flatMap((model) => workClasses.map((each) => queueOf(model, each, at.nowMs))),
    pipelines: models.flatMap((model) => model.pipelines.map(({ inFlight }) => ({ inFlight }))),
    models: models.map((model) => ({
      model: model.model,
      suspects: model.suspects.waitingItems,
      place: placeOf(model.place),
      service: model.service.stages,
      recommended: recommendationFor(model, at),
    })),
  };
}

/** Who waits in several of them counts once, however many they are. Takes the time of all but the largest. */
export function tenantsIn(queues: readonly Tenants[]): number {
  const [most, ...others] = queues.toSorted((a, b) => b.size - a.size);
  const more = others.flatMap((each) => [...each.names].filter((name) => most?.has(name) !== true));
  return (most?.size ?? 0) + new Set(more).size;
}

function queueOf(model: ModelState, workClass: WorkClass, nowMs: number): QueueStatus {
  const status = { items: 0, units: 0, bytes: 0, requests: 0, oldestWaitMs: 0 };
  const queues = ranksOf[workClass].map((rank) => model.queues[rank]);
  for (const { items, units, bytes, oldest } of queues) {
    status.items += items;
    status.units += units;
    status.bytes += bytes;
    status.requests += oldest.size;
    if (oldest.first !== undefined)
      status.oldestWaitMs = Math.max(status.oldestWaitMs, nowMs - oldest.first.arrivedMs);
  }
  const tenants = tenantsIn(queues.map((queue) => queue.tenants));
  return { model: model.model, class: workClass, ...status, tenants };
}
