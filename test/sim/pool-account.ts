/** What the pool's account is made of. */
import type { PoolEvent } from "#src/worker/events.js";
import type { FaultyChild } from "./faulty-child.js";

export type Returned = Extract<PoolEvent, { readonly type: "returned" }>;

export interface PoolItem {
  readonly itemId: number;
  pipelineId: string | null;
  sentAtMs: number;
  begun: boolean;
  cancelled: boolean;
  recalled: boolean;
  attempts: number;
  /** Faults while it alone was begun; more where the kind of an end could not be told. */
  aloneFaults: number;
  aloneMaybe: number;
  /** For sure, and with those of which nobody knows. */
  outsideEnds: number;
  outsideMaybe: number;
}

export interface PoolPipeline {
  child: FaultyChild | null;
  up: boolean;
  readonly held: Map<number, PoolItem>;
  /** What was held when it went down, and is not settled yet. */
  dying: Map<number, PoolItem> | null;
  /** All of that. */
  entries: readonly PoolItem[];
  /** Whether the last life can have ended in two ways. */
  doubt: boolean;
  endedAtMs: number | null;
  /** The model that its child said it loads, and whose end it has not said. */
  loading: string | null;
  /** It ended while it loaded. */
  endedLoading: boolean;
  /** What its child said it has, and was not told to give up. */
  readonly hosted: Set<string>;
}

export function poolItem(itemId: number): PoolItem {
  return {
    itemId,
    pipelineId: null,
    sentAtMs: 0,
    begun: false,
    cancelled: false,
    recalled: false,
    attempts: 0,
    aloneFaults: 0,
    aloneMaybe: 0,
    outsideEnds: 0,
    outsideMaybe: 0,
  };
}

export function poolPipeline(): PoolPipeline {
  return {
    child: null,
    up: false,
    held: new Map(),
    dying: null,
    entries: [],
    doubt: false,
    endedAtMs: null,
    loading: null,
    endedLoading: false,
    hosted: new Set(),
  };
}
