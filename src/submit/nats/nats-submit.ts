/**
 * READ FIRST of this folder. `Submit` on other machines: a request goes to the node that would take it soonest, and what that does not
 * answer goes to another.
 *
 *   submit ─► door: fields, model, room ─► choose ─► ask ──► done ─────────────────────────────────► summary
 *               │ refused                    ▲  │ refused: queue_full, draining, …  ─► another
 *               ▼                            │  │ lost: only what has no outcome    ─► another, attemptsMax times in all
 *             throws                         └──┘ items that it gave back (draining)─► another
 *
 * An item that a node failed with `worker_lost` or `item_poison` has failed: no other node's workers die of it. One that was with a node
 * which was lost whole may have been the reason: the losses of a request are counted over all nodes.
 */
import {
  type ErrorCode,
  MillraceError,
  type StatusResponse,
  type WorkClass,
} from "millrace-client/wire";
import { chooseNode } from "../../nats/choose-node.js";
import type { NatsLink } from "../../nats/connection.js";
import type { Directory } from "../../nats/directory.js";
import type { OutcomeMessage } from "../../nats/messages.js";
import type { Task, TaskRequest } from "../../tasks/task.js";
import { Fields } from "../../work/fields.js";
import type { TaskForm } from "../../work/task-form.js";
import { within } from "../../work/within.js";
import type { Submit, SubmitEvents, SubmitRequest, SubmitSummary } from "../submit.js";
import { Answers } from "./answers.js";
import { candidatesFor, modelFor, type NodeCandidate, natsAway, unready } from "./known-models.js";
import { type AskEnd, RemoteAsk } from "./remote-ask.js";
import { RemoteAsks } from "./remote-asks.js";
import { Room } from "./room.js";

export interface NatsSubmitOptions {
  readonly link: NatsLink;
  readonly directory: Directory;
  readonly tasks: ReadonlyMap<string, Task>;
  readonly limits: {
    readonly queuedItemsMax: number;
    readonly queuedBytesMax: number;
    readonly requestInputsMax: number;
  };
  readonly bulkThreshold: number;
  /** How often an item goes to a node in all, where nodes are lost under it. */
  readonly attemptsMax: number;
  readonly observer?: NodeObserver;
  /** This server's own pipelines, where it has them: what no other node is left for is done here. */
  readonly here?: Here;
  /** Default: `Math.random`. */
  readonly random?: () => number;
}

export interface Here {
  readonly node: string;
  readonly submit: Submit;
  serves(model: string, task: string): boolean;
}

export interface NodeObserver {
  /** An input has its outcome; null: a result. */
  ended(node: string, workClass: WorkClass, code: ErrorCode | null): void;
  /** It was lost under so many inputs. */
  lost(node: string, inputs: number): void;
}

/** A node ends what is late by itself, and says more of it; this is for one that does not. */
const lateMs = 250;
/** `setTimeout` takes no more. */
const timerMsMax = 2 ** 31 - 1;
/** Nodes that may refuse a request before it is refused. */
const refusalsMax = 4;

export class NatsSubmit implements Submit, Disposable {
  readonly #options: NatsSubmitOptions;
  readonly #asks: RemoteAsks;
  readonly #room: Room;
  readonly #requests = { accepted: 0, refused: 0, finished: 0, cancelled: 0 };
  readonly #items = { accepted: 0, done: 0, failed: 0, cancelled: 0, retried: 0 };
  #active = 0;
  #onIdle: (() => void) | null = null;
  #closed: MillraceError | null = null;
  readonly #ending = new AbortController();

  constructor(options: NatsSubmitOptions) {
    this.#options = options;
    this.#asks = new RemoteAsks(options);
    this.#room = new Room(options.limits);
  }

  get tasks(): ReadonlyMap<string, TaskForm> {
    return this.#options.tasks;
  }

  get counts(): Pick<StatusResponse, "requests" | "items"> {
    return { requests: { ...this.#requests, active: this.#active }, items: { ...this.#items } };
  }

  get held(): { readonly items: number; readonly bytes: number } {
    return this.#room.held;
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
    const going = new GoingRequest({
      ...this.#options,
      ...entered,
      asks: this.#asks,
      request,
      signal: AbortSignal.any([signal, this.#ending.signal]),
      events,
      onEnded: (node, workClass, code) => {
        if (code === null) this.#items.done += 1;
        else this.#items.failed += 1;
        this.#options.observer?.ended(node, workClass, code);
      },
      onLost: (node, inputs) => {
        this.#items.retried += inputs;
        this.#options.observer?.lost(node, inputs);
      },
    });
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
      entered.release();
      if (this.#active === 0) this.#onIdle?.();
    }
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
    const { tasks, limits, directory, link } = this.#options;
    const task = tasks.get(request.task);
    if (task === undefined) {
      const known = [...tasks.keys()].join(", ");
      throw new MillraceError("not_found", `there is no task ${request.task}; there are: ${known}`);
    }
    if (link.connected === null) throw natsAway(link.reason);
    const { model: named, models: allowed } = request;
    const known = {
      nodes: directory.nodes,
      remembers: (name: string) => directory.remembers(name),
    };
    const model = modelFor({ task: task.name, model: named, allowed }, known);
    new Fields(request.fields).refuseUnknown(task.fields);
    const { inputs, bytes } = task.read(request.fields, limits);
    if (this.#closed !== null) throw this.#closed;
    onInputs?.(inputs);
    const release = this.#room.take(inputs.length, Math.max(request.payloadBytes, bytes));
    return { model, inputs, release };
  }
}

interface Entered {
  readonly model: string;
  readonly inputs: TaskRequest["inputs"];
  readonly release: () => void;
}

interface GoingParts extends NatsSubmitOptions, Entered {
  readonly asks: RemoteAsks;
  readonly request: SubmitRequest;
  readonly signal: AbortSignal;
  readonly events: SubmitEvents;
  readonly onEnded: NodeObserver["ended"];
  readonly onLost: NodeObserver["lost"];
}

/** One request from the door to its last outcome, at one node after the other. */
class GoingRequest {
  readonly #parts: GoingParts;
  readonly #answers: Answers;
  readonly #arrivedAtMs = performance.now();
  readonly #class: WorkClass;
  /** Those that refused it or were lost: another one is better. */
  readonly #tried = new Set<string>();
  #refusals = 0;
  #losses = 0;
  isAccepted = false;

  constructor(parts: GoingParts) {
    const { request, inputs, bulkThreshold, events } = parts;
    this.#parts = parts;
    this.#class = request.class ?? (inputs.length < bulkThreshold ? "realtime" : "bulk");
    const places = request.only;
    const onOutcome = events.onOutcome;
    this.#answers = new Answers({ inputs: inputs.length, onOutcome });
    if (places !== undefined) throw new Error("a node sends nothing on to others");
  }

  get openInputs(): number {
    return this.#answers.missing.length;
  }

  async run(): Promise<SubmitSummary> {
    let refusal: MillraceError | null = null;
    while (!this.#answers.isWhole) {
      const node = this.#choose();
      if (node === null) {
        if (this.isAccepted && (await this.#doHere())) break;
        if (this.isAccepted) this.#failRest();
        else throw refusal ?? unready(this.#parts.model, this.#parts.directory);
        break;
      }
      refusal = await this.#ask(node);
    }
    const { request, model } = this.#parts;
    const of = { task: request.task, model, class: this.#class };
    return this.#answers.summary(of, performance.now() - this.#arrivedAtMs);
  }

  /** Those that were tried come again only where they are alone, and NATS says that they live. */
  #choose(): NodeCandidate | null {
    const { link, directory, model, request, random = Math.random } = this.#parts;
    if (link.connected === null) return null;
    if (this.#losses >= this.#parts.attemptsMax || this.#refusals >= refusalsMax) return null;
    const wanted = { task: request.task, model, workClass: this.#class };
    const all = candidatesFor(wanted, directory, link.instance);
    const fresh = all.filter(({ instance }) => !this.#tried.has(instance));
    const isWorthAgain = fresh.length === 0 && this.#refusals === 0;
    const items = this.#answers.missing.length;
    return chooseNode(isWorthAgain ? all : fresh, { items, random });
  }

  /** What others have lost. False: it is not served here, or there is no room. */
  async #doHere(): Promise<boolean> {
    const { here, request, signal, model } = this.#parts;
    if (here?.serves(model, request.task) !== true) return false;
    const only = this.#answers.missing;
    const asked = { ...request, model, only, class: this.#class };
    try {
      const summary = await here.submit.submit(asked, signal, {
        onOutcome: ({ index, outcome }) => {
          this.#answers.take({ index, ...outcome });
          this.#parts.onEnded(
            here.node,
            this.#class,
            "error" in outcome ? outcome.error.code : null,
          );
        },
      });
      this.#answers.add(here.node, summary);
      return true;
    } catch (error) {
      if (error instanceof MillraceError && isElsewhere(error) && !signal.aborted) return false;
      throw error;
    }
  }

  /** Null, or why the node did not take it. @throws what ends the request */
  async #ask(node: NodeCandidate): Promise<MillraceError | null> {
    const { directory } = this.#parts;
    const missing = this.#answers.missing;
    let told = 0;
    directory.sent(node.instance, { items: missing.length, itemMs: node.itemMs });
    const onOutcome = (outcome: OutcomeMessage): void => {
      if (isGivenBack(outcome)) return;
      if (!this.#answers.take(outcome)) return;
      told += 1;
      this.#parts.onEnded(node.node, this.#class, "error" in outcome ? outcome.error.code : null);
      directory.answered(node.instance, 1);
    };
    const end = await this.#converse(node, { missing, onOutcome });
    directory.answered(node.instance, missing.length - told);
    this.#tried.add(node.instance);
    if (end === "late") {
      this.#answers.addLost(node.node, told);
      this.#answers.failRest(deadlineExceeded().toWire());
      return null;
    }
    if (end.kind === "done") {
      this.#answers.add(node.node, end.summary);
      // It gave some back, or forgot them: others do them.
      if (!this.#answers.isWhole) this.#losses += 1;
      return null;
    }
    this.#answers.addLost(node.node, told);
    if (end.kind === "lost") {
      this.#losses += 1;
      this.#parts.onLost(node.node, this.#answers.missing.length);
      return null;
    }
    if (!isElsewhere(end.error)) throw end.error;
    if (told > 0) this.#losses += 1;
    else this.#refusals += 1;
    return end.error;
  }

  async #converse(
    node: NodeCandidate,
    {
      missing,
      onOutcome,
    }: {
      readonly missing: readonly number[];
      readonly onOutcome: (outcome: OutcomeMessage) => void;
    },
  ): Promise<AskEnd | "late"> {
    const { asks, request, signal, inputs, model } = this.#parts;
    const ask = asks.add(
      (number) =>
        new RemoteAsk({
          asks,
          node: node.instance,
          number,
          onAccepted: () => this.#accepted(),
          onOutcome,
        }),
    );
    const isAll = missing.length === inputs.length;
    const leftMs = request.deadlineAtMs === null ? null : request.deadlineAtMs - performance.now();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => {
      if (leftMs === null) return;
      timer = setTimeout(() => resolve("late"), Math.min(timerMsMax, Math.max(0, leftMs) + lateMs));
    });
    let onAbort: () => void = () => {};
    const left = new Promise<never>((_resolve, reject) => {
      onAbort = () => reject(cancelled());
      signal.addEventListener("abort", onAbort, { once: true });
    });
    try {
      if (signal.aborted) throw cancelled();
      ask.send({
        id: request.id,
        task: request.task,
        model,
        class: isAll ? request.class : this.#class,
        tenant: request.tenant,
        remainingMs: leftMs === null ? null : Math.max(0, leftMs),
        payloadBytes: request.payloadBytes,
        only: isAll ? null : missing,
        fields: request.fields,
      });
      return await Promise.race([ask.ended, late, left]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      if (!ask.hasEnded) ask.leave();
    }
  }

  #accepted(): void {
    if (this.isAccepted) return;
    this.isAccepted = true;
    this.#parts.events.onAccepted?.();
  }

  #failRest(): void {
    const { model, link, directory } = this.#parts;
    const { connected, reason } = link;
    const why = connected === null ? natsAway(reason).message : unready(model, directory).message;
    const isOften = this.#losses >= this.#parts.attemptsMax;
    const message = isOften
      ? `the nodes that had it were lost as often as an item may be tried (${this.#losses})`
      : `the node that had it was lost, and ${why}`;
    this.#answers.failRest(new MillraceError("worker_lost", message).toWire());
  }
}

/** Nothing was wrong with it: its node ends. */
function isGivenBack(outcome: OutcomeMessage): boolean {
  return "error" in outcome && outcome.error.code === "draining";
}

/** Another node may take what this one does not. */
function isElsewhere({ code }: MillraceError): boolean {
  return (
    code === "queue_full" ||
    code === "draining" ||
    code === "not_ready" ||
    code === "model_not_found"
  );
}

function deadlineExceeded(): MillraceError {
  return new MillraceError("deadline_exceeded", "not finished before its deadline");
}

function cancelled(): MillraceError {
  return new MillraceError("cancelled", "the caller left");
}
