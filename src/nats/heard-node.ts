/** A node as somebody knows it who hears of it: what it said last, and what was sent to it since. */
import { Backlog } from "./backlog.js";
import type { NodeEntry, NodeModel, NodeWaits } from "./node-entry.js";

export interface KnownNode {
  readonly entry: NodeEntry;
  readonly ageMs: number;
  /** Items of ours that are there and not answered. */
  readonly sentItems: number;
  /** What it said of its queue, with what has been sent and done since. */
  readonly waits: NodeWaits;
  /** Of that name, as it has it. */
  model(name: string): NodeModel | undefined;
}

export interface SentItems {
  readonly items: number;
  /** Of one of so many pipelines. */
  readonly itemMs: number;
  readonly pipelines: number;
}

export class HeardNode implements KnownNode {
  entry: NodeEntry;
  ageMs = 0;
  sentItems = 0;
  readonly #now: () => number;
  /** What it said beside its waits, which change all the time. */
  #shape = "";
  readonly #realtime = new Backlog();
  readonly #bulk = new Backlog();
  #models: ReadonlyMap<string, NodeModel> = new Map();

  constructor(entry: NodeEntry, now: () => number) {
    this.entry = entry;
    this.#now = now;
    this.said(entry);
  }

  /** True: it is another one than before, but for its waits. */
  said(entry: NodeEntry): boolean {
    const nowMs = this.#now();
    this.entry = entry;
    this.ageMs = 0;
    this.#models = new Map(entry.models.map((each) => [each.name, each]));
    this.#realtime.said(entry.waits.realtimeMs, nowMs);
    this.#bulk.said(entry.waits.bulkMs, nowMs);
    const shape = shapeOf(entry);
    const isNews = shape !== this.#shape;
    this.#shape = shape;
    return isNews;
  }

  model(name: string): NodeModel | undefined {
    return this.#models.get(name);
  }

  get waits(): NodeWaits {
    const nowMs = this.#now();
    return { realtimeMs: this.#realtime.at(nowMs), bulkMs: this.#bulk.at(nowMs) };
  }

  /** By one of so many edges. */
  sent({ items, itemMs, pipelines }: SentItems, edges: number): void {
    const nowMs = this.#now();
    const ms = (items * itemMs) / Math.max(1, pipelines);
    this.sentItems += items;
    for (const backlog of [this.#realtime, this.#bulk]) backlog.sent(ms, edges, nowMs);
  }
}

/** Descriptions among it: a version that takes a name over has another one. */
function shapeOf({ waits: _waits, models, ...rest }: NodeEntry): string {
  const each = models.map(({ name, ready, state, infoId }) => [name, ready, state, infoId]);
  return JSON.stringify([rest, each]);
}
