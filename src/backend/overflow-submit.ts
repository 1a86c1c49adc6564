/**
 * A server with fronts and pipelines among others: here where that is as good, at another node where it would be sooner or where there is no
 * room here. A hop costs about a millisecond, so a queue that is empty is never left.
 */
import { type ErrorCode, MillraceError } from "millrace-client/wire";
import { costOf } from "../nats/choose-node.js";
import type { NatsLink } from "../nats/connection.js";
import type { Directory } from "../nats/directory.js";
import { estimateQueue } from "../nats/queue-estimate.js";
import type { NatsSubmit } from "../submit/nats/nats-submit.js";
import type { Submit, SubmitEvents, SubmitRequest, SubmitSummary } from "../submit/submit.js";
import type { TaskForm } from "../work/task-form.js";
import type { ServerViews } from "../work/views.js";
import type { NodeSide } from "./backend.js";

export interface OverflowParts {
  readonly local: Submit;
  readonly others: NatsSubmit;
  readonly directory: Directory;
  readonly node: NodeSide;
  readonly views: ServerViews;
  readonly link: NatsLink;
}

/** What is known of the own queue is looked at so often: the status is not free. */
const lookMs = 50;
/** Another node must be sooner by this, and by a part of what it is here. */
const sooner = { ms: 20, part: 0.25 };

export class OverflowSubmit implements Submit {
  readonly #parts: OverflowParts;
  #own = { atMs: -Infinity, realtimeMs: 0, bulkMs: 0 };

  constructor(parts: OverflowParts) {
    this.#parts = parts;
  }

  get tasks(): ReadonlyMap<string, TaskForm> {
    return this.#parts.local.tasks;
  }

  async submit(
    request: SubmitRequest,
    signal: AbortSignal,
    events: SubmitEvents,
  ): Promise<SubmitSummary> {
    const { local, others } = this.#parts;
    if (!this.#isServedHere(request)) return await others.submit(request, signal, events);
    // Whoever counts inputs counts them once, whoever has them in the end.
    let hasInputs = false;
    let isTaken = false;
    const onInputs = (inputs: readonly unknown[]): void => {
      if (!hasInputs) events.onInputs?.(inputs);
      hasInputs = true;
    };
    // A large request goes to all nodes that have time for it, this one among them.
    const isInLots = others.isWorthLots(request);
    const first = isInLots || this.#isSoonerElsewhere(request) ? others : local;
    const second = first === local ? others : local;
    const onAccepted = (): void => {
      isTaken = true;
      events.onAccepted?.();
    };
    const watched: SubmitEvents = { onInputs, onAccepted, onOutcome: events.onOutcome };
    try {
      const summary = await first.submit(request, signal, watched);
      return first === local ? this.#named(summary) : summary;
    } catch (error) {
      const mayGo = first === others || this.#hasOthers(request);
      if (isTaken || signal.aborted || !isOfNow(error) || !mayGo) throw error;
      const summary = await second.submit(request, signal, watched);
      return second === local ? this.#named(summary) : summary;
    }
  }

  #isServedHere({ model, task, models }: SubmitRequest): boolean {
    const { node } = this.#parts;
    if (model !== null) return node.tasksOf(model).length > 0;
    const isFor = ({ name }: { readonly name: string }): boolean =>
      node.tasksOf(name).includes(task) && (models === undefined || models.includes(name));
    return node.models().some(isFor);
  }

  #hasOthers({ model }: SubmitRequest): boolean {
    return this.#others(model).length > 0;
  }

  #others(model: string | null): { readonly realtimeMs: number; readonly bulkMs: number }[] {
    const { directory, link } = this.#parts;
    if (link.connected === null) return [];
    return directory.nodes.flatMap(({ entry, waits }) => {
      const { instance, isDraining, pipelines } = entry;
      if (instance === link.instance || isDraining) return [];
      const its = entry.models.find(
        ({ name, ready }) => ready && (model === null || name === model),
      );
      if (its === undefined) return [];
      const { loadMs, itemMs } = its;
      const of = (waitMs: number): number =>
        costOf({ instance, isLocal: false, waitMs, loadMs, itemMs, pipelines }, 0);
      return [{ realtimeMs: of(waits.realtimeMs), bulkMs: of(waits.bulkMs) }];
    });
  }

  #isSoonerElsewhere(request: SubmitRequest): boolean {
    const others = this.#others(request.model);
    if (others.length === 0) return false;
    const own = this.#look();
    const by = request.class === "bulk" ? "bulkMs" : "realtimeMs";
    const least = Math.min(...others.map((each) => each[by]));
    return own[by] > least * (1 + sooner.part) + sooner.ms;
  }

  #look(): { readonly realtimeMs: number; readonly bulkMs: number } {
    const nowMs = performance.now();
    if (nowMs - this.#own.atMs < lookMs) return this.#own;
    const { views } = this.#parts;
    const { waits } = estimateQueue(views.status(), views.statistics());
    this.#own = { atMs: nowMs, ...waits };
    return this.#own;
  }

  /** In a deployment it says which node, of what was done here too. */
  #named(summary: SubmitSummary): SubmitSummary {
    const { node } = this.#parts.views.identity;
    const named = Object.entries(summary.pipelines).map(([id, items]) => [`${node}/${id}`, items]);
    return { ...summary, pipelines: Object.fromEntries(named) as SubmitSummary["pipelines"] };
  }
}

const codesOfNow: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "queue_full",
  "deadline_too_soon",
  "not_ready",
  "draining",
]);

/** It says nothing of the request: whoever else serves the model may take it. */
function isOfNow(error: unknown): boolean {
  if (!(error instanceof MillraceError)) return false;
  return codesOfNow.has(error.code);
}
