/**
 * Who is there: what the nodes of the deployment said last. Nothing older than three seconds is used, and a time in which this process stood
 * still makes nothing old: what came meanwhile waits to be read.
 */
import type { NatsLink, NatsLog } from "./connection.js";
import { HeardNode, type KnownNode, type SentItems } from "./heard-node.js";
import { readEntry } from "./node-entry.js";
import { subjectsOf } from "./subjects.js";

const entryMsMax = 3_000;
const sweepMs = 250;
const nodesMax = 10_000;
/** What was served before: its nodes are away, which is another thing than a name that is wrong. */
const rememberedMax = 1_000;

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
  readonly #nodes = new Map<string, HeardNode>();
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

  sent(instance: string, items: SentItems): void {
    this.#nodes.get(instance)?.sent(items, this.#edges());
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
    if (known === undefined)
      this.#nodes.set(instance, new HeardNode(entry, () => performance.now()));
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
