/** An edge and some nodes on one NATS, each a process of the real command; several deployments share a NATS by their prefix. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { NodesResponse } from "millrace-client/wire";
import { ServerTree, type TreeSpec } from "../harness/server-tree.js";
import type { NodePlace } from "./network.js";
import type { NodesSettings } from "./settings.js";

const bundledModels = fileURLToPath(new URL("../../../models", import.meta.url));
const lookMs = 50;
const joinMsMax = 60_000;
const startsMax = 10;

/** What of the settings of a benchmark a deployment needs. */
export type DeploymentPlace = Pick<
  NodesSettings,
  "nats" | "network" | "parent" | "timedModels" | "factor"
>;

export interface DeploymentSpec {
  readonly prefix: string;
  readonly nodes: number;
  readonly workers: TreeSpec["script"];
  /** Of the recorded times; default: that of the settings. */
  readonly factor?: number;
  /** `both`: nodes are asked directly too. */
  readonly role?: "node" | "both";
}

export class Deployment implements AsyncDisposable {
  readonly edge: ServerTree;
  readonly url: string;
  readonly nodes: readonly BenchNode[];

  /** All nodes are known to the edge when it resolves. */
  static async start(settings: DeploymentPlace, spec: DeploymentSpec): Promise<Deployment> {
    const { nats, network, parent } = settings;
    const nodes: BenchNode[] = [];
    for (let number = 1; number <= spec.nodes; number += 1) {
      const place = await network.join(nats.port);
      nodes.push(new BenchNode(`${spec.prefix}-${number}`, place, { settings, spec }));
    }
    await Promise.all(nodes.map((node) => node.start()));
    const natsUrl = `nats://${network.natsHost}:${nats.port}`;
    const edge = await ServerTree.start({
      name: `${spec.prefix}-edge`,
      script: spec.workers,
      flags: {
        role: "edge",
        nats: natsUrl,
        "nats-prefix": spec.prefix,
        node: `${spec.prefix}-edge`,
        port: 0,
        "request-inputs-max": 100_000,
        "cache-dir": join(parent, "cache"),
      },
    });
    const deployment = new Deployment(edge, await edge.ready(), nodes);
    await Promise.all(nodes.map((node) => node.url()));
    await deployment.whenJoined();
    return deployment;
  }

  private constructor(edge: ServerTree, url: string, nodes: readonly BenchNode[]) {
    this.edge = edge;
    this.url = url;
    this.nodes = nodes;
  }

  /** The edge knows every node and that it can work. */
  async whenJoined(): Promise<void> {
    const endAtMs = performance.now() + joinMsMax;
    for (;;) {
      const reply = await fetch(`${this.url}/v1/nodes`);
      const text = await reply.text();
      if (reply.status !== 200) throw new Error(`GET /v1/nodes: ${reply.status} ${text}`);
      const { nodes } = JSON.parse(text) as NodesResponse;
      const isUp = ({ name }: BenchNode): boolean =>
        nodes.some(({ node, state, draining }) => node === name && state === "ready" && !draining);
      if (this.nodes.every(isUp)) return;
      if (performance.now() > endAtMs)
        throw new Error(`the nodes did not join ${this.edge.name}: ${text}`);
      await delay(lookMs);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.edge.kill(), ...this.nodes.map((node) => node.stop())]);
  }
}

/** A machine of the deployment, whatever runs there at the moment. */
export class BenchNode {
  readonly name: string;
  readonly place: NodePlace;
  readonly #spec: TreeSpec;
  #tree: ServerTree | null = null;

  constructor(name: string, place: NodePlace, parts: NodeParts) {
    this.name = name;
    this.place = place;
    this.#spec = specOf(name, place, parts);
  }

  /** Spawned when it resolves. */
  async start(): Promise<void> {
    this.#tree = await ServerTree.start(this.#spec);
  }

  /** Waits until it is ready. */
  async url(): Promise<string> {
    if (this.#tree === null) throw new Error(`${this.name} was not started`);
    return await this.#tree.ready();
  }

  get isRunning(): boolean {
    return this.#tree?.isRunning === true;
  }

  /** As whoever supervises a machine's processes does: one that ends before it is ready is started again. Gives how many did. */
  async startUntilReady(): Promise<number> {
    for (let failed = 0; ; failed += 1) {
      await this.start();
      try {
        await this.url();
        return failed;
      } catch (error) {
        if (failed + 1 === startsMax) throw error;
      }
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#tree?.signal(signal);
  }

  async stop(): Promise<void> {
    await this.#tree?.kill();
  }
}

interface NodeParts {
  readonly settings: DeploymentPlace;
  readonly spec: DeploymentSpec;
}

function specOf(name: string, { natsUrl, host, launch }: NodePlace, parts: NodeParts): TreeSpec {
  const { parent, timedModels, factor } = parts.settings;
  const { workers, prefix, role = "node", factor: ownFactor = factor } = parts.spec;
  return {
    name,
    script: workers,
    flags: {
      role,
      nats: natsUrl,
      "nats-prefix": prefix,
      node: name,
      models: workers === "real" ? bundledModels : timedModels,
      // In a network that nobody else is in.
      ...(role === "both" ? { host, insecure: true } : {}),
      port: 0,
      pipelines: 1,
      threads: 1,
      "cache-dir": join(parent, "cache"),
    },
    env: { TIMED_FACTOR: String(ownFactor) },
    ...(launch === undefined ? {} : { launch }),
  };
}
