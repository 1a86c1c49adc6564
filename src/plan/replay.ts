/**
 * A recorded load on a virtual clock: what a server would have done with it.
 *
 *   at their times      each request comes when it came, whatever became of the others; twice the load comes in half the time
 *   callers who wait    each request comes when the one before it was answered; twice the load is twice the callers
 */
import { VirtualClock } from "../simulation/virtual-clock.js";
import { itemCountOf } from "./call-parts.js";
import { type Link, timesCallers } from "./callers.js";
import { callFiguresOf, type EndedCall, type FiguresByClass } from "./figures.js";
import type { PlannedModel } from "./planned-models.js";
import type { RecordedCall, RecordedLoad } from "./recorded-load.js";
import { SimulatedEdge } from "./simulated-edge.js";
import {
  type CallEvents,
  type CallTaker,
  type ServerShape,
  SimulatedServer,
} from "./simulated-server.js";

export interface ReplayParts {
  readonly load: RecordedLoad;
  readonly models: readonly PlannedModel[];
  readonly shape: ServerShape;
  /** More than one: servers of this shape, behind an edge. */
  readonly nodes: number;
  readonly isCut: (task: string) => boolean;
  readonly loadFactor: number;
  /** Null: requests come at their times. */
  readonly chains: readonly (readonly Link[])[] | null;
}

export interface Replayed {
  readonly classes: FiguresByClass;
  /** By error code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Of the pipelines' time, while requests came. */
  readonly busyShare: number;
  /** From the last arrival until all was done. */
  readonly drainMs: number;
  readonly lengthMs: number;
}

/** What is resident is loaded before, in no time. */
const beginMs = 100;
/** Some milliseconds. */
const progressSteps = 4_096;

/** `onProgress`: how much of the recording's time is over, from time to time. */
export function replay(parts: ReplayParts, onProgress: (share: number) => void): Replayed {
  return new Replay(parts).run(onProgress);
}

class Replay {
  readonly #parts: ReplayParts;
  readonly #clock = new VirtualClock();
  readonly #taker: CallTaker;
  readonly #ended: EndedCall[] = [];
  readonly #refused: Record<string, number> = {};
  readonly #lengthMs: number;
  #open = 0;
  #lastAtMs = 0;
  #lastEndMs = 0;

  constructor(parts: ReplayParts) {
    const { load, loadFactor, chains } = parts;
    this.#parts = parts;
    const pace = chains === null ? loadFactor : 1;
    const recordedMs = (): number => this.#now * pace;
    const serverParts = { ...parts, clock: this.#clock, recordedMs };
    this.#taker =
      parts.nodes === 1 ? new SimulatedServer(serverParts) : new SimulatedEdge(serverParts);
    this.#lengthMs = chains === null ? load.lengthMs / loadFactor : load.lengthMs;
  }

  run(onProgress: (share: number) => void): Replayed {
    const { loadFactor, chains, shape, nodes } = this.#parts;
    if (chains === null) this.#arriveFrom(0);
    else for (const chain of timesCallers(chains, loadFactor)) this.#call(chain, 0, 0);
    let busyMs: number | null = null;
    this.#clock.at(beginMs + this.#lengthMs, () => {
      busyMs = this.#taker.busyMs;
    });
    for (let step = 0; this.#open > 0 || busyMs === null; step += 1) {
      if (step % progressSteps === 0)
        onProgress(Math.max(0, Math.min(1, this.#now / Math.max(1, this.#lengthMs))));
      if (!this.#clock.advance()) break;
    }
    if (this.#open > 0) throw new Error(`${this.#open} requests never ended in the simulation`);
    return {
      classes: callFiguresOf(this.#ended, this.#lengthMs),
      refused: this.#refused,
      busyShare: (busyMs ?? 0) / Math.max(1, this.#lengthMs * nodes * shape.pipelines.length),
      drainMs: Math.max(0, this.#lastEndMs - this.#lastAtMs),
      lengthMs: this.#lengthMs,
    };
  }

  /** Of the replay. */
  get #now(): number {
    return this.#clock.now() - beginMs;
  }

  /** The caller's request after `place` others, and then the next, until the time is over. */
  #call(chain: readonly Link[], place: number, freeAtMs: number): void {
    const link = chain[place % chain.length];
    if (link === undefined) return;
    const gapMs = place > 0 && place % chain.length === 0 ? 0 : link.gapMs;
    const atMs = freeAtMs + gapMs;
    if (atMs >= this.#lengthMs) return;
    const onOver = (): void => this.#call(chain, place + 1, this.#now);
    this.#arriveAt(link.call, atMs, { onOver });
  }

  /** One after the other: of a million that are to come, one is on the clock. */
  #arriveFrom(place: number): void {
    const { load, loadFactor } = this.#parts;
    const call = load.calls[place];
    if (call === undefined) return;
    const onArrived = (): void => this.#arriveFrom(place + 1);
    this.#arriveAt(call, call.atMs / loadFactor, { onArrived });
  }

  #arriveAt(
    call: RecordedCall,
    dueMs: number,
    { onArrived, onOver }: { readonly onArrived?: () => void; readonly onOver?: () => void },
  ): void {
    const atMs = Math.max(0, dueMs);
    this.#open += 1;
    this.#clock.at(beginMs + atMs, () => {
      onArrived?.();
      this.#lastAtMs = Math.max(this.#lastAtMs, atMs);
      const onEnd: CallEvents["onEnd"] = (error, wasLetIn) => {
        this.#open -= 1;
        this.#lastEndMs = this.#now;
        const { class: workClass } = call;
        if (wasLetIn)
          this.#ended.push({
            class: workClass,
            atMs,
            endMs: this.#now,
            items: itemCountOf(call),
            code: error?.code ?? null,
          });
        else if (error !== null) this.#refused[error.code] = (this.#refused[error.code] ?? 0) + 1;
        onOver?.();
      };
      this.#taker.arrive(call, { onEnd });
    });
  }
}
