/** What the scheduler's account is made of. */
import type { Batch, PipelineCapacity } from "#src/scheduler/types.js";
import { type Rule, Violation } from "./rules.js";

export interface Item {
  readonly itemId: number;
  readonly units: number;
  readonly width: number;
  readonly rows: number;
  readonly batchKey: string;
  readonly order: number;
  readonly request: Request;
  state: "queued" | "held" | "orphaned" | "grouped" | "done";
  pipelineId: string | null;
}

export interface Request {
  readonly requestId: number;
  readonly model: string;
  readonly class: "realtime" | "bulk";
  readonly arrivedMs: number;
  readonly sequence: number;
  readonly deadlineAtMs: number | null;
  readonly items: Item[];
  absent: boolean;
}

/** A model on a pipeline. */
export interface Pipeline {
  readonly spec: PipelineCapacity;
  /** In the order of dispatch. */
  readonly batches: { items: Set<Item>; batch: Batch; recalled: boolean }[];
  exclusive: boolean;
  lastClass: "realtime" | "bulk" | null;
}

/** The key of the queued items whose widest, queued or not, is the widest of its request. */
export function leadingKey(request: Request | undefined): string | undefined {
  const queued = new Set(
    request?.items.flatMap(({ state, batchKey }) => (state === "queued" ? [batchKey] : [])),
  );
  return request?.items.findLast(({ batchKey }) => queued.has(batchKey))?.batchKey;
}

export function sum(items: readonly Item[], of: "rows" | "units"): number {
  return items.reduce((total, item) => total + item[of], 0);
}

export function fail(rule: Rule, message: string): never {
  throw new Violation(rule, message);
}
