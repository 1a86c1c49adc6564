/** An account of what an engine chose to run, that shares no code with the choosing. */
import type { WorkClass } from "millrace-client/wire";
import type {
  ChoosingLimits,
  EngineWork,
  LaneLoad,
  RunCosts,
  RunDecision,
  WaitingItem,
} from "#src/runtime/generation/choosing.js";
import type { Judge } from "./rules.js";

/** Chunks that may go before an older item of bulk. */
const overtakenMax = 8;
/** What inputs are padded to a multiple of, and the narrowest lane, in tokens. */
const widthStep = 16;

interface Seen {
  readonly waiting: Readonly<Record<WorkClass, readonly WaitingItem[]>>;
  readonly lanes: readonly LaneLoad[];
}

export class ChoosingAccount {
  readonly #limits: ChoosingLimits;
  readonly #costs: Pick<RunCosts, "encodeMs" | "decodeMs">;
  readonly #judge: Judge;
  /** While both classes have work: the time of each, and the longest run of each. */
  #beside: Record<WorkClass, number> | null = null;
  readonly #longest: Record<WorkClass, number> = { realtime: 0, bulk: 0 };
  /** The lanes of its class that were served since it was. */
  readonly #passedBy = new Map<string, Set<string>>();
  #justEncoded: WorkClass | null = null;
  /** How often an item was the oldest of bulk while a chunk of bulk went before it. */
  readonly #overtaken = new Map<number, number>();

  /** `costs`: what runs are believed to take. */
  constructor(
    limits: ChoosingLimits,
    costs: Pick<RunCosts, "encodeMs" | "decodeMs">,
    judge: Judge,
  ) {
    this.#limits = limits;
    this.#costs = costs;
    this.#judge = judge;
  }

  decided(decision: RunDecision<WaitingItem>, work: EngineWork<WaitingItem>, nowMs: number): void {
    const seen = { waiting: work.waiting, lanes: [...work.lanes].filter(({ rows }) => rows > 0) };
    const both = hasWork(seen, "realtime") && hasWork(seen, "bulk");
    if (!both) this.#beside = null;
    else this.#beside ??= { realtime: 0, bulk: 0 };
    if (decision.kind === "idle") {
      if (hasWork(seen, "realtime") || hasWork(seen, "bulk"))
        this.#judge("an engine does not idle beside work", `at ${nowMs}`);
      return;
    }
    if (!hasWork(seen, decision.workClass))
      this.#judge("an engine does not idle beside work", `${decision.workClass} has none`);
    this.#checkShare(decision.workClass, seen);
    if (decision.kind === "encode") {
      this.#checkChunk(decision, seen, nowMs);
      if (decision.workClass === "bulk")
        this.#noteOvertaken(seen.waiting.bulk[0], decision.chunk[0]);
    } else this.#checkLane(decision.workClass, { laneKey: decision.laneKey, seen, nowMs });
  }

  ran(
    { kind, workClass }: Exclude<RunDecision<WaitingItem>, { readonly kind: "idle" }>,
    ms: number,
    work: EngineWork<WaitingItem>,
  ): void {
    this.#justEncoded = kind === "encode" ? workClass : null;
    this.#longest[workClass] = Math.max(this.#longest[workClass], ms);
    if (this.#beside !== null) this.#beside[workClass] += ms;
    const there = new Set([...work.lanes].filter(({ rows }) => rows > 0).map(({ key }) => key));
    for (const key of this.#passedBy.keys()) if (!there.has(key)) this.#passedBy.delete(key);
  }

  #noteOvertaken(oldest: WaitingItem | undefined, leader: WaitingItem | undefined): void {
    const times = this.#overtaken.get(oldest?.itemId ?? -1) ?? 0;
    this.#overtaken.clear();
    if (oldest !== undefined && oldest !== leader) this.#overtaken.set(oldest.itemId, times + 1);
  }

  /** Bulk has its part of the time beside realtime, within a run of each: not more, and not less. */
  #checkShare(workClass: WorkClass, seen: Seen): void {
    if (this.#beside === null || this.#justEncoded !== null) return;
    const { bulkShare } = this.#limits;
    const owedMs = (this.#beside.realtime * bulkShare) / (1 - bulkShare);
    const aheadMs = this.#beside.bulk - owedMs;
    const slackMs = this.#longest.bulk + this.#longest.realtime;
    if (workClass === "bulk" && aheadMs > slackMs)
      this.#judge("realtime runs first", `bulk is ahead by ${aheadMs} ms`);
    // It waits until it is owed what its run is believed to take.
    const nextMs = this.#costs.decodeMs(rowsOf(seen, "bulk"));
    if (workClass === "realtime" && -aheadMs > slackMs + nextMs)
      this.#judge("bulk keeps its share", `bulk is owed ${-aheadMs} ms`);
  }

  #checkChunk(
    { workClass, chunk, width }: Extract<RunDecision<WaitingItem>, { readonly kind: "encode" }>,
    seen: Seen,
    nowMs: number,
  ): void {
    const waiting = seen.waiting[workClass];
    const used = rowsOf(seen, workClass);
    const rows = chunk.reduce((sum, item) => sum + item.rows, 0);
    if (!this.#mayLead(workClass, chunk[0], seen) || chunk.some((item) => !waiting.includes(item)))
      this.#judge("the oldest leads its chunk", `item ${chunk[0]?.itemId}`);
    if (used + rows > this.#limits.rowsMax && (used > 0 || chunk.length > 1))
      this.#judge("a chunk stays within the rows", `${used} + ${rows}`);
    if (chunk.length > 1 && chunk.some(({ alone }) => alone))
      this.#judge("who was in a run that failed runs alone", `in company of ${chunk.length}`);
    const widths = chunk.map(({ tokens }) => tokens);
    if (Math.max(...widths) > width || Math.max(...widths) - Math.min(...widths) >= widthStep)
      this.#judge("a chunk is of one width", `${widths.join()} padded to ${width}`);
    if (used === 0 || this.#isWorthIt(workClass, seen, nowMs)) return;
    this.#judge("a few wait for company, and not long", `${rows} rows beside ${used}`);
  }

  /** Bulk may go on in a lane that it is in, before an older item, `overtakenMax` times. */
  #mayLead(
    workClass: WorkClass,
    leader: WaitingItem | undefined,
    { waiting, lanes }: Seen,
  ): boolean {
    const [oldest] = waiting[workClass];
    if (leader === undefined || leader === oldest) return leader !== undefined;
    if (workClass === "realtime" || leader.alone || oldest?.alone === true) return false;
    const times = this.#overtaken.get(oldest?.itemId ?? -1) ?? 0;
    const isInLane = lanes.some(
      ({ workClass: of, beams, crossWidth }) =>
        of === "bulk" &&
        beams === leader.rows &&
        leader.tokens <= crossWidth &&
        (leader.tokens > crossWidth / 2 || crossWidth === widthStep),
    );
    return isInLane && times < overtakenMax;
  }

  /** A third of bulk's rows, a quarter of realtime's, or waited long enough: no longer than its run holds up the others. */
  #isWorthIt(workClass: WorkClass, seen: Seen, nowMs: number): boolean {
    const used = rowsOf(seen, workClass);
    const free = this.#limits.rowsMax - used;
    const wanted = seen.waiting[workClass].reduce((sum, item) => sum + item.rows, 0);
    if (workClass === "bulk") return free >= Math.min(wanted, used / 3);
    const [oldest] = seen.waiting.realtime;
    const waitedMs = nowMs - (oldest?.receivedAtMs ?? nowMs);
    const units = Math.ceil(Math.max(1, oldest?.tokens ?? 1) / 16) * 16;
    const boundMs = Math.min(this.#limits.gatherMs, used * this.#costs.encodeMs(units));
    return waitedMs >= boundMs || Math.min(free, wanted) >= used / 4;
  }

  #checkLane(
    workClass: WorkClass,
    at: { readonly laneKey: string; readonly seen: Seen; readonly nowMs: number },
  ): void {
    const { seen, laneKey, nowMs } = at;
    const lanes = seen.lanes.filter((lane) => lane.workClass === workClass);
    if (!lanes.some(({ key }) => key === laneKey))
      return this.#judge("lanes take turns", `${laneKey} is empty, or of another class`);
    for (const { key } of lanes) {
      const passedBy = this.#passedBy.get(key) ?? new Set();
      this.#passedBy.set(key, passedBy);
      if (key === laneKey) passedBy.clear();
      else if (passedBy.has(laneKey)) this.#judge("lanes take turns", `${laneKey} before ${key}`);
      else passedBy.add(laneKey);
    }
    if (this.#justEncoded !== null) return;
    const [oldest] = seen.waiting[workClass];
    const free = this.#limits.rowsMax - rowsOf(seen, workClass);
    const isReady = oldest !== undefined && oldest.rows <= free;
    if (isReady && this.#isWorthIt(workClass, seen, nowMs))
      this.#judge("a few wait for company, and not long", `item ${oldest.itemId} waits on`);
  }
}

function hasWork({ waiting, lanes }: Seen, workClass: WorkClass): boolean {
  return waiting[workClass].length > 0 || lanes.some((lane) => lane.workClass === workClass);
}

function rowsOf({ lanes }: Seen, workClass: WorkClass): number {
  return lanes.reduce((sum, lane) => sum + (lane.workClass === workClass ? lane.rows : 0), 0);
}
