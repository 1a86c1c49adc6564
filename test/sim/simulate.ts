/**
 * READ FIRST in this folder. A schedule is made from a seed and played against the real rooms on a virtual clock:
 *
 *   seed ─ make-plan ─► plan.ts, data ─► world.ts: callers.ts ─► LocalSubmit · Scheduler · Pool ◄─► faulty-child.ts, simulated-engines.ts
 *                          ▲                                │ every event                               │
 *                          └─ shrink.ts ◄── violation ◄── *-rules.ts: accounts that share no code with the rooms
 *
 * rules.ts names what is promised, mutations of the rooms (source-mutations.ts, scheduler-mutations.ts) show that each promise
 * can be broken and that it is named then. Nothing here waits, and nothing depends on the machine.
 */
import { Scheduler } from "#src/scheduler/scheduler.js";
import { makePlan } from "./make-plan.js";
import type { Plan } from "./plan.js";
import type { Violation } from "./rules.js";
import { type Happened, type MakeScheduler, World } from "./world.js";

export interface Result {
  readonly plan: Plan;
  readonly violation: Violation | null;
  /** What went wrong as planned, and how often. */
  readonly happened: Happened;
  readonly items: number;
  readonly batches: number;
  /** Empty unless it was asked for. */
  readonly trace: readonly string[];
}

export interface SimulateOptions {
  readonly make?: MakeScheduler;
  readonly traces?: boolean;
}

/** The schedule of this seed, to the end of all that happens in it or to the first broken rule. */
export async function simulate(seed: number, options: SimulateOptions = {}): Promise<Result> {
  return await play(makePlan(seed), options);
}

export async function play(
  plan: Plan,
  { make = (options) => new Scheduler(options), traces = false }: SimulateOptions = {},
): Promise<Result> {
  const world = new World(plan, { make, traces });
  await world.run();
  const { violation, happened, lines: trace, checker } = world;
  return { plan, violation, happened, items: checker.items, batches: checker.dispatched, trace };
}
