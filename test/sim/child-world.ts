/** What a simulated child needs of the world, and what the world wants to know of it. */
import type { ChildFrame, ParentFrame } from "#src/frames/messages.js";
import type { VirtualClock } from "#src/simulation/virtual-clock.js";
import type { Payload } from "#src/work/payload.js";
import type { ProcessEnd } from "#src/worker/settle.js";
import type { FaultyChild } from "./faulty-child.js";
import type {
  FaultKind,
  ModelPlan,
  OptionsPlan,
  PiecePlan,
  PoisonPlan,
  SurroundingsPlan,
} from "./plan.js";
import type { Judge } from "./rules.js";

/** What the parent's side of the world writes down. */
export interface ChildWatcher {
  sent(child: FaultyChild, frame: ParentFrame): void;
  /** Just before the rooms hear it. */
  hears(child: FaultyChild, frame: ChildFrame): void;
  /** After they heard what nobody may say. */
  heardLie(child: FaultyChild, what: string): void;
  killed(child: FaultyChild): void;
  /** Just before the rooms hear it. */
  ends(child: FaultyChild, end: ProcessEnd): void;
  hangs(child: FaultyChild): void;
}

export interface ChildWorld {
  readonly clock: VirtualClock;
  readonly seed: number;
  readonly options: OptionsPlan;
  readonly surroundings: SurroundingsPlan;
  readonly judge: Judge;
  readonly watcher: ChildWatcher;
  trace(line: () => string): void;
  planOf(payload: Payload): PiecePlan;
  modelOf(name: string): ModelPlan;
  /** A run with these begins. */
  runs(payloads: readonly Payload[]): void;
  /** An answer that nobody can use was given for it, though it is a good one. */
  spoilt(payload: Payload): void;
  /** An item that another pipeline holds. */
  heldElsewhere(pipelineId: string): number | null;
  /** Whether the pipeline has the item, as the parent sees it. */
  holds(pipelineId: string, itemId: number): boolean;
  killedForMemory(): void;
  happened(kind: FaultKind | "poison" | "breaks-run" | "too-large"): void;
}

/** A thing said that may not be said. Whether it is one shows only when it is heard. */
export interface Lie {
  readonly what: string;
  /** `sure`: the parent must end the child for it. `none`: it would be true by now, and is not said. */
  readonly now: () => "sure" | "maybe" | "none";
}

/** How a life ended, as far as it says anything about items. */
export type EndKind = "fault" | "memory" | "outside";

/** What needs no frame to be said. */
export const happensByItself: ReadonlySet<FaultKind> = new Set([
  "exit",
  "segfault",
  "killed-from-outside",
  "out-of-memory",
  "ends-unkillable",
  "hang-still",
  "hang-busy",
  "stopped-from-outside",
  "slow",
  "starved",
  "late-frames",
  "bad-values",
]);

/** Whether a run of so many items ends the process. */
export function isDeadly(poison: PoisonPlan | null, items: number): boolean {
  return poison !== null && (items > 1 || !poison.onlyInCompany);
}
