/** Descriptions of models that others serve: asked for once each, and known from then on. */
import { type ModelInfo, modelStates } from "millrace-client/wire";
import type { NatsLink } from "../nats/connection.js";
import type { Directory } from "../nats/directory.js";
import { subjectsOf } from "../nats/subjects.js";
import { isJsonObject } from "../work/payload.js";

type Described = Omit<ModelInfo, "ready" | "state" | "pipelines" | "reason">;

const askMsMax = 2_000;
const describedMax = 10_000;

export class ModelCatalogue {
  readonly #link: NatsLink;
  readonly #directory: Directory;
  readonly #described = new Map<string, Described>();
  readonly #asking = new Set<string>();

  constructor({ link, directory }: { readonly link: NatsLink; readonly directory: Directory }) {
    this.#link = link;
    this.#directory = directory;
  }

  /** What the nodes serve, each model once: ready where one of them is. */
  models(): readonly ModelInfo[] {
    const models = new Map<string, ModelInfo>();
    for (const { entry } of this.#directory.nodes) {
      for (const { name, tasks, ready, state, reason, infoId } of entry.models) {
        const described = this.#described.get(infoId) ?? this.#ask(entry.instance, infoId);
        const canServe = ready && !entry.isDraining;
        const known = models.get(name);
        const isResident = canServe && state === "resident";
        const pipelines = [...(known?.pipelines ?? []), ...(isResident ? [entry.node] : [])];
        const task = tasks[0] ?? "";
        const form = described ?? { name, task, family: "", precision: "", limits: {} };
        if (known?.ready === true) models.set(name, { ...known, pipelines });
        else {
          const why = canServe ? null : (reason ?? `${entry.node} is ${entry.state}`);
          const its = { ready: canServe, state: stateOf(state), pipelines, reason: why };
          models.set(name, { ...form, ...its });
        }
      }
    }
    return [...models.values()];
  }

  /** Asks for what is not known yet. */
  look(): void {
    for (const { entry } of this.#directory.nodes) {
      for (const { infoId } of entry.models) {
        if (!this.#described.has(infoId)) this.#ask(entry.instance, infoId);
      }
    }
  }

  /** In the background; until then there is little to say of it. */
  #ask(instance: string, infoId: string): null {
    if (this.#asking.has(infoId) || this.#described.size >= describedMax) return null;
    const { connected, prefix } = this.#link;
    if (connected === null) return null;
    this.#asking.add(infoId);
    connected
      .request(subjectsOf(prefix).info(instance), infoId, { timeout: askMsMax })
      .then((message) => {
        const described = readDescription(message.string());
        if (described !== null) this.#described.set(infoId, described);
      })
      // It went, or is slow: whoever looks next asks again.
      .catch(() => {})
      .finally(() => this.#asking.delete(infoId));
    return null;
  }
}

function stateOf(state: string): ModelInfo["state"] {
  return isState(state) ? state : "on-disk";
}

function isState(state: string): state is ModelInfo["state"] {
  return (modelStates as readonly string[]).includes(state);
}

/** What a server of the same deployment says of its model: as its own would be told to callers. */
function readDescription(json: string): Described | null {
  try {
    const described: unknown = JSON.parse(json);
    if (!isJsonObject(described)) return null;
    const { name, task, family, precision, limits } = described;
    const isWhole = [name, task, family, precision].every((each) => typeof each === "string");
    return isWhole && isJsonObject(limits) ? (described as unknown as Described) : null;
  } catch {
    return null;
  }
}
