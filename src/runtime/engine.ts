/** What the child's entry knows of an engine: the loop that runs a model's stages over the items it was given. */

import type { WorkClass } from "millrace-client/wire";
import type { FrameItem, FrameOutcome, StageReport } from "../frames/messages.js";

export interface RunAnnouncement {
  readonly stage: string;
  readonly rows: number;
  readonly width: number;
  readonly predictedMs: number;
  /** Items that no run was announced with before are in this one. */
  readonly itemsBegin: boolean;
}

export interface EngineEvents {
  /** Called before each run of a session; the run blocks the thread. */
  onRun(run: RunAnnouncement): void;
  onOutcomes(outcomes: readonly FrameOutcome[]): void;
}

export interface Engine {
  /** Items join the engine's queue; they start at the next step that has room. */
  add(workClass: WorkClass, items: readonly FrameItem[]): void;
  /** Drops items wherever they are; no outcome follows. */
  cancel(itemIds: readonly number[]): void;
  /** Takes back the items among these that have not begun; returns their ids. */
  recall(itemIds: readonly number[]): number[];
  /** One scheduling step: at most one encoder chunk and one decoder run. False: there is nothing to do. */
  step(): Promise<boolean>;
  begunItemIds(): number[];
  takeReport(): readonly StageReport[];
  /** Memory that the rows in it take, now. */
  readonly cacheBytes: number;
}
