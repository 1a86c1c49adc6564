/**
 * What the child's entry knows of an engine: the loop that runs a model's stages over the items it was given. An engine
 * takes items at any time and does one run a step, so that a process that hosts several gives each a turn between runs
 * (engine-turns.ts).
 *
 * An item leaves by one outcome, or by `cancel` or `recall` without one. Outcomes go out by event and not with the end
 * of the step: from the moment when one is known it is on its way, so that a cancel that came later has nothing
 * to look for.
 */
import type { WorkClass } from "millrace-client/wire";
import type { FrameItem, FrameOutcome, StageReport } from "../frames/messages.js";
import type { ModelManifest } from "../models/manifest.js";
import type { RunWatch } from "./run-watch.js";
import type { WeightsCache } from "./weights-cache.js";

/** What an engine is made for. */
export interface EngineRequest<Manifest extends ModelManifest = ModelManifest> {
  readonly modelDir: string;
  readonly manifest: Manifest;
  readonly threads: number;
  /** Rows of each class that the engine may work on at once. */
  readonly rowsMax: number;
  /** Through it the weights are shared with other processes; null: a copy of its own. */
  readonly weightsCache: WeightsCache | null;
  /** Of a process that can be profiled. */
  readonly runWatch?: RunWatch;
  /** This process has had the same version before, and it answered sanely: its first item warms it up. */
  readonly isProven?: boolean;
}

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
  /** Items join the engine's queue; they begin at the next step that has room. Bad ones have their outcome at once. */
  admit(workClass: WorkClass, items: readonly FrameItem[]): void;
  /** Drops items wherever they are; no outcome follows. Items that the engine does not have are nothing to it. */
  cancel(itemIds: readonly number[]): void;
  /** Takes back the items among these that have not begun; returns their ids. */
  recall(itemIds: readonly number[]): number[];
  /** Nothing waits and nothing runs: a step would do nothing. */
  readonly idle: boolean;
  /**
   * False: all that is in it waits for work that is done elsewhere, in a thread, and a step would wait with it; other models
   * go first then. Left out: whenever it does not idle, a step would make a run.
   */
  readonly runnable?: boolean;
  /** Ends a step that waits for such work: another model of the process has something to do. */
  wake?(): void;
  /** True: no more such work is begun until told otherwise; what is under way goes on, and its outcomes go out. */
  rest?(resting: boolean): void;
  /**
   * Chooses the next run and makes it. What goes wrong with a run or its memory fails items; a rejection is a bug of
   * the engine's, which must not be used any further.
   */
  step(): Promise<void>;
  /** Of the run that the next step would make, were it made now; 0 when idle. */
  predictedMs(): number;
  begunItemIds(): number[];
  takeReport(): readonly StageReport[];
  /** What the rows in it take, now; the model's own memory is not counted. */
  readonly memoryBytes: number;
  /** Gives the model's memory back. The engine idles, and is not used any more. */
  release(): Promise<void>;
}
