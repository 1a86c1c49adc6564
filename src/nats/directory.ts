/**
 * Who is there: what the nodes of the deployment said last. Nothing older than three seconds is used, and a time in which this process stood
 * still makes nothing old: what came meanwhile waits to be read.
 */
import { Backlog } from "./backlog.js";
import { beatMs } from "./beats.js";
import type { NatsLink, NatsLog } from "./connection.js";
import { type NodeEntry, type NodeModel, type NodeWaits, readEntry } from "./node-entry.js";
import { subjectsOf } from "./subjects.js";

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

class Node implements KnownNode {
  entry: NodeEntry;
  ageMs = 0;
  sentItems = 0;
  /** What it said beside its waits, which change all the time. */
  #shape = "";
  readonly #realtime = new Backlog();
  readonly #bulk = new Backlog();
  #models: ReadonlyMap<string, NodeModel> = new Map();

  constructor(entry: NodeEntry) {
    this.entry = entry;
    this.said(entry);
  }

  /** True: it is another one than before, but for its waits. */
  said(entry: NodeEntry): boolean {
    const nowMs = performance.now();
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
    const nowMs = performance.now();
    return { realtimeMs: this.#realtime.at(nowMs), bulkMs: this.#bulk.at(nowMs) };
  }

  sent(ms: number, edges: number): void {
    const nowMs = performance.now();
    for (const backlog of [this.#realtime, this.#bulk]) backlog.sent(ms, edges, nowMs);
  }
}

const entryMsMax = 3_000;
const sweepMs = 250;
const nodesMax = 10_000;
/** What was served before: its nodes are away, which is another thing than a name that is wrong. */
const rememberedMax = 1_000;

export interface SentItems {
  readonly items: number;
  readonly itemMs: number;
  readonly pipelines: number;
}

export interface DirectoryParts {
  readonly link: NatsLink;
  /** Those of another one are not used: they are somebody's mistake. */
  readonly environment: string;
  readonly log: NatsLog;
  /** Somebody came, changed what it has, or went. */
  readonly onChange?: () => void;
}

export class Directory implements Disposable {
  readonly #parts: DirectoryParts;
  readonly #nodes = new Map<string, Node>();
  readonly #remembered = new Set<string>();
  readonly #strangers = new Set<string>();
  readonly #unlisten: () => void;
  readonly #timer: NodeJS.Timeout;
  #sweptAtMs = performance.now();
  #connection: unknown = null;
  #unsubscribe: () => void = () => {};

  constructor(parts: DirectoryParts) {
    this.#parts = parts;
    this.#unlisten = parts.link.listen({ onConnected: () => this.#connected() });
    this.#timer = setInterval(() => this.#sweep(), sweepMs);
    this.#timer.unref();
  }

  /** Those that are heard of, itself included where it is a node. */
  get nodes(): readonly KnownNode[] {
    return [...this.#nodes.values()];
  }

  /** Whether any node has served it since this server started. */
  remembers(model: string): boolean {
    return this.#remembered.has(model);
  }

  /** It is gone: NATS knows of nobody who listens there. */
  lost(instance: string): void {
    const node = this.#nodes.get(instance);
    if (node === undefined) return;
    this.#nodes.delete(instance);
    this.#parts.log.warn({ node: node.entry.node }, "a node is gone");
    this.#parts.onChange?.();
  }

  /** So many items went there, each of which takes so much of one of so many pipelines. */
  sent(instance: string, { items, itemMs, pipelines }: SentItems): void {
    const node = this.#nodes.get(instance);
    if (node === undefined) return;
    node.sentItems += items;
    node.sent((items * itemMs) / Math.max(1, pipelines), this.#edges());
  }

  /** Of those that were sent. */
  answered(instance: string, items: number): void {
    const node = this.#nodes.get(instance);
    if (node !== undefined) node.sentItems -= items;
  }

  /** Those that send requests: what is not a node only. */
  #edges(): number {
    let edges = 0;
    for (const { entry } of this.#nodes.values()) if (entry.role !== "node") edges += 1;
    return edges;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#unlisten();
    this.#unsubscribe();
  }

  #connected(): void {
    const { connection } = this.#parts.link;
    if (connection === this.#connection) return;
    this.#connection = connection;
    const subscription = connection.subscribe(subjectsOf(this.#parts.link.prefix).nodes, {
      callback: (error, message) => {
        if (error === null) this.#heard(message.string());
      },
    });
    this.#unsubscribe = () => subscription.unsubscribe();
  }

  #heard(json: string): void {
    const entry = readEntry(json);
    if (entry === null) return this.#stranger(json.slice(0, 64), "it is of another version");
    const { environment, log } = this.#parts;
    if (entry.environment !== environment) {
      return this.#stranger(entry.instance, `${entry.node} is of environment ${entry.environment}`);
    }
    const { instance, node } = entry;
    const known = this.#nodes.get(instance);
    if (entry.hasLeft) {
      if (known !== undefined) this.lost(instance);
      return;
    }
    if (known === undefined) {
      if (this.#nodes.size >= nodesMax) return;
      log.info({ node, role: entry.role, models: entry.models.length }, "a node is there");
    }
    if (known === undefined) this.#nodes.set(instance, new Node(entry));
    const isNews = known?.said(entry) ?? true;
    for (const { name } of entry.models) {
      if (this.#remembered.size < rememberedMax) this.#remembered.add(name);
    }
    if (isNews) this.#parts.onChange?.();
  }

  #stranger(who: string, reason: string): void {
    if (this.#strangers.size >= nodesMax || this.#strangers.has(who)) return;
    this.#strangers.add(who);
    this.#parts.log.warn({ reason }, "a server on the same subjects is not used");
  }

  /** A process that stood still for a minute has not read what came: that counts as one look. */
  #sweep(): void {
    const nowMs = performance.now();
    const elapsedMs = Math.min(nowMs - this.#sweptAtMs, 2 * sweepMs);
    this.#sweptAtMs = nowMs;
    for (const [instance, node] of this.#nodes) {
      node.ageMs += elapsedMs;
      if (node.ageMs > entryMsMax) this.lost(instance);
    }
  }
}

/** Descriptions among it: a version that takes a name over has another one. */
function shapeOf({ waits: _waits, models, ...rest }: NodeEntry): string {
  const each = models.map(({ name, ready, state, infoId }) => [name, ready, state, infoId]);
  return JSON.stringify([rest, each]);
}

/** How often a node says what it has. */
export const entryMs: number = beatMs;
