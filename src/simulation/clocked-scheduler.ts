/** The product's scheduler on a virtual clock: its alarms become ticks, and whoever owns it hears of all other decisions. */
import type { Newcomer } from "../scheduler/least-wait.js";
import { Scheduler, type SchedulerOptions } from "../scheduler/scheduler.js";
import type { SchedulerSnapshot } from "../scheduler/snapshot.js";
import type { Decision, SchedulerEvent } from "../scheduler/types.js";
import type { VirtualClock } from "./virtual-clock.js";

interface Owner {
  readonly clock: VirtualClock;
  readonly onDecision: (decision: Decision) => void;
  /** After all decisions of a step, also of one that an alarm began. */
  readonly onStepped?: () => void;
}

export class ClockedScheduler {
  readonly #scheduler: Scheduler;
  readonly #owner: Owner;
  #stopWake: () => void = () => {};

  constructor(options: SchedulerOptions, owner: Owner) {
    this.#scheduler = new Scheduler(options);
    this.#owner = owner;
  }

  step(event: SchedulerEvent): void {
    const { clock, onDecision, onStepped } = this.#owner;
    for (const decision of this.#scheduler.step(event, clock.nowMs)) {
      if (decision.type === "wake") this.#wakeAt(decision.atMs);
      else onDecision(decision);
    }
    onStepped?.();
  }

  leastWaitMs(newcomer: Newcomer): number {
    return this.#scheduler.leastWaitMs(newcomer, this.#owner.clock.nowMs);
  }

  /** What waits, by model and class. */
  get queues(): SchedulerSnapshot["queues"] {
    return this.#scheduler.snapshot(this.#owner.clock.nowMs).queues;
  }

  #wakeAt(atMs: number): void {
    this.#stopWake();
    this.#stopWake = this.#owner.clock.at(atMs, () => this.step({ type: "tick" }));
  }
}
