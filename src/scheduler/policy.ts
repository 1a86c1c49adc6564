/**
 * What a policy is: a choice of the next batch for one pipeline, from a view that it cannot change. Whose turn it is to be
 * asked, and what becomes of the choice, is feed.ts. To add one: a file like policy-fcfs.ts, its name in `policyNames`
 * and in `policyOf` (scheduler.ts), its promises in the simulator's rules.
 */
import type { ClassQueueView } from "./class-queue.js";
import type { PipelineView } from "./fed-pipeline.js";
import type { Rank } from "./rank.js";
import type { ItemEntry } from "./request-book.js";
import type { DispatchReason } from "./types.js";

/** The read-only view from which a policy chooses the next batch for one pipeline with room. */
export interface PolicyView {
  readonly nowMs: number;
  readonly pipeline: PipelineView;
  /** Expected time until the pipeline is through with the batch that it runs; 0: it idles. */
  readonly busyMs: number;
  /** Queues that this pipeline may serve now, without empty ones. */
  readonly queues: Readonly<Partial<Record<Rank, ClassQueueView>>>;
  bounds(rank: Rank): BatchBounds;
  /** Expected milliseconds of a run over so many padded units. */
  expectedMs(paddedUnits: number): number;
}

export interface BatchBounds {
  /** Never exceeded, but by an item that does not fit into an empty pipeline either. */
  readonly rowsMax: number;
  /** Units × rows; reached, not exceeded by more than one item: an even share where several pipelines are free. */
  readonly effortShare: number;
  /** Padded units; not exceeded but by a single item. */
  readonly costMax: number;
  /** Whether an item that exceeds `rowsMax` may go, alone. */
  readonly oversizeAlone: boolean;
}

export interface BatchChoice {
  readonly type: "batch";
  readonly rank: Rank;
  readonly reason: DispatchReason;
  /** Of one batch key. */
  readonly items: readonly ItemEntry[];
}

export type Choice =
  | BatchChoice
  /** Ask again at this time, or at the next event. */
  | { readonly type: "wait"; readonly rank: Rank; readonly untilMs: number }
  /** Nothing fits. */
  | { readonly type: "none" };

export interface Policy {
  readonly name: PolicyName;
  /** Batches that a pipeline may hold; `null`: as the model's mode says. */
  readonly batchesMax: number | null;
  /** Whether waiting bulk is recalled from a one-shot pipeline when realtime finds every place taken. */
  readonly recalls: boolean;
  /** Whether an even share between free pipelines bounds a batch. */
  readonly shares: boolean;
  /** Whether realtime of many rows is a rank of its own where a pipeline is fed row by row. */
  readonly ranksLarge: boolean;
  /** Whether of a rank nothing goes before what is over the age limit, but what is over it too. */
  readonly agedFirst: boolean;
  /** `none` for a continuous pipeline without room for a row; feed.ts does not even ask then. */
  choose(view: PolicyView): Choice;
}

export const policyNames = ["millrace", "fcfs", "seed-router"] as const;
export type PolicyName = (typeof policyNames)[number];

/** Null: it is none. */
export function policyNamed(name: string): PolicyName | null {
  return policyNames.find((known) => known === name) ?? null;
}

/** What every policy is built from. */
export interface PolicyOptions {
  readonly ageLimitMs: number;
  /** What realtime work should wait at most. */
  readonly realtimeTargetMs: number;
  /** The longest window, in milliseconds. */
  readonly windowMsMax: number;
}
