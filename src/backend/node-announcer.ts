/** Says what this server has to the others of its deployment: each second, at each change, and that it is gone. */
import { createHash } from "node:crypto";
import type { ModelInfo } from "millrace-client/wire";
import type { NatsLink } from "../nats/connection.js";
import { entryMs } from "../nats/directory.js";
import { encodeEntry, type NodeEntry, type NodeModel } from "../nats/node-entry.js";
import { subjectsOf } from "../nats/subjects.js";
import type { Options } from "../options/options.js";
import type { ServerViews } from "../work/views.js";
import type { NodeSide } from "./backend.js";
import { estimateQueue } from "./queue-estimate.js";

export interface AnnouncerParts {
  readonly link: NatsLink;
  readonly options: Pick<Options, "role">;
  readonly views: ServerViews;
  readonly messageBytesMax: number;
  /** Null: no pipelines, and nothing to be asked for. */
  readonly side: NodeSide | null;
}

/** Changes come in crowds: a load is several. */
const changeMs = 50;

export class NodeAnnouncer {
  readonly #parts: AnnouncerParts;
  readonly #timer: NodeJS.Timeout;
  readonly #stops: (() => void)[] = [];
  /** Descriptions by their ids, for whoever asks. */
  #infos: ReadonlyMap<string, string> = new Map();
  #soon: NodeJS.Timeout | null = null;
  #connection: unknown = null;
  #hasLeft = false;

  constructor(parts: AnnouncerParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => this.#say(), entryMs);
    this.#timer.unref();
    this.#stops.push(parts.link.listen({ onConnected: () => this.#connected() }));
    if (parts.side !== null) this.#stops.push(parts.side.onChange(() => this.changed()));
  }

  changed(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = null;
      this.#say();
    }, changeMs);
  }

  /** At once: nobody sends anything here from now on. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#say();
    clearInterval(this.#timer);
    if (this.#soon !== null) clearTimeout(this.#soon);
    for (const stop of this.#stops) stop();
  }

  #connected(): void {
    const { link } = this.#parts;
    const { connection } = link;
    if (connection !== this.#connection) {
      this.#connection = connection;
      const subscription = connection.subscribe(subjectsOf(link.prefix).info(link.instance), {
        callback: (error, message) => {
          if (error === null) message.respond(this.#infos.get(message.string()) ?? "");
        },
      });
      this.#stops.push(() => subscription.unsubscribe());
    }
    this.#say();
  }

  #say(): void {
    const { link } = this.#parts;
    link.connected?.publish(subjectsOf(link.prefix).nodes, encodeEntry(this.#entry()));
  }

  #entry(): NodeEntry {
    const { link, options, views, messageBytesMax, side } = this.#parts;
    const { node, version, environment, configHash } = views.identity;
    const { state, isDraining } = { state: views.ready().state, isDraining: views.isDraining };
    const own = {
      instance: link.instance,
      node,
      role: options.role,
      version,
      environment,
      configHash,
    };
    const status = views.status();
    const { waits, pipelines, itemMs } = estimateQueue(status, views.statistics());
    const loads = new Map(status.models.map(({ model, loadMs }) => [model, loadMs]));
    const infos = new Map<string, string>();
    const models =
      side === null
        ? []
        : side.models().map((info): NodeModel => {
            const { name, ready, state: its, reason } = info;
            const { infoId, json } = describe(info);
            infos.set(infoId, json);
            const loadMs = its === "resident" ? 0 : (loads.get(name) ?? 0);
            const tasks = side.tasksOf(name);
            return { name, tasks, ready, state: its, reason, loadMs, itemMs: itemMs(name), infoId };
          });
    this.#infos = infos;
    return {
      ...own,
      state,
      isDraining,
      hasLeft: this.#hasLeft,
      pipelines,
      waits,
      messageBytesMax,
      models,
    };
  }
}

/** What of it stays the same while it is served. */
function describe({
  ready: _ready,
  state: _state,
  pipelines: _pipelines,
  reason: _reason,
  ...info
}: ModelInfo) {
  const json = JSON.stringify(info);
  const infoId = createHash("sha256").update(json).digest("base64url").slice(0, 12);
  return { infoId, json };
}
