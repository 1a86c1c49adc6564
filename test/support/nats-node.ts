/** Servers of a deployment in this process: nodes with fake workers, and edges, each with a connection of its own to a real nats-server. */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { GuardedSubmit } from "#src/access/guarded-submit.js";
import type { NodeSide } from "#src/backend/backend.js";
import { NodeAnnouncer } from "#src/backend/node-announcer.js";
import { openNatsFront } from "#src/front/nats/nats.js";
import { startNatsListener } from "#src/listen/nats/listener.js";
import type { RunningListener } from "#src/listen/running-listener.js";
import { createLog } from "#src/log.js";
import { Metrics } from "#src/metrics/metrics.js";
import { NatsLink } from "#src/nats/connection.js";
import { Directory } from "#src/nats/directory.js";
import { NatsSubmit, type NatsSubmitOptions } from "#src/submit/nats/nats-submit.js";
import type { Submit, SubmitRequest } from "#src/submit/submit.js";
import type { Task } from "#src/tasks/task.js";
import type { ServerViews } from "#src/work/views.js";

const log = createLog({ log: "json", logLevel: "silent", destination: process.stdout });

const limits = {
  bodyBytesMax: 4_000_000,
  imageBodyBytesMax: 8_000_000,
  bodiesBytesMax: 64_000_000,
  repliesBytesMax: 64_000_000,
  connectionsMax: 64,
};

function linkTo(url: string, name: string): Promise<NatsLink> {
  const files = { natsCredentials: null, natsCa: null, natsCert: null, natsKey: null };
  return NatsLink.open({ nats: url, natsPrefix: "test", name, log, ...files });
}

export interface FakeNodeOptions {
  readonly url: string;
  readonly name: string;
  readonly submit: Submit;
  readonly task: string;
  readonly model: string;
  readonly limits?: Partial<typeof limits> | undefined;
  /** So many models beside it, by other names. Default: none. */
  readonly more?: number;
}

/** A server with pipelines, as its edges know it. */
export class FakeNode implements AsyncDisposable {
  readonly name: string;
  readonly link: NatsLink;
  /** As its submit got them. */
  readonly seen: { readonly request: SubmitRequest; readonly signal: AbortSignal }[] = [];
  readonly listener: RunningListener;
  readonly announcer: NodeAnnouncer;
  isDraining = false;
  isReady = true;

  static async start(options: FakeNodeOptions): Promise<FakeNode> {
    const node = new FakeNode(options, await linkTo(options.url, options.name));
    await node.link.whenConnected();
    return node;
  }

  /** Of a server that is more than a node, over its own connection. */
  static on(link: NatsLink, options: FakeNodeOptions): FakeNode {
    return new FakeNode(options, link);
  }

  private constructor(
    { name, submit, task, model, limits: own = {}, more = 0 }: FakeNodeOptions,
    link: NatsLink,
  ) {
    this.name = name;
    this.link = link;
    const watched: Submit = {
      tasks: submit.tasks,
      submit: (request, signal, events) => {
        this.seen.push({ request, signal });
        return submit.submit(request, signal, events);
      },
    };
    const metrics = new Metrics();
    const { nats } = openNatsFront({ submit: new GuardedSubmit(watched), metrics });
    if (nats === undefined) throw new Error("the front speaks NATS");
    this.listener = startNatsListener({
      front: nats,
      link,
      limits: { ...limits, ...own },
      metrics,
      log,
    });
    this.announcer = new NodeAnnouncer({
      link,
      log,
      options: { role: "node" },
      views: this.#views(),
      side: this.#side(task, [model, ...namesOf(more)], submit),
    });
  }

  /** As a server that gets SIGTERM. */
  drain(): void {
    this.isDraining = true;
    this.announcer.say();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.announcer.leave();
    await this.listener.close();
    await this.link.close();
  }

  #side(task: string, models: readonly string[], submit: Submit): NodeSide {
    const info = { task, family: "fake", precision: "int8", limits: {} };
    return {
      submit,
      models: () => {
        const state = this.isReady ? "resident" : "failed";
        const now = { ready: this.isReady, state, pipelines: ["p0"], reason: null } as const;
        return models.map((name) => ({ ...info, ...now, name }));
      },
      tasksOf: () => [task],
      onChange: () => () => {},
    };
  }

  #views(): ServerViews {
    const identity = {
      name: "test",
      environment: "test",
      version: "1",
      configHash: "0",
      node: this.name,
    };
    const state = (): "draining" | "ready" => (this.isDraining ? "draining" : "ready");
    const views = {
      identity,
      ready: () => ({
        ready: !this.isDraining,
        state: state(),
        models: [],
        notReady: [],
        deployment: identity,
      }),
      isDraining: () => this.isDraining,
      status: () => ({ pipelines: [], queues: [], stages: [], models: [] }),
      statistics: () => [],
      models: () => [],
    };
    const { isDraining, ...rest } = views;
    return Object.defineProperty({ ...rest }, "isDraining", {
      get: isDraining,
    }) as unknown as ServerViews;
  }
}

function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `one-more-model-${at}`);
}

export interface NatsEdgeOptions {
  readonly url: string;
  readonly task: Task;
  readonly attemptsMax?: number;
  readonly queuedItemsMax?: number;
  readonly here?: NatsSubmitOptions["here"];
  /** Its own pipelines, which others hear of. */
  readonly own?: Pick<FakeNodeOptions, "submit" | "name">;
}

/** A server without pipelines, or with those that `here` says. */
export class NatsEdge implements AsyncDisposable {
  readonly link: NatsLink;
  readonly directory: Directory;
  readonly submit: NatsSubmit;
  readonly #waiting: (() => void)[] = [];
  #own: FakeNode | null = null;

  static async start(options: NatsEdgeOptions): Promise<NatsEdge> {
    const { url, task, own } = options;
    const edge = new NatsEdge(options, await linkTo(url, "edge"));
    await edge.link.whenConnected();
    if (own !== undefined) {
      edge.#own = FakeNode.on(edge.link, { ...own, url, task: task.name, model: "fake" });
    }
    return edge;
  }

  private constructor(
    { task, attemptsMax = 3, queuedItemsMax = 10_000, here }: NatsEdgeOptions,
    link: NatsLink,
  ) {
    this.link = link;
    this.directory = new Directory({
      link,
      environment: "test",
      log,
      onChange: () => this.#changed(),
    });
    this.submit = new NatsSubmit({
      link,
      directory: this.directory,
      tasks: new Map([[task.name, task]]),
      limits: { queuedItemsMax, queuedBytesMax: 10_000_000, requestInputsMax: 10_000 },
      bulkThreshold: 256,
      attemptsMax,
      ...(here && { here }),
      // The first of those that are as good.
      random: () => 0,
    });
  }

  /** Resolves when it has heard of so many nodes. */
  async knows(nodes: number): Promise<void> {
    while (this.directory.nodes.length !== nodes) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #changed(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own?.[Symbol.asyncDispose]();
    this.submit[Symbol.dispose]();
    this.directory[Symbol.dispose]();
    await this.link.close();
  }
}

/** Bytes between a server and NATS, until they are cut off: nothing comes through any more, and nobody is told. */
export class Wire implements AsyncDisposable {
  readonly #server: Server;
  readonly #pairs: (readonly [Socket, Socket])[] = [];
  isCut = false;

  static async to(port: number): Promise<Wire> {
    const wire = new Wire(port);
    await new Promise<void>((resolve) => wire.#server.listen(0, "127.0.0.1", resolve));
    return wire;
  }

  private constructor(port: number) {
    this.#server = createServer((near) => {
      const far = connect(port, "127.0.0.1");
      this.#pairs.push([near, far]);
      const pipe = (from: Socket, to: Socket): void => {
        from.on("data", (bytes) => {
          if (!this.isCut) to.write(bytes);
        });
        from.on("close", () => to.destroy());
        from.on("error", () => to.destroy());
      };
      pipe(near, far);
      pipe(far, near);
    });
  }

  get url(): string {
    const address = this.#server.address();
    if (typeof address !== "object" || address === null) throw new Error("nobody listens");
    return `nats://127.0.0.1:${address.port}`;
  }

  /** Connections end, and others can be made. */
  drop(): void {
    for (const pair of this.#pairs.splice(0)) for (const socket of pair) socket.destroy();
  }

  /** As where a process or a machine is killed: its connections end, and it makes no others. */
  sever(): void {
    this.#server.close();
    this.drop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, "close") : null;
    this.sever();
    await closed;
  }
}
