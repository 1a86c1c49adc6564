/**
 * What the engine runs next. Pure: the work and the time are passed in, costs are asked for, and nothing but a few
 * numbers is kept, so that a simulator runs the same rules on a clock of its own.
 *
 *   waiting     realtime  ▪ ▪                   in order of arrival; each takes as many rows as it has beams
 *               bulk      ▪▪▪ ▪ ▪ ▪▪ ▪ …
 *                             │ encode: a chunk of one width, as many as rows and time allow
 *                             ▼
 *   lanes       realtime  [▪▪▪▪    ]            rows that generate together, one token a run
 *               bulk      [▪▪▪▪▪▪▪ ] [▪▪▪   ]   the lanes of a class take turns
 *
 * 1. Which class: realtime where it has work, but bulk where it is owed more than its next run takes. While realtime
 *    runs, bulk is owed `bulkShare` of the time.
 * 2. In the class, a chunk where one is worth a run. Realtime: the oldest leads. Bulk: the first that fits the fullest lane, before
 *    an older one at most `overtakenMax` chunks in a row.
 * 3. Else, and after each chunk, one token more for the lane that was served longest ago.
 *
 * Begin at `decide`. Whoever runs a decision tells so with `ran`.
 */
import type { WorkClass } from "millrace-client/wire";
import { OwedShare } from "../owed-share.js";
import { doubledWidth, padWidth } from "./arena.js";

export interface WaitingItem {
  readonly itemId: number;
  readonly tokens: number;
  /** Rows that it will take: its beams. */
  readonly rows: number;
  readonly receivedAtMs: number;
  /** After a run with it failed it runs by itself, so that it fails by itself. */
  readonly alone: boolean;
}

export interface LaneLoad {
  readonly key: string;
  readonly workClass: WorkClass;
  /** Rows in use; a lane without any is not served. */
  readonly rows: number;
  /** Longest input that fits, in tokens. */
  readonly crossWidth: number;
  /** Rows of each of its items. */
  readonly beams: number;
}

/** Chunks of a lane's own that may be encoded before one that waits longer. */
export const overtakenMax = 8;

export interface EngineWork<Item extends WaitingItem> {
  readonly waiting: Readonly<Record<WorkClass, readonly Item[]>>;
  readonly lanes: Iterable<LaneLoad>;
}

export interface ChoosingLimits {
  /** Rows of each class that may generate at once. */
  readonly rowsMax: number;
  /** Longest encoder run, alone and while realtime sentences generate. */
  readonly chunkMs: number;
  readonly chunkBesideRealtimeMs: number;
  /** How long a realtime sentence may wait for others at most, to be encoded together, while many others generate. */
  readonly gatherMs: number;
  /** Part of the time that bulk keeps while realtime has work, 0 to 1. */
  readonly bulkShare: number;
}

/** What was learned of runs so far. */
export interface RunCosts {
  /** Most padded tokens of an encoder run whose predicted time is within `ms`; at least one. */
  encodeUnitsWithin(ms: number): number;
  /** Of an encoder run of so many padded tokens. */
  encodeMs(units: number): number;
  decodeMs(rows: number): number;
}

export type RunDecision<Item extends WaitingItem> =
  | { readonly kind: "idle" }
  /**
   * The chunk leaves `waiting`, the leader first; `width` is what each sentence is padded to. `overtakes` is the item that waits
   * longest, where the leader goes before it.
   */
  | {
      readonly kind: "encode";
      readonly workClass: WorkClass;
      readonly chunk: readonly Item[];
      readonly width: number;
      readonly overtakes: number | null;
    }
  | { readonly kind: "decode"; readonly workClass: WorkClass; readonly laneKey: string };

export class Choosing {
  readonly #limits: ChoosingLimits;
  readonly #costs: RunCosts;
  /** Milliseconds. */
  readonly #share: OwedShare;
  /** The class that was encoded for in the last run: a lane of it is next, whatever has come since. */
  #encodedFor: WorkClass | null = null;
  /** Number of the run that served each lane last; a new lane stands behind those that are there. */
  #servedAt: ReadonlyMap<string, number> = new Map();
  #runs = 0;
  /** The bulk item that the last chunk of bulk went before, and how many in a row did. */
  #overtakenBulk: number | null = null;
  #overtaken = 0;

  constructor(limits: ChoosingLimits, costs: RunCosts) {
    this.#limits = limits;
    this.#costs = costs;
    this.#share = new OwedShare(limits.bulkShare);
  }

  /** Changes nothing. Idle only where there is no work at all. */
  decide<Item extends WaitingItem>(work: EngineWork<Item>, nowMs: number): RunDecision<Item> {
    const lanes = [...work.lanes].filter(({ rows }) => rows > 0);
    const encodedFor = this.#encodedFor;
    if (encodedFor !== null) {
      const laneKey = this.#laneOf(encodedFor, lanes);
      if (laneKey !== null) return { kind: "decode", workClass: encodedFor, laneKey };
    }
    const workClass = this.#classToServe(work, lanes);
    if (workClass === null) return { kind: "idle" };
    const chunk = this.#nextChunk(work, { workClass, lanes, nowMs });
    const [leader] = chunk;
    if (leader !== undefined) {
      const oldest = work.waiting[workClass][0]?.itemId ?? null;
      const overtakes = oldest === leader.itemId ? null : oldest;
      return { kind: "encode", workClass, chunk, width: padWidth(leader.tokens), overtakes };
    }
    const laneKey = this.#laneOf(workClass, lanes);
    if (laneKey === null) throw new Error(`${workClass} has work, and nothing of it can run`);
    return { kind: "decode", workClass, laneKey };
  }

  /** Of the run that would be next; 0 where there is none. */
  predictedMs(work: EngineWork<WaitingItem>, nowMs: number): number {
    const decision = this.decide(work, nowMs);
    switch (decision.kind) {
      case "idle":
        return 0;
      case "encode":
        return this.#costs.encodeMs(decision.chunk.length * decision.width);
      case "decode":
        return this.#costs.decodeMs(
          [...work.lanes].find(({ key }) => key === decision.laneKey)?.rows ?? 0,
        );
    }
  }

  /** After the run: `work` as it is now. */
  ran(
    decision: Exclude<RunDecision<WaitingItem>, { readonly kind: "idle" }>,
    ms: number,
    work: EngineWork<WaitingItem>,
  ): void {
    const { kind, workClass } = decision;
    this.#runs += 1;
    this.#encodedFor = kind === "encode" ? workClass : null;
    if (kind === "encode" && workClass === "bulk") {
      const { overtakes } = decision;
      this.#overtaken = overtakes === this.#overtakenBulk ? this.#overtaken + 1 : 1;
      this.#overtakenBulk = overtakes;
    }
    const lanes = [...work.lanes];
    const served = kind === "decode" ? decision.laneKey : null;
    this.#servedAt = new Map(
      lanes.map(({ key }) => {
        const servedAt = key === served ? undefined : this.#servedAt.get(key);
        return [key, servedAt ?? this.#runs];
      }),
    );
    // A run may take longer than bulk was owed, a chunk mostly does: beside realtime the rest is taken off what comes.
    if (workClass === "bulk") this.#share.bulkServed(ms, hasWork("realtime", work, lanes));
    else this.#share.realtimeServed(ms, hasWork("bulk", work, lanes));
  }

  #classToServe(work: EngineWork<WaitingItem>, lanes: readonly LaneLoad[]): WorkClass | null {
    const bulk = hasWork("bulk", work, lanes);
    if (!hasWork("realtime", work, lanes)) return bulk ? "bulk" : null;
    const isOwed = bulk && this.#share.owed > this.#costs.decodeMs(rowsOf("bulk", lanes));
    return isOwed ? "bulk" : "realtime";
  }

  /** Sentences of about the same length as the one that leads, as many as rows and time allow. */
  #nextChunk<Item extends WaitingItem>(
    work: EngineWork<Item>,
    at: {
      readonly workClass: WorkClass;
      readonly lanes: readonly LaneLoad[];
      readonly nowMs: number;
    },
  ): readonly Item[] {
    const { workClass, lanes, nowMs } = at;
    const waiting = work.waiting[workClass];
    if (!isFilled(waiting)) return [];
    const [first] = waiting;
    const used = rowsOf(workClass, lanes);
    let free = this.#limits.rowsMax - used;
    const leader = workClass === "bulk" ? this.#bulkLeader(waiting, { free, lanes }) : first;
    // Its rows are gathered, or sentences that need fewer would overtake it for ever.
    if (used > 0 && leader.rows > free) return [];
    if (used > 0 && this.#gathers(workClass, { waiting, used, free, nowMs })) return [];
    const width = padWidth(leader.tokens);
    let units = this.#costs.encodeUnitsWithin(this.#chunkMs(work, at)) - width;
    // One with more beams than there are rows still runs, when nothing else does.
    const chunk: Item[] = [leader];
    free -= leader.rows;
    if (leader.alone) return chunk;
    for (const item of waiting) {
      if (item === leader || item.alone || padWidth(item.tokens) !== width) continue;
      if (item.rows > free) continue;
      if (units < width) break;
      chunk.push(item);
      free -= item.rows;
      units -= width;
    }
    return chunk;
  }

  /**
   * Bulk keeps to the lane that it is in, so that the rows of a run are many: of those that wait, the first that fits in there,
   * but not for ever.
   */
  #bulkLeader<Item extends WaitingItem>(
    waiting: readonly [Item, ...Item[]],
    { free, lanes }: { readonly free: number; readonly lanes: readonly LaneLoad[] },
  ): Item {
    const [oldest] = waiting;
    const fullest = fullestOf("bulk", lanes);
    const overtaken = this.#overtakenBulk === oldest.itemId ? this.#overtaken : 0;
    if (fullest === null || oldest.alone || overtaken >= overtakenMax) return oldest;
    const { beams, crossWidth } = fullest;
    if (beams > free) return oldest;
    const fits = ({ tokens, rows, alone }: Item) =>
      !alone && rows === beams && doubledWidth(tokens) === crossWidth;
    return waiting.find(fits) ?? oldest;
  }

  /**
   * A few sentences are not worth an encoder run of their own while many others generate. Bulk waits until more rows
   * are free; realtime waits for more sentences, as long as its run would hold up all those who generate, taken together.
   */
  #gathers(
    workClass: WorkClass,
    at: {
      readonly waiting: readonly [WaitingItem, ...WaitingItem[]];
      readonly used: number;
      readonly free: number;
      readonly nowMs: number;
    },
  ): boolean {
    const { waiting, used, free, nowMs } = at;
    if (workClass === "bulk") return free < used / 3 && free < rowsWanted(waiting, used / 3);
    if (free >= used / 4 && rowsWanted(waiting, used / 4) >= used / 4) return false;
    const [{ tokens, receivedAtMs }] = waiting;
    const heldUpMs = used * this.#costs.encodeMs(padWidth(tokens));
    return nowMs - receivedAtMs < Math.min(this.#limits.gatherMs, heldUpMs);
  }

  #chunkMs(
    work: EngineWork<WaitingItem>,
    at: { readonly workClass: WorkClass; readonly lanes: readonly LaneLoad[] },
  ): number {
    const beside = at.workClass === "bulk" && hasWork("realtime", work, at.lanes);
    return beside || rowsOf("realtime", at.lanes) > 0
      ? this.#limits.chunkBesideRealtimeMs
      : this.#limits.chunkMs;
  }

  #laneOf(workClass: WorkClass, lanes: readonly LaneLoad[]): string | null {
    let next: string | null = null;
    let nextAt = Number.POSITIVE_INFINITY;
    for (const lane of lanes) {
      const servedAt = this.#servedAt.get(lane.key) ?? this.#runs;
      if (lane.workClass !== workClass || servedAt >= nextAt) continue;
      next = lane.key;
      nextAt = servedAt;
    }
    return next;
  }
}

function hasWork(
  workClass: WorkClass,
  work: EngineWork<WaitingItem>,
  lanes: readonly LaneLoad[],
): boolean {
  return work.waiting[workClass].length > 0 || rowsOf(workClass, lanes) > 0;
}

function isFilled<Item>(items: readonly Item[]): items is readonly [Item, ...Item[]] {
  return items.length > 0;
}

function fullestOf(workClass: WorkClass, lanes: readonly LaneLoad[]): LaneLoad | null {
  let fullest: LaneLoad | null = null;
  for (const lane of lanes) {
    if (lane.workClass === workClass && lane.rows > (fullest?.rows ?? 0)) fullest = lane;
  }
  return fullest;
}

function rowsOf(workClass: WorkClass, lanes: readonly LaneLoad[]): number {
  let rows = 0;
  for (const lane of lanes) if (lane.workClass === workClass) rows += lane.rows;
  return rows;
}

/** Rows that those who wait want, counted no further than `enough`: thousands may wait. */
function rowsWanted(waiting: readonly WaitingItem[], enough: number): number {
  let wanted = 0;
  for (const { rows } of waiting) {
    wanted += rows;
    if (wanted >= enough) break;
  }
  return wanted;
}
