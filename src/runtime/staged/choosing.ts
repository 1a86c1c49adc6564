/**
 * What the engine runs next, and who shares the run. Pure: the work and the time are passed in, costs are asked for, and
 * nothing but a few numbers is kept, so that a simulator runs the same rules on a clock of its own.
 *
 *            first stage           later stage            last stage
 *   realtime ▪▪              ◄──   ▪                ◄──   ▪▪▪          the last stage first: what is begun ends first
 *   bulk     ▪▪▪▪▪▪▪▪▪             ▪▪▪▪▪▪                 ▪▪            a bulk run that is not full may wait for more
 *
 * 1. Which class: realtime where it can run something, but bulk where it is owed more than its next run takes. While
 *    realtime runs, bulk is owed `bulkShare` of the time.
 * 2. In the class, the last stage in which something may run; there the input that waits longest, and its neighbours.
 * 3. What would begin an item, or make more bytes, waits while too many are held.
 *
 * Begin at `decide`, for sessions, and `nextStart`, for thread stages. Whoever runs a decision tells so with `ran`.
 */
import { type WorkClass, workClasses } from "millrace-client/wire";
import type { Cost } from "../../work/cost.js";
import { OwedShare } from "../owed-share.js";
import { type Packed, pack } from "./packing.js";
import type { Stage } from "./program.js";

export interface WaitingInput {
  readonly cost: Cost;
  /** What its result will hold, as far as that is known. */
  readonly makesBytes: number;
  /** The first of its item: to run it begins the item. */
  readonly isFirst: boolean;
  /** Milliseconds on the engine's clock. */
  readonly sinceMs: number;
  /** After a run with it failed: those of one group stand together in the queue, and run together, without others. */
  readonly group: number | null;
}

export type StageForm = Pick<Stage, "kind" | "limits">;

export interface StageWork<Input extends WaitingInput> {
  /** In order of arrival. */
  readonly waiting: Readonly<Record<WorkClass, readonly Input[]>>;
  /** Of a thread stage: what is under way. */
  readonly busy: Readonly<Record<WorkClass, { readonly rows: number; readonly units: number }>>;
}

export interface StagedWork<Input extends WaitingInput> {
  /** In the order of the stages. */
  readonly stages: readonly StageWork<Input>[];
  /** Of what waits in later stages or is under way, with what that will make. */
  readonly heldBytes: number;
  /** Inputs in runs. */
  readonly running: number;
}

export interface StagedLimits {
  /** Rows of one run of a session, whatever its stage allows. */
  readonly rowsMax: number;
  /** The longest run of a session by prediction; of bulk also beside realtime. A single input may take longer. */
  readonly realtimeRunMs: number;
  readonly bulkRunMs: number;
  readonly bulkBesideRealtimeMs: number;
  /** Part of the time that bulk keeps while realtime has work, 0 to 1. */
  readonly bulkShare: number;
  /** How long a bulk run that is not full waits while earlier stages may make more for it. */
  readonly gatherMs: number;
  /** Bytes between stages; bulk takes half of them at most. One input may take more, alone. */
  readonly heldBytesMax: number;
}

/** What was learned of runs so far. */
export interface StageCosts {
  /** Most padded units of a run of that stage whose predicted time is within `ms`; at least one. */
  unitsWithin(stage: number, ms: number): number;
  predictMs(stage: number, paddedUnits: number): number;
}

/** The chunk leaves `waiting`. */
export interface StageRun<Input> extends Packed<Input> {
  readonly stage: number;
  readonly workClass: WorkClass;
}

/** Those behind them are not looked at: an order by width is made anew for each run. */
const windowInputs = 1_024;

export class StageChoosing {
  readonly #stages: readonly StageForm[];
  readonly #limits: StagedLimits;
  readonly #costs: StageCosts;
  /** Of the time of sessions, in milliseconds. */
  readonly #share: OwedShare;
  /** For each thread stage, in starts. */
  readonly #startShares: readonly OwedShare[];

  constructor(stages: readonly StageForm[], limits: StagedLimits, costs: StageCosts) {
    this.#stages = stages;
    this.#limits = limits;
    this.#costs = costs;
    this.#share = new OwedShare(limits.bulkShare);
    this.#startShares = stages.map(() => new OwedShare(limits.bulkShare));
  }

  /** The next run of a session, or null where none can run now. Changes nothing. */
  decide<Input extends WaitingInput>(
    work: StagedWork<Input>,
    nowMs: number,
  ): StageRun<Input> | null {
    const realtime = this.#nextRun(work, "realtime", nowMs);
    const bulk = this.#nextRun(work, "bulk", nowMs);
    if (realtime === null || bulk === null) return realtime ?? bulk;
    return this.#share.owed > this.#costs.predictMs(bulk.stage, bulk.paddedUnits) ? bulk : realtime;
  }

  /** After the run: `work` as it is now. */
  ran(
    { workClass }: Pick<StageRun<WaitingInput>, "workClass">,
    ms: number,
    work: StagedWork<WaitingInput>,
  ): void {
    // A run may take longer than bulk was owed: beside realtime the rest is taken off what comes.
    if (workClass === "bulk") this.#share.bulkServed(ms, hasWaiting("realtime", work));
    else this.#share.realtimeServed(ms, hasWaiting("bulk", work));
  }

  /** The next input of a thread stage to be started now, beside what is under way; null where none may. */
  nextStart<Input extends WaitingInput>(
    work: StagedWork<Input>,
  ): { readonly stage: number; readonly workClass: WorkClass; readonly input: Input } | null {
    for (let stage = this.#stages.length - 1; stage >= 0; stage -= 1) {
      if (this.#stages[stage]?.kind !== "thread") continue;
      const bulkFirst = (this.#startShares[stage]?.owed ?? 0) > 0.999;
      for (const workClass of bulkFirst ? workClasses.toReversed() : workClasses) {
        const input = this.#startable(work, stage, workClass);
        if (input !== null) return { stage, workClass, input };
      }
    }
    return null;
  }

  /** The input has left `waiting`; `work` as it is now. */
  started(
    { stage, workClass }: { readonly stage: number; readonly workClass: WorkClass },
    work: StagedWork<WaitingInput>,
  ): void {
    const bulkWaits = (work.stages[stage]?.waiting.bulk.length ?? 0) > 0;
    if (workClass === "bulk") this.#startShares[stage]?.bulkServed(1, false);
    else this.#startShares[stage]?.realtimeServed(1, bulkWaits);
  }

  #startable<Input extends WaitingInput>(
    work: StagedWork<Input>,
    stage: number,
    workClass: WorkClass,
  ): Input | null {
    const form = this.#stages[stage];
    const at = work.stages[stage];
    if (form === undefined || at === undefined) return null;
    const room = new Room(work, this.#heldBytesMax(workClass));
    const input = at.waiting[workClass].find((each) => room.takes(each));
    if (input === undefined) return null;
    const { realtime, bulk } = at.busy;
    const rows = realtime.rows + bulk.rows;
    const units = realtime.units + bulk.units;
    const { rowsMax, paddedUnitsMax } = form.limits;
    const fits = rows + input.cost.rows <= rowsMax && units + input.cost.units <= paddedUnitsMax;
    return fits || rows === 0 ? input : null;
  }

  /** Of the last stage in which something may run. */
  #nextRun<Input extends WaitingInput>(
    work: StagedWork<Input>,
    workClass: WorkClass,
    nowMs: number,
  ): StageRun<Input> | null {
    let gathering: StageRun<Input> | null = null;
    for (let stage = this.#stages.length - 1; stage >= 0; stage -= 1) {
      if (this.#stages[stage]?.kind !== "session") continue;
      const packed = this.#packed(work, stage, workClass);
      if (packed === null) continue;
      const run = { ...packed, stage, workClass };
      if (!this.#gathers(run, work, nowMs)) return run;
      // Of several that could wait, the earliest makes more for the others.
      gathering = run;
    }
    return gathering;
  }

  /** The rows of one run are worth waiting for where nobody waits for the answer: more come of earlier stages. */
  #gathers(run: StageRun<WaitingInput>, work: StagedWork<WaitingInput>, nowMs: number): boolean {
    const [leader] = run.chunk;
    if (run.workClass !== "bulk" || run.full || leader === undefined) return false;
    const { gatherMs, heldBytesMax } = this.#limits;
    const isYoung = nowMs - leader.sinceMs < gatherMs;
    return isYoung && !leader.isFirst && leader.group === null && work.heldBytes < heldBytesMax / 4;
  }

  #packed<Input extends WaitingInput>(
    work: StagedWork<Input>,
    stage: number,
    workClass: WorkClass,
  ): Packed<Input> | null {
    const form = this.#stages[stage];
    const waiting = work.stages[stage]?.waiting[workClass] ?? [];
    if (form === undefined || waiting.length === 0) return null;
    const room = new Room(work, this.#heldBytesMax(workClass));
    const leader = waiting.find((input) => room.takes(input));
    if (leader === undefined) return null;
    if (leader.group !== null) {
      const group = waiting.filter((input) => input.group === leader.group);
      const limits = { rowsMax: Infinity, paddedUnitsMax: Infinity };
      return { ...pack(leader, group, limits), full: true };
    }
    room.add(leader);
    const others: Input[] = [];
    for (const input of waiting) {
      if (input === leader || input.group !== null) continue;
      if (others.length >= windowInputs) break;
      if (!room.takes(input)) continue;
      // Counted whether it will join or not: a little too much, and never too little.
      room.add(input);
      others.push(input);
    }
    const ms = this.#runMs(work, workClass);
    const { rowsMax, paddedUnitsMax } = form.limits;
    return pack(leader, others, {
      rowsMax: Math.min(rowsMax, this.#limits.rowsMax),
      paddedUnitsMax: Math.min(paddedUnitsMax, this.#costs.unitsWithin(stage, ms)),
    });
  }

  #runMs(work: StagedWork<WaitingInput>, workClass: WorkClass): number {
    const { realtimeRunMs, bulkRunMs, bulkBesideRealtimeMs } = this.#limits;
    if (workClass === "realtime") return realtimeRunMs;
    return hasWaiting("realtime", work) ? bulkBesideRealtimeMs : bulkRunMs;
  }

  #heldBytesMax(workClass: WorkClass): number {
    const { heldBytesMax } = this.#limits;
    return workClass === "bulk" ? heldBytesMax / 2 : heldBytesMax;
  }
}

/** Bytes that are left between stages, while a run is put together. */
class Room {
  readonly #bytesMax: number;
  readonly #running: number;
  #heldBytes: number;
  #chosen = 0;

  constructor({ heldBytes, running }: StagedWork<WaitingInput>, bytesMax: number) {
    this.#heldBytes = heldBytes;
    this.#running = running;
    this.#bytesMax = bytesMax;
  }

  takes({ isFirst, makesBytes }: WaitingInput): boolean {
    const fits = this.#heldBytes + makesBytes <= this.#bytesMax;
    if (isFirst) return this.#heldBytes === 0 || (fits && this.#heldBytes < this.#bytesMax);
    // What is begun must end some day: one at a time, though it is too much.
    return makesBytes === 0 || fits || (this.#running === 0 && this.#chosen === 0);
  }

  add({ makesBytes }: WaitingInput): void {
    this.#heldBytes += makesBytes;
    this.#chosen += 1;
  }
}

function hasWaiting(workClass: WorkClass, work: StagedWork<WaitingInput>): boolean {
  return work.stages.some(({ waiting }) => waiting[workClass].length > 0);
}
