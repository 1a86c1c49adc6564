/** A simulated server among others: what it says of itself each second, and when a model comes or goes, as an edge hears of it. */
import { changeMs, entryMs } from "../nats/announced.js";
import { HeardNode } from "../nats/heard-node.js";
import type { NodeEntry, NodeModel } from "../nats/node-entry.js";
import type { VirtualClock } from "../simulation/virtual-clock.js";
import { SimulatedServer, type SimulatedServerParts } from "./simulated-server.js";

export interface SimulatedNodeParts extends Omit<SimulatedServerParts, "onResidence"> {
  readonly instance: string;
  /** When it first says again what it has: machines are not started at the same moment. */
  readonly phaseMs: number;
  /** By model. */
  readonly tasks: ReadonlyMap<string, readonly string[]>;
}

export class SimulatedNode {
  readonly instance: string;
  readonly server: SimulatedServer;
  /** As the edge knows it. */
  readonly heard: HeardNode;
  readonly #parts: SimulatedNodeParts;
  #isToldSoon = false;

  constructor(parts: SimulatedNodeParts) {
    const { instance, clock, phaseMs } = parts;
    this.instance = instance;
    this.#parts = parts;
    this.server = new SimulatedServer({ ...parts, onResidence: () => this.#tellSoon() });
    this.heard = new HeardNode(this.#entry(), () => clock.now());
    this.#tellAfter(phaseMs);
  }

  get #clock(): VirtualClock {
    return this.#parts.clock;
  }

  #tellAfter(ms: number): void {
    this.#clock.at(this.#clock.now() + ms, () => {
      this.heard.said(this.#entry());
      this.#tellAfter(entryMs);
    });
  }

  #tellSoon(): void {
    if (this.#isToldSoon) return;
    this.#isToldSoon = true;
    this.#clock.at(this.#clock.now() + changeMs, () => {
      this.#isToldSoon = false;
      this.heard.said(this.#entry());
    });
  }

  #entry(): NodeEntry {
    const { waits, pipelines, itemMs } = this.server.estimate;
    const models = this.#parts.models.map(({ spec: { model: name } }): NodeModel => {
      const loadMs = this.server.loadMsOf(name);
      const known = { name, tasks: this.#parts.tasks.get(name) ?? [], infoId: name };
      const state = loadMs === 0 ? "resident" : "cold";
      return { ...known, ready: true, state, reason: null, loadMs, itemMs: itemMs(name) };
    });
    return {
      instance: this.instance,
      node: this.instance,
      role: "node",
      version: "simulated",
      environment: "simulated",
      configHash: "simulated",
      state: "ready",
      isDraining: false,
      hasLeft: false,
      pipelines,
      waits,
      models,
    };
  }
}
