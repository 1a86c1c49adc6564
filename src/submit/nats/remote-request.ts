/** A request from the door to its last outcome, whichever nodes do it: what the ways to give it out have in common. */
import { type ErrorCode, MillraceError, type WorkClass } from "millrace-client/wire";
import type { NatsLink } from "../../nats/connection.js";
import type { Directory } from "../../nats/directory.js";
import type { AskMessage, OutcomeMessage } from "../../nats/messages.js";
import type { Task, TaskRequest } from "../../tasks/task.js";
import type { Submit, SubmitEvents, SubmitRequest, SubmitSummary } from "../submit.js";
import { Answers } from "./answers.js";
import { candidatesFor, type NodeCandidate, natsAway, unready } from "./known-models.js";
import { isElsewhere } from "./node-tries.js";
import { RemoteAsk } from "./remote-ask.js";
import type { RemoteAsks } from "./remote-asks.js";

/** This server's own pipelines. */
export interface Here {
  readonly node: string;
  readonly submit: Submit;
  serves(model: string, task: string): boolean;
}

export interface NodeObserver {
  /** An input has its outcome; null: a result. Not of this server's own pipelines, which count what they do. */
  ended(workClass: WorkClass, code: ErrorCode | null): void;
  /** Whoever did it. */
  answered(node: string): void;
  /** It was lost under so many inputs. */
  lost(node: string, inputs: number): void;
}

export interface RemoteRequestParts {
  readonly link: NatsLink;
  readonly directory: Directory;
  /** How often an item goes to a node in all, where nodes are lost under it. */
  readonly attemptsMax: number;
  readonly random?: () => number;
  readonly here?: Here;
  readonly observer: NodeObserver;
  readonly asks: RemoteAsks;
  readonly task: Task;
  readonly model: string;
  readonly inputs: TaskRequest["inputs"];
  /** As the caller says, or by size. */
  readonly class: WorkClass;
  readonly request: SubmitRequest;
  readonly signal: AbortSignal;
  readonly events: SubmitEvents;
}

/** A node ends what is late by itself, and says more of it; this is for one that does not. */
export const lateMs = 250;

export abstract class RemoteRequest {
  protected readonly parts: RemoteRequestParts;
  protected readonly answers: Answers;
  protected readonly arrivedAtMs: number = performance.now();
  isAccepted = false;

  constructor(parts: RemoteRequestParts) {
    const { inputs, events, request } = parts;
    if (request.only !== undefined) throw new Error("a node sends nothing on to others");
    this.parts = parts;
    this.answers = new Answers({ inputs: inputs.length, onOutcome: events.onOutcome });
  }

  abstract run(): Promise<SubmitSummary>;

  get openInputs(): number {
    return this.answers.missing.length;
  }

  protected summary(): SubmitSummary {
    const { request, model, class: workClass } = this.parts;
    const of = { task: request.task, model, class: workClass };
    return this.answers.summary(of, performance.now() - this.arrivedAtMs);
  }

  /** Those that serve it now, this server's own pipelines among them. Nobody while NATS is away. */
  protected candidates(): readonly NodeCandidate[] {
    const { link, directory, model, request, class: workClass } = this.parts;
    if (link.connected === null) return [];
    return candidatesFor({ task: request.task, model, workClass }, directory, link.instance);
  }

  /** What has an outcome was accepted. */
  protected ask(
    { instance: node, node: nodeName }: NodeCandidate,
    onOutcome: (outcome: OutcomeMessage) => void,
  ): RemoteAsk {
    const { asks } = this.parts;
    const onAccepted = (): void => this.accepted();
    const onFirst = (outcome: OutcomeMessage): void => {
      this.accepted();
      onOutcome(outcome);
    };
    const request = this.parts.request.span ?? null;
    const of = { asks, node, nodeName, request };
    return asks.add((number) => new RemoteAsk({ ...of, number, onAccepted, onOutcome: onFirst }));
  }

  protected message(
    more: Pick<AskMessage, "class" | "isDeadlineNamed" | "payloadBytes" | "only" | "fields">,
  ): AskMessage {
    const { request, model } = this.parts;
    const { id, task, tenant } = request;
    const leftMs = this.leftMs();
    const remainingMs = leftMs === null ? null : Math.max(0, leftMs);
    return { id, task, model, tenant, remainingMs, ...more };
  }

  /** Until the deadline; null: there is none. */
  protected leftMs(): number | null {
    const { deadlineAtMs } = this.parts.request;
    return deadlineAtMs === null ? null : deadlineAtMs - performance.now();
  }

  protected accepted(): void {
    if (this.isAccepted) return;
    this.isAccepted = true;
    this.parts.events.onAccepted?.();
  }

  /** False: nothing new. */
  protected take(outcome: OutcomeMessage, { node, isLocal }: NodeOfOutcome): boolean {
    if (!this.answers.take(outcome)) return false;
    const { observer, class: workClass } = this.parts;
    observer.answered(node);
    if (!isLocal) observer.ended(workClass, "error" in outcome ? outcome.error.code : null);
    return true;
  }

  /** What others have lost, and nobody is left for. False: it is not served here, or there is no room. */
  protected async doHere(): Promise<boolean> {
    const { here, request, signal, model, class: workClass } = this.parts;
    if (here?.serves(model, request.task) !== true) return false;
    const only = this.answers.missing;
    const asked = { ...request, isDeadlineNamed: false, model, only, class: workClass };
    try {
      const summary = await here.submit.submit(asked, signal, {
        onOutcome: ({ index, outcome }) => {
          this.take({ index, ...outcome }, { node: here.node, isLocal: true });
        },
      });
      this.answers.add(here.node, summary);
      return true;
    } catch (error) {
      if (error instanceof MillraceError && isElsewhere(error) && !signal.aborted) return false;
      throw error;
    }
  }

  protected failLate(): void {
    const message = "not finished before its deadline";
    this.answers.failRest(new MillraceError("deadline_exceeded", message).toWire());
  }

  /** Nobody is left for it. */
  protected failRest(): void {
    const { model, link, directory } = this.parts;
    const { connected, reason } = link;
    const why = connected === null ? natsAway(reason).message : unready(model, directory).message;
    const message = `the node that had it was lost, and ${why}`;
    this.answers.failRest(new MillraceError("worker_lost", message).toWire());
  }
}

interface NodeOfOutcome {
  readonly node: string;
  readonly isLocal: boolean;
}

export function lostTooOften(losses: number): MillraceError {
  const message = `the nodes that had it were lost as often as an item may be tried (${losses})`;
  return new MillraceError("worker_lost", message);
}

/** Nothing was wrong with it: its node ends. */
export function isGivenBack(outcome: OutcomeMessage): boolean {
  return "error" in outcome && outcome.error.code === "draining";
}
