/**
 * The product's scheduler, alone: everything of a load is queued, then pipelines that take no time give it back item by item,
 * as a real owner does, until nothing is left.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { PolicyName } from "#src/scheduler/policy.js";
import { Scheduler } from "#src/scheduler/scheduler.js";
import type { Decision, RequestSpec, RunMode, SchedulerEvent } from "#src/scheduler/types.js";
import { type LoadShape, queuedLoad } from "./queued-load.js";

export interface DrainShape extends LoadShape {
  readonly policy: PolicyName;
  readonly mode: RunMode;
  readonly pipelines: number;
  /** Rows that each of them runs at once. */
  readonly rowsMax: number;
  /** What passes between two outcomes: decides how many items pass the age limit while they wait. */
  readonly msPerItem: number;
}

export interface DrainFigures {
  /** In the scheduler itself, by the clock on the wall, for each item: until it was queued, and from there until it was settled. */
  readonly queueUs: number;
  readonly drainUs: number;
  /** Heap for each item with all of them queued. */
  readonly bytes: number;
  readonly batches: number;
  /** Units that the batches pad to, over units that are in them, less one. */
  readonly padding: number;
  /** Of all that was decided, in its order: a change that is to be faster only keeps it. */
  readonly decided: string;
}

/** Outcomes between two reports of a pipeline's stages. */
const reportEvery = 64;

export function drain(shape: DrainShape): DrainFigures {
  const owner = new Owner(shape);
  const bytesBefore = heapBytes();
  for (const request of queuedLoad(shape)) owner.queue(request);
  const queueMs = owner.stepMs;
  const bytes = (heapBytes() - bytesBefore) / shape.items;
  owner.start();
  owner.drain();
  const drainMs = owner.stepMs - queueMs;
  if (owner.settled !== shape.items)
    throw new Error(`${owner.settled} of ${shape.items} items were settled`);
  return {
    queueUs: (queueMs * 1_000) / shape.items,
    drainUs: (drainMs * 1_000) / shape.items,
    bytes,
    batches: owner.batches,
    padding: owner.paddedUnits / owner.units - 1,
    decided: (owner.decided >>> 0).toString(16).padStart(8, "0"),
  };
}

/** Items that one pipeline holds, first in first out. */
class Held {
  #ids: number[] = [];
  #from = 0;

  push(itemIds: readonly number[]): void {
    for (const itemId of itemIds) this.#ids.push(itemId);
  }

  shift(): number | undefined {
    const itemId = this.#ids[this.#from];
    this.#from += 1;
    if (this.#from < this.#ids.length) return itemId;
    this.#ids = [];
    this.#from = 0;
    return itemId;
  }
}

class Owner {
  readonly #scheduler: Scheduler;
  readonly #shape: DrainShape;
  readonly #pipelineIds: readonly string[];
  readonly #held = new Map<string, Held>();
  readonly #seen: Uint8Array;
  #nowMs = 0;
  #inFlight = 0;
  settled = 0;
  /** Of all steps; what the owner does of them is not the scheduler's. */
  stepMs = 0;
  batches = 0;
  units = 0;
  paddedUnits = 0;
  /** A hash (FNV-1a) of the items that were sent, and where to. */
  decided = 0x811c9dc5;

  constructor(shape: DrainShape) {
    this.#shape = shape;
    this.#seen = new Uint8Array(shape.items);
    const { policy, mode, rowsMax } = shape;
    const limits = { realtimeTargetMs: 200, ageLimitMs: 10_000, prefetchRows: 32 };
    this.#scheduler = new Scheduler({ policy, ...limits });
    this.#pipelineIds = Array.from({ length: shape.pipelines }, (_, at) => `p${at}`);
    this.#step({
      type: "model",
      model: { model: "m", mode, bytes: 1, keep: "preloaded", rowsMax },
    });
  }

  queue(request: RequestSpec): void {
    this.#step({ type: "request", request });
  }

  start(): void {
    for (const pipelineId of this.#pipelineIds) {
      this.#held.set(pipelineId, new Held());
      const pipeline = { pipelineId, kind: "shared", modelMemoryBytesMax: 10 } as const;
      this.#step({ type: "pipeline-up", pipeline });
      this.#step({ type: "loaded", pipelineId, model: "m", bytes: 1, ms: 1 });
    }
  }

  drain(): void {
    while (this.settled < this.#shape.items) {
      for (const pipelineId of this.#pipelineIds) this.#settle(pipelineId);
      if (this.#inFlight > 0 || this.settled === this.#shape.items) continue;
      // A window: nothing happens until it ends.
      this.#nowMs += 1;
      this.#step({ type: "tick" });
    }
  }

  #settle(pipelineId: string): void {
    const itemId = this.#held.get(pipelineId)?.shift();
    if (itemId === undefined) return;
    this.#inFlight -= 1;
    this.settled += 1;
    this.#nowMs += this.#shape.msPerItem;
    this.#step({ type: "settled", pipelineId, itemId });
    if (this.settled % reportEvery > 0) return;
    const report = { model: "m", stage: "run", runs: 8, paddedUnits: 8 * 1_024, ms: 8 * 32 };
    this.#step({ type: "measured", ...report });
  }

  #step(event: SchedulerEvent): void {
    const from = performance.now();
    const decisions = this.#scheduler.step(event, this.#nowMs);
    this.stepMs += performance.now() - from;
    this.#carryOut(decisions);
  }

  #carryOut(decisions: readonly Decision[]): void {
    for (const decision of decisions) {
      if (decision.type !== "dispatch") continue;
      const { batch, pipelineId } = decision;
      this.batches += 1;
      this.units += batch.units;
      this.paddedUnits += batch.paddedUnits;
      this.#fold(this.#pipelineIds.indexOf(pipelineId));
      for (const { itemIds } of batch.segments) {
        this.#held.get(pipelineId)?.push(itemIds);
        this.#inFlight += itemIds.length;
        for (const itemId of itemIds) this.#mark(itemId);
      }
    }
  }

  #mark(itemId: number): void {
    if (this.#seen[itemId] !== 0) throw new Error(`item ${itemId} was sent twice`);
    this.#seen[itemId] = 1;
    this.#fold(itemId);
  }

  #fold(value: number): void {
    this.decided = Math.imul(this.decided ^ value, 0x01000193);
  }
}

setFlagsFromString("--expose-gc");
const collectGarbage: unknown = runInNewContext("gc");

function heapBytes(): number {
  if (typeof collectGarbage === "function") collectGarbage();
  return process.memoryUsage().heapUsed;
}
