/** Says what this server has to the others of its deployment: each second, at each change, and that it is gone. */
import { createHash } from "node:crypto";
import type { ModelInfo } from "millrace-client/wire";
import { changeMs, entryMs } from "../nats/announced.js";
import type { NatsLink, NatsLog } from "../nats/connection.js";
import { encodeEntry, type NodeEntry, type NodeModel } from "../nats/node-entry.js";
import { estimateQueue } from "../nats/queue-estimate.js";
import { subjectsOf } from "../nats/subjects.js";
import type { Options } from "../options/options.js";
import type { ServerViews } from "../work/views.js";
import type { NodeSide } from "./backend.js";

export interface AnnouncerParts {
  readonly link: NatsLink;
  readonly log: Pick<NatsLog, "warn">;
  readonly options: Pick<Options, "role">;
  readonly views: ServerViews;
  /** Null: no pipelines, and nothing to be asked for. */
  readonly side: NodeSide | null;
}

export class NodeAnnouncer {
  readonly #parts: AnnouncerParts;
  readonly #timer: NodeJS.Timeout;
  readonly #stops: (() => void)[] = [];
  /** By the names of models, as they were told last. */
  #described: ReadonlyMap<string, Description> = new Map();
  /** Descriptions by their ids, for whoever asks. */
  #infos: ReadonlyMap<string, string> = new Map();
  #soon: NodeJS.Timeout | null = null;
  #connection: unknown = null;
  #hasLeft = false;
  #hasWarned = false;

  constructor(parts: AnnouncerParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => this.say(), entryMs);
    this.#timer.unref();
    this.#stops.push(parts.link.listen({ onConnected: () => this.#connected() }));
    if (parts.side !== null) this.#stops.push(parts.side.onChange(() => this.#changed()));
  }

  #changed(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = null;
      this.say();
    }, changeMs);
  }

  /** At once: nobody sends anything here from now on. */
  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.say();
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
          if (error === null) message.respond(this.#infoOf(message.string(), connection));
        },
      });
      this.#stops.push(() => subscription.unsubscribe());
    }
    this.say();
  }

  /** At once. */
  say(): void {
    const { link } = this.#parts;
    const { connected } = link;
    connected?.publish(subjectsOf(link.prefix).nodes, this.#fitting(connected));
  }

  /** Of more models than NATS takes in one message the first are told: the library throws where it is asked to send more. */
  #fitting(connection: NatsLink["connection"]): string {
    const entry = this.entry();
    let text = encodeEntry(entry);
    let { length: told } = entry.models;
    while (told > 0 && !fits(text, connection)) {
      told = Math.floor(told / 2);
      text = encodeEntry({ ...entry, models: entry.models.slice(0, told) });
    }
    const models = entry.models.length;
    if (told < models) this.#warn({ models, told }, "NATS takes no message that names all models");
    return text;
  }

  #infoOf(infoId: string, connection: NatsLink["connection"]): string {
    const info = this.#infos.get(infoId) ?? "";
    if (fits(info, connection)) return info;
    const bytes = Buffer.byteLength(info);
    this.#warn({ bytes }, "NATS takes no message that describes this model");
    return "";
  }

  /** Once: it is the same each second. */
  #warn(fields: object, message: string): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    const help = "others do not see it; raise max_payload of nats-server";
    this.#parts.log.warn(fields, `${message}: ${help}`);
  }

  /** What it says now. */
  entry(): NodeEntry {
    const { link, options, views, side } = this.#parts;
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
    const described = new Map<string, Description>();
    const models =
      side === null
        ? []
        : side.models().map((info): NodeModel => {
            const { name, ready, state: its, reason } = info;
            const description = descriptionOf(info, this.#described.get(name));
            const { infoId } = description;
            described.set(name, description);
            const loadMs = its === "resident" ? 0 : (loads.get(name) ?? 0);
            const tasks = side.tasksOf(name);
            return { name, tasks, ready, state: its, reason, loadMs, itemMs: itemMs(name), infoId };
          });
    this.#described = described;
    this.#infos = new Map([...described.values()].map(({ infoId, json }) => [infoId, json]));
    return {
      ...own,
      state,
      isDraining,
      hasLeft: this.#hasLeft,
      pipelines,
      waits,
      models,
    };
  }
}

function fits(text: string, { info }: NatsLink["connection"]): boolean {
  return Buffer.byteLength(text) <= (info?.max_payload ?? 0);
}

/** What of a model stays the same while it is served. */
type Described = Omit<ModelInfo, "ready" | "state" | "pipelines" | "reason">;

interface Description {
  readonly of: Described;
  readonly infoId: string;
  readonly json: string;
}

/** The one before, where the model is the same still: it is said each second. */
function descriptionOf(
  { ready: _ready, state: _state, pipelines: _pipelines, reason: _reason, ...of }: ModelInfo,
  before: Description | undefined,
): Description {
  if (before !== undefined && isSame(before.of, of)) return before;
  const json = JSON.stringify(of);
  const infoId = createHash("sha256").update(json).digest("base64url").slice(0, 12);
  return { of, infoId, json };
}

function isSame(before: Described, now: Described): boolean {
  const fields = Object.entries(now);
  const were: Readonly<Record<string, unknown>> = { ...before };
  if (fields.length !== Object.keys(were).length) return false;
  return fields.every(([field, value]) => were[field] === value);
}
