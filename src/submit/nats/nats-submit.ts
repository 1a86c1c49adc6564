/**
 * READ FIRST of this folder. `Submit` on other machines: a request goes to the node that would take it soonest, and what that does not
 * answer goes to another.
 *
 *   submit ─► door: fields, model, room ─┬► small: whole-request.ts
 *               │ refused                │    choose ─► ask ──► done ─────────────────────────────────► summary
 *               ▼                        │      ▲  │ refused: queue_full, draining, …  ─► another
 *             throws                     │      │  │ lost: only what has no outcome    ─► another, attemptsMax times in all
 *                                        │      └──┘ items that it gave back (draining)─► another
 *                                        └► large: large-request.ts, a lot at a time to all nodes
 *
 * An item that a node failed with `worker_lost` or `item_poison` has failed: no other node's workers die of it. One that was with a node
 * which was lost whole may have been the reason: the losses of a request are counted over all nodes.
 */
import { MillraceError, type StatusResponse, type WorkClass } from "millrace-client/wire";
import { isLargeForAll } from "../../nats/choose-lot.js";
import { costOf } from "../../nats/choose-node.js";
import type { NatsLink } from "../../nats/connection.js";
import type { Directory } from "../../nats/directory.js";
import { cuttableInputs } from "../../tasks/cut-inputs.js";
import type { Task, TaskRequest } from "../../tasks/task.js";
import { systemClock } from "../../work/clock.js";
import { Fields } from "../../work/fields.js";
import type { TaskForm } from "../../work/task-form.js";
import { within } from "../../work/within.js";
import { Admission, type AdmissionLimits, type Ticket } from "../admission.js";
import { cancelled } from "../cancelled.js";
import type { Submit, SubmitEvents, SubmitRequest, SubmitSummary } from "../submit.js";
import { candidatesFor, modelFor, type NodeCandidate, natsAway } from "./known-models.js";
import { LargeRequest } from "./large-request.js";
import { RemoteAsks } from "./remote-asks.js";
import type { Here, NodeObserver, RemoteRequest, RemoteRequestParts } from "./remote-request.js";
import { WholeRequest } from "./whole-request.js";

export interface NatsSubmitOptions {
  readonly link: NatsLink;
  readonly directory: Directory;
  readonly tasks: ReadonlyMap<string, Task>;
  readonly limits: AdmissionLimits & { readonly requestInputsMax: number };
  readonly bulkThreshold: number;
  /** How often an item goes to a node in all, where nodes are lost under it. */
  readonly attemptsMax: number;
  readonly observer?: NodeObserver;
  /** This server's own pipelines, where it has them: what no other node is left for is done here. */
  readonly here?: Here;
  /** Default: `Math.random`. */
  readonly random?: () => number;
}

export class NatsSubmit implements Submit, Disposable {
  readonly #options: NatsSubmitOptions;
  readonly #asks: RemoteAsks;
  /** What is held here while nodes work on it. */
  readonly #admission: Admission;
  readonly #requests = { accepted: 0, refused: 0, finished: 0, cancelled: 0 };
  readonly #items = { accepted: 0, done: 0, failed: 0, cancelled: 0, retried: 0 };
  #active = 0;
  #onIdle: (() => void) | null = null;
  #closed: MillraceError | null = null;
  readonly #ending = new AbortController();
  readonly #observer: NodeObserver = {
    ended: (workClass, code) => {
      if (code === null) this.#items.done += 1;
      else this.#items.failed += 1;
      this.#options.observer?.ended(workClass, code);
    },
    answered: (node) => this.#options.observer?.answered(node),
    lost: (node, inputs) => {
      this.#items.retried += inputs;
      this.#options.observer?.lost(node, inputs);
    },
  };

  constructor(options: NatsSubmitOptions) {
    this.#options = options;
    this.#asks = new RemoteAsks(options);
    this.#admission = new Admission(options.limits, systemClock);
  }

  get tasks(): ReadonlyMap<string, TaskForm> {
    return this.#options.tasks;
  }

  get counts(): Pick<StatusResponse, "requests" | "items"> {
    return { requests: { ...this.#requests, active: this.#active }, items: { ...this.#items } };
  }

  get held(): { readonly items: number; readonly bytes: number } {
    return this.#admission.held;
  }

  /** From now on every request is refused with `draining`; those that were accepted go on. */
  refuseNew(): void {
    this.#closed ??= new MillraceError("draining", "the server is stopping");
  }

  /** True: everything that was accepted has ended. */
  async idle(msMax: number): Promise<boolean> {
    if (this.#active === 0) return true;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    return await within(msMax, idle);
  }

  /** What is not done fails with `draining`. */
  [Symbol.dispose](): void {
    this.refuseNew();
    this.#ending.abort(new MillraceError("draining", "the server stopped before this was done"));
    this.#asks[Symbol.dispose]();
  }

  async submit(
    request: SubmitRequest,
    signal: AbortSignal,
    events: SubmitEvents,
  ): Promise<SubmitSummary> {
    const entered = this.#enter(request, signal, events);
    this.#active += 1;
    const going = this.#going(entered, request, { signal, events });
    try {
      const summary = await going.run();
      this.#requests.finished += 1;
      return summary;
    } catch (error) {
      if (!signal.aborted) {
        if (!going.isAccepted) this.#requests.refused += 1;
        throw this.#ending.signal.aborted ? this.#ending.signal.reason : error;
      }
      this.#requests.cancelled += 1;
      this.#items.cancelled += going.openInputs;
      throw cancelled();
    } finally {
      if (going.isAccepted) {
        this.#requests.accepted += 1;
        this.#items.accepted += entered.inputs.length;
      }
      this.#active -= 1;
      entered.ticket.release();
      if (this.#active === 0) this.#onIdle?.();
    }
  }

  #going(
    entered: Entered,
    request: SubmitRequest,
    { signal, events }: Pick<RemoteRequestParts, "signal" | "events">,
  ): RemoteRequest {
    const { bulkThreshold } = this.#options;
    const { task, inputs, model } = entered;
    const bySize: WorkClass = inputs.length < bulkThreshold ? "realtime" : "bulk";
    const parts = {
      ...this.#options,
      task,
      inputs,
      model,
      class: request.class ?? bySize,
      asks: this.#asks,
      request,
      signal: AbortSignal.any([signal, this.#ending.signal]),
      events,
      observer: this.#observer,
    };
    const { items, nodes } = this.#lotTakers(request, task, model);
    return isLargeForAll(nodes, items) ? new LargeRequest(parts) : new WholeRequest(parts);
  }

  /** Of a server with pipelines: whether it is large, and somebody else would begin with it before half of it were done here. */
  isWorthLots(request: SubmitRequest): boolean {
    const { tasks, link } = this.#options;
    const task = tasks.get(request.task);
    if (task === undefined || link.connected === null) return false;
    try {
      const { items, nodes } = this.#lotTakers(request, task, this.#modelOf(request, task));
      const own = nodes.find(({ isLocal }) => isLocal);
      if (own === undefined || !isLargeForAll(nodes, items)) return false;
      const half = costOf(own, items) / 2;
      return nodes.some((node) => !node.isLocal && node.waitMs + node.loadMs < half);
    } catch {
      // The door says why.
      return false;
    }
  }

  /**
   * Who would have a part of it. Its class must be known: what is of no class and has few inputs is as large as its sentences, which its
   * node counts, and goes there whole.
   */
  #lotTakers(request: SubmitRequest, task: Task, model: string): LotTakers {
    const { bulkThreshold, directory, link } = this.#options;
    const items = cuttableInputs(task, request.fields);
    const workClass = request.class ?? (items < bulkThreshold ? null : "bulk");
    if (workClass === null) return { items, nodes: [] };
    const wanted = { task: task.name, model, workClass };
    return { items, nodes: candidatesFor(wanted, directory, link.instance) };
  }

  #modelOf({ model, models: allowed }: SubmitRequest, task: Task): string {
    const { directory } = this.#options;
    const remembers = (name: string): boolean => directory.remembers(name);
    const known = { nodes: directory.nodes, remembers };
    return modelFor({ task: task.name, model, allowed }, known);
  }

  #enter(request: SubmitRequest, signal: AbortSignal, events: SubmitEvents): Entered {
    try {
      return this.#atDoor(request, signal, events);
    } catch (error) {
      this.#requests.refused += 1;
      throw error;
    }
  }

  /** Throws before anything is taken. */
  #atDoor(request: SubmitRequest, signal: AbortSignal, { onInputs }: SubmitEvents): Entered {
    if (signal.aborted) throw cancelled();
    const { tasks, limits, link } = this.#options;
    const task = tasks.get(request.task);
    if (task === undefined) {
      const known = [...tasks.keys()].join(", ");
      throw new MillraceError("not_found", `there is no task ${request.task}; there are: ${known}`);
    }
    if (link.connected === null) throw natsAway(link.reason);
    const model = this.#modelOf(request, task);
    new Fields(request.fields).refuseUnknown(task.fields);
    const { inputs, bytes } = task.read(request.fields, limits);
    if (this.#closed !== null) throw this.#closed;
    onInputs?.(inputs);
    const held = { items: inputs.length, bytes: Math.max(request.payloadBytes, bytes) };
    const ticket = this.#admission.admit(held);
    // What items they become is counted by the nodes.
    ticket.take(inputs.length, 0);
    ticket.prepared();
    return { task, model, inputs, ticket };
  }
}

interface LotTakers {
  /** Inputs of the whole request; 0: it cannot be cut. */
  readonly items: number;
  readonly nodes: readonly NodeCandidate[];
}

interface Entered {
  readonly task: Task;
  readonly model: string;
  readonly inputs: TaskRequest["inputs"];
  readonly ticket: Ticket;
}
