/**
 * READ FIRST of nodes: this server as one of a deployment, by its role.
 *
 *   edge   fronts ─► submit/nats ═══ other nodes                               no pipelines here
 *   both   fronts ─► overflow ─┬─► the local backend, where that is as good  ◄── front/nats ═══ other edges
 *                              └─► submit/nats ═══ other nodes
 *   node             the local backend                                       ◄── front/nats ═══ edges
 */
import { MillraceError, type SampledProfile } from "millrace-client/wire";
import type { NatsLink } from "../nats/connection.js";
import { Directory } from "../nats/directory.js";
import type { Recorder } from "../record/recorder.js";
import { NatsSubmit } from "../submit/nats/nats-submit.js";
import type { Here } from "../submit/nats/remote-request.js";
import type { Submit } from "../submit/submit.js";
import { tasks } from "../tasks/table.js";
import type { ModelRepository } from "../work/model-repository.js";
import type { ServerViews } from "../work/views.js";
import type { Backend, BackendParts, NodeSide, OpenBackend } from "./backend.js";
import { DeployedViews, EdgeViews, nodesView, ownStatus } from "./deployed-views.js";
import { ModelCatalogue } from "./model-catalogue.js";
import { NodeAnnouncer } from "./node-announcer.js";
import { OverflowSubmit } from "./overflow-submit.js";

/** `openLocal`: the backend of this machine's pipelines, where the role has them. */
export async function openDeployedBackend(
  openLocal: OpenBackend,
  parts: BackendParts,
  link: NatsLink,
): Promise<Backend> {
  if (parts.configuration.options.role === "edge") return new EdgeBackend(parts, link);
  const local = await openLocal({ ...parts, link });
  const isNode = parts.configuration.options.role === "node";
  return isNode ? new NodeBackend(local, parts, link) : new BothBackend(local, parts, link);
}

/** What a server has that sends requests to others. */
class Membership {
  readonly link: NatsLink;
  readonly directory: Directory;
  readonly catalogue: ModelCatalogue;
  readonly submit: NatsSubmit;
  readonly #parts: BackendParts;
  #announcer: NodeAnnouncer | null = null;

  /** `side`: its own pipelines; null where it has none. */
  constructor(parts: BackendParts, link: NatsLink, side: NodeSide | null) {
    const { options } = parts.configuration;
    const { log, metrics } = parts;
    const here = side === null ? {} : { here: hereOf(side, options.node) };
    this.#parts = parts;
    this.link = link;
    const onChange = (): void => this.catalogue.look();
    const { environment } = options;
    this.directory = new Directory({ link, environment, log, onChange });
    this.catalogue = new ModelCatalogue(this);
    const { directory } = this;
    this.submit = new NatsSubmit({
      link,
      directory,
      tasks,
      limits: options,
      bulkThreshold: options.bulkThreshold,
      attemptsMax: options.attemptsMax,
      ...here,
      observer: {
        ended: (workClass, code) => {
          if (code === null) metrics.itemsDone(workClass, 1);
          else metrics.itemsFailed(workClass, code, 1);
        },
        answered: (node) => metrics.nodeAnswered(node),
        lost: (node, inputs) => {
          metrics.nodeLost(node);
          for (let at = 0; at < inputs; at += 1) metrics.itemRetried();
        },
      },
    });
  }

  /** Others hear of this server from now on, and where `side` is one send it requests. */
  announce(views: ServerViews, side: NodeSide | null): void {
    const { configuration, log } = this.#parts;
    const { options } = configuration;
    this.#announcer = new NodeAnnouncer({ link: this.link, log, options, views, side });
  }

  /** Nobody sends anything here any more; what came is done. */
  drain(): void {
    this.submit.refuseNew();
    this.#announcer?.say();
  }

  async stop(drainMs: number): Promise<boolean> {
    this.submit.refuseNew();
    const isDone = await this.submit.idle(drainMs);
    this.#announcer?.leave();
    this.submit[Symbol.dispose]();
    this.directory[Symbol.dispose]();
    return isDone;
  }
}

function hereOf({ submit, tasksOf }: NodeSide, node: string): Here {
  return { node, submit, serves: (model, task) => tasksOf(model).includes(task) };
}

class EdgeBackend implements Backend {
  readonly views: EdgeViews;
  readonly #members: Membership;
  #isDraining = false;

  constructor(parts: BackendParts, link: NatsLink) {
    this.#members = new Membership(parts, link, null);
    const { catalogue, directory, submit } = this.#members;
    const isDraining = (): boolean => this.#isDraining;
    this.views = new EdgeViews({ parts, link, catalogue, directory, submit, isDraining });
    this.#members.announce(this.views, null);
  }

  get submit(): Submit {
    return this.#members.submit;
  }

  /** It waits for no node: `/ready` says whether there is one. */
  start(): Promise<void> {
    return Promise.resolve();
  }

  reload(): Promise<never> {
    const message = "an edge has no models of its own; have the nodes read their folders again";
    return Promise.reject(new MillraceError("not_found", message));
  }

  drain(): void {
    this.#isDraining = true;
    this.#members.drain();
  }

  async stop({ drainMs }: { readonly drainMs: number }): Promise<boolean> {
    this.#isDraining = true;
    return await this.#members.stop(drainMs);
  }
}

/** With pipelines of its own: its models are those of the local backend. */
abstract class PipelinesBackend implements Backend {
  abstract readonly submit: Submit;
  abstract readonly views: ServerViews;
  readonly node: NodeSide;
  readonly repository?: ModelRepository;
  readonly recorder?: Recorder;
  protected readonly local: Backend;

  constructor(local: Backend) {
    const { node, repository, recorder } = local;
    if (node === undefined) throw new Error("a backend with pipelines has them to lend");
    this.local = local;
    this.node = node;
    if (repository !== undefined) this.repository = repository;
    if (recorder !== undefined) this.recorder = recorder;
  }

  start(): Promise<void> {
    return this.local.start();
  }

  reload(): ReturnType<Backend["reload"]> {
    return this.local.reload();
  }

  get pipelineIds(): readonly string[] {
    return this.local.pipelineIds ?? [];
  }

  profile(...asked: Parameters<NonNullable<Backend["profile"]>>): Promise<SampledProfile> | null {
    return this.local.profile?.(...asked) ?? null;
  }

  abstract drain(): void;
  abstract stop(options: { readonly drainMs: number }): Promise<boolean>;
}

/** It sends nothing to others, so it need not hear of them: a thousand that all heard of all others would be a million messages a second. */
class NodeBackend extends PipelinesBackend {
  readonly views: ServerViews;
  readonly #announcer: NodeAnnouncer;

  constructor(local: Backend, parts: BackendParts, link: NatsLink) {
    super(local);
    const { configuration, log } = parts;
    const { views } = local;
    const { options } = configuration;
    this.#announcer = new NodeAnnouncer({ link, log, options, views, side: this.node });
    this.views = new DeployedViews(views, {
      others: () => [],
      nodes: () => ({ nats: link.state, nodes: [ownStatus(this.#announcer.entry())] }),
    });
  }

  get submit(): Submit {
    return this.local.submit;
  }

  drain(): void {
    this.local.drain();
    this.#announcer.say();
  }

  async stop(options: { readonly drainMs: number }): Promise<boolean> {
    this.#announcer.leave();
    return await this.local.stop(options);
  }
}

class BothBackend extends PipelinesBackend {
  readonly submit: Submit;
  readonly views: ServerViews;
  readonly #members: Membership;

  constructor(local: Backend, parts: BackendParts, link: NatsLink) {
    super(local);
    const { node } = this;
    const { submit, views } = local;
    this.#members = new Membership(parts, link, node);
    const { directory, catalogue, submit: others } = this.#members;
    this.submit = new OverflowSubmit({ local: submit, others, directory, node, views, link });
    this.views = new DeployedViews(views, {
      others: () => catalogue.models(),
      nodes: () => nodesView({ link, directory }),
    });
    this.#members.announce(views, node);
  }

  drain(): void {
    this.local.drain();
    this.#members.drain();
  }

  async stop(options: { readonly drainMs: number }): Promise<boolean> {
    const [own, others] = await Promise.all([
      this.local.stop(options),
      this.#members.stop(options.drainMs),
    ]);
    return own && others;
  }
}
