/**
 * READ FIRST of this folder: the server's own rules on a virtual clock, without processes and without models. What the product
 * decides by is the product's code; what a run takes is asked for.
 *
 *   virtual-clock.ts        time
 *   clocked-scheduler.ts    the scheduler on it
 *   simulated-engine.ts     what an engine is here; simulated-generation.ts and simulated-staged.ts are the two kinds
 *   simulated-process.ts    the models of a pipeline, and whose turn it is there
 *   run-meter.ts            what a pipeline reports
 */
import type { WorkClass } from "millrace-client/wire";

/** What an engine knows of an item. */
export interface SimulatedCost {
  readonly units: number;
  readonly width: number;
  readonly rows: number;
  /** Of a model that generates: what comes out of it. Default: as many as go in. */
  readonly outputTokens?: number;
}

export interface SimulatedItem {
  readonly itemId: number;
  readonly cost: SimulatedCost;
}

/** What a run of so many rows, each padded to this width, takes. */
export type RunMs = (
  stage: string,
  run: { readonly rows: number; readonly width: number; readonly paddedUnits: number },
) => number;

export interface EngineRun<Item extends SimulatedItem = SimulatedItem> {
  readonly stage: string;
  readonly runs: number;
  readonly rows: number;
  readonly width: number;
  readonly units: number;
  readonly paddedUnits: number;
  /** As `RunMs` has it; a pipeline may take a little more or less. */
  readonly ms: number;
  readonly itemsBegin: boolean;
  readonly items: readonly Item[];
  /** Called when it is over: the items that ended with it. */
  finish(ms: number, nowMs: number): readonly Item[];
}

export interface SimulatedEngine<Item extends SimulatedItem = SimulatedItem> {
  add(
    batch: { readonly batchId: number; readonly class: WorkClass },
    items: readonly Item[],
    nowMs: number,
  ): void;
  cancel(itemIds: readonly number[]): void;
  recall(itemIds: readonly number[]): number[];
  next(nowMs: number): EngineRun<Item> | null;
  begun(): number[];
  /** It has something to run. */
  readonly isBusy: boolean;
  /** Of the next run, as far as the engine knows; asked where several models share a process. */
  predictedMs(nowMs: number): number;
  has(itemId: number): boolean;
}

export function sum<T>(values: readonly T[], of: (value: T) => number): number {
  let total = 0;
  for (const value of values) total += of(value);
  return total;
}
