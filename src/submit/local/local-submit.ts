/**
 * READ FIRST of this folder. `Submit` on this machine: a request goes through the door, is prepared, and is open until its last outcome.
 *
 *   submit ─► door: fields, model, room ─► prepare ─► open request ─► dispatcher ═══ scheduler, pool
 *               │ refused                    │ pieces too many            │ outcomes, as they come
 *               ▼                            ▼                            ▼
 *             throws                       throws                    events.onOutcome
 *
 * Whatever the way out, nothing of the request stays behind: its ticket, its items and its timer are given back.
 */
import { MillraceError, type TenantStatus, type WorkClass } from "millrace-client/wire";
import type { Prepare } from "../../prepare/prepare.js";
import type { ArrivedRequest, OpenRecord, Recorder } from "../../record/recorder.js";
import type { Newcomer } from "../../scheduler/least-wait.js";
import type { Task } from "../../tasks/task.js";
import { type Clock, systemClock } from "../../work/clock.js";
import type { PreparedInput } from "../../work/piece.js";
import type { TaskForm } from "../../work/task-form.js";
import { errorCodeOf } from "../../work/thrown.js";
import { Admission, type AdmissionLimits } from "../admission.js";
import { cancelled } from "../cancelled.js";
import { placed } from "../placed.js";
import type { Submit, SubmitEvents, SubmitRequest, SubmitSummary } from "../submit.js";
import { deadlineRefusal } from "./deadline-refusal.js";
import { Dispatcher, type DispatcherOptions } from "./dispatcher.js";
import { Door, type Entered, type ServedModel } from "./door.js";
import type { HostedModel } from "./hosted-models.js";
import { ItemCounts, type ItemTotals, type SubmitObserver } from "./item-counts.js";
import { OpenRequest } from "./open-request.js";
import { OpenTenants } from "./open-tenants.js";
import { RequestSpans } from "./request-spans.js";
import { deadlineExceeded, Until } from "./until.js";

export interface LocalSubmitOptions extends Pick<DispatcherOptions, "scheduler" | "makePool"> {
  /** Whatever a model may be for: those too that none is served for now. */
  readonly tasks: ReadonlyMap<string, Task>;
  readonly models: ReadonlyMap<string, HostedTaskModel>;
  readonly prepare: Prepare;
  readonly limits: AdmissionLimits & { readonly requestInputsMax: number };
  /** Requests with fewer items than this are realtime unless they say otherwise. */
  readonly bulkThreshold: number;
  /** Items that are queued in one turn of the event loop. Default: 4,096, some ten milliseconds. */
  readonly sliceItemsMax?: number;
  /** Default: the machine's. */
  readonly clock?: Clock;
  readonly observer?: SubmitObserver;
  /** Arrivals and ends are told to it, while somebody records. Default: nobody does. */
  readonly recorder?: Pick<Recorder, "isOn" | "arrived" | "refused">;
  /**
   * A promise inside was broken: every request has failed with `internal`, and none is taken any more. Whoever owns this
   * must stop it.
   */
  readonly onBroken?: (error: unknown) => void;
}

/** What callers ask for, and what pipelines load for it. */
export type HostedTaskModel = ServedModel & HostedModel;

/** Since the start. Each accepted item ends as done, failed or cancelled; retried counts hand-overs beyond the first. */
export interface SubmitCounts {
  readonly requests: Readonly<
    Record<"accepted" | "refused" | "active" | "finished" | "cancelled" | "alone", number>
  >;
  readonly items: Readonly<ItemTotals>;
}

/** A caller whose request is still being prepared then hears that it was taken. */
const acceptedMsMax = 10_000;

export class LocalSubmit implements Submit, AsyncDisposable {
  readonly #options: LocalSubmitOptions;
  readonly #clock: Clock;
  readonly #admission: Admission;
  readonly #door: Door;
  readonly #models: Map<string, HostedTaskModel>;
  readonly #dispatcher: Dispatcher;
  readonly #open = new Set<OpenRequest>();
  readonly #tenants = new OpenTenants();
  readonly #counts: ItemCounts;
  readonly #requests = { accepted: 0, refused: 0, finished: 0, cancelled: 0, alone: 0 };
  /** Requests that are between the door and their end. */
  #active = 0;
  /** The one that there is, while no other has come since. */
  #alone: Entered | null = null;
  /** Why what is still being prepared comes too late; null while it does not. */
  #ended: MillraceError | null = null;
  readonly #onIdle = new Set<() => void>();
  #stopped: Promise<void> | null = null;

  constructor(options: LocalSubmitOptions) {
    const { limits, observer, clock = systemClock } = options;
    const models = new Map(options.models);
    this.#options = options;
    this.#models = models;
    this.#clock = clock;
    this.#counts = new ItemCounts(observer);
    this.#admission = new Admission(limits, clock);
    this.#dispatcher = new Dispatcher({
      scheduler: options.scheduler,
      makePool: options.makePool,
      clock,
      counts: this.#counts,
      sliceItemsMax: options.sliceItemsMax ?? 4_096,
      onBroken: (error) => this.#onBroken(error),
    });
    this.#door = new Door({
      tasks: options.tasks,
      models,
      requestInputsMax: limits.requestInputsMax,
      admission: this.#admission,
      refusalOf: (key) => this.#dispatcher.refusalOf(key),
    });
  }

  get tasks(): ReadonlyMap<string, TaskForm> {
    return this.#door.tasks;
  }

  start(): void {
    // A version that has two names is one to pipelines, and the name that it has by itself is there first.
    const byKey = new Map<string, HostedTaskModel>();
    for (const model of this.#models.values()) {
      if (!byKey.has(model.key)) byKey.set(model.key, model);
    }
    for (const model of byKey.values()) this.#dispatcher.host(model);
    this.#dispatcher.start();
  }

  /** From memory: what is accepted and has not ended. */
  get held(): { readonly requests: number; readonly items: number; readonly bytes: number } {
    return { requests: this.#active, ...this.#admission.held };
  }

  /** What callers call the version of a model that pipelines know by this. */
  nameOf(key: string): string {
    return this.#dispatcher.nameOf(key);
  }

  /** Pipelines may be told to load it; callers get it when it is served. */
  host(model: HostedTaskModel): void {
    this.#dispatcher.host(model);
  }

  /** Callers of this name get this one from now on; null: nobody is let in under it. */
  serve(name: string, model: HostedTaskModel | null): void {
    if (model === null) this.#models.delete(name);
    else this.#models.set(name, model);
  }

  /** Nobody is let in for the version any more; what was finishes, and then its pipelines let it go. */
  retire(key: string): void {
    this.#dispatcher.retire(key);
  }

  get counts(): SubmitCounts {
    return {
      requests: { ...this.#requests, active: this.#active },
      items: { ...this.#counts.totals },
    };
  }

  /** From memory: who has how much of what has not ended. */
  get tenants(): readonly TenantStatus[] {
    return this.#tenants.view(this.#clock.now());
  }

  async submit(
    request: SubmitRequest,
    signal: AbortSignal,
    events: SubmitEvents,
  ): Promise<SubmitSummary> {
    const arrivedAtMs = this.#clock.now();
    const entered = this.#enter(request, signal, events);
    this.#active += 1;
    this.#alone = this.#active === 1 ? entered : null;
    const queued = this.#dispatcher.expect(entered.model.key);
    const accept = once(() => events.onAccepted?.());
    const spans = spansOf(request, arrivedAtMs);
    let record: OpenRecord | null = null;
    let isLetIn = false;
    try {
      const { workClass, inputs } = await this.#prepare(entered, request, { signal, accept });
      if (this.#ended !== null) throw this.#ended;
      const { model, task, settings } = entered;
      const of = { task: task.name, model: model.name, class: workClass };
      const { pieces: items, rows } = preparedOf(inputs);
      const newcomer = { model: model.key, class: workClass, rows };
      this.#refuseTooSoon(request, newcomer);
      this.#requests.accepted += 1;
      isLetIn = true;
      const queuedAtMs = this.#clock.now();
      record = this.#recordOf(request, { ...of, inputs, arrivedAtMs, queuedAtMs });
      spans?.queued({ ...of, tenant: request.tenant, inputs: inputs.length }, queuedAtMs);
      const open = new OpenRequest({
        ...of,
        task,
        key: model.key,
        tenant: request.tenant,
        deadlineAtMs: request.deadlineAtMs,
        settings,
        inputs,
        arrivedAtMs,
        queuedAtMs,
        onFurtherBytes: (bytes) => entered.ticket.hold(bytes),
        onOutcome: (outcome) => {
          if ("error" in outcome.outcome) {
            spans?.inputFailed();
            record?.inputFailed();
          }
          events.onOutcome(placed(outcome, request.only));
        },
        spans,
      });
      accept();
      await this.#finish(open, { items, signal, queued });
      this.#requests.finished += 1;
      if (this.#alone === entered) this.#requests.alone += 1;
      const endedAtMs = this.#clock.now();
      spans?.ended(endedAtMs);
      record?.ended(null);
      return open.summary(endedAtMs);
    } catch (error) {
      const told = signal.aborted ? cancelled() : error;
      spans?.ended(this.#clock.now(), errorCodeOf(told));
      record?.ended(errorCodeOf(told));
      if (!isLetIn) this.#recordRefusal(request, entered.model.name, told);
      if (signal.aborted) this.#requests.cancelled += 1;
      throw told;
    } finally {
      this.#active -= 1;
      queued();
      entered.ticket.release();
      if (this.#active === 0) for (const onIdle of this.#onIdle) onIdle();
    }
  }

  /** From now on every request is refused with `draining`; those that were accepted go on. */
  refuseNew(): void {
    this.#door.close(new MillraceError("draining", "the server is stopping"));
  }

  /** Takes no more requests, and waits until those that were accepted have ended: false where that takes longer. */
  async drain({ drainMs }: { readonly drainMs: number }): Promise<boolean> {
    this.refuseNew();
    if (this.#active === 0) return true;
    if (drainMs === 0) return false;
    return await new Promise<boolean>((resolve) => {
      const end = (isIdle: boolean): void => {
        cancel();
        this.#onIdle.delete(onIdle);
        resolve(isIdle);
      };
      const onIdle = (): void => end(true);
      const cancel = this.#clock.after(drainMs, () => end(false));
      this.#onIdle.add(onIdle);
    });
  }

  /**
   * Takes no more requests, lets those that were accepted end for at most `drainMs`, then ends the pool; what is not
   * done then fails with `draining`. A second call waits for the first.
   */
  stop({ drainMs }: { readonly drainMs: number }): Promise<void> {
    this.refuseNew();
    this.#stopped ??= this.#stop(drainMs);
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop({ drainMs: 0 });
  }

  async #stop(drainMs: number): Promise<void> {
    await this.drain({ drainMs });
    this.#endAll(new MillraceError("draining", "the server stopped before this was done"));
    await this.#dispatcher.stop();
  }

  #onBroken(error: unknown): void {
    const reason = new MillraceError("internal", "the server broke down and ends", {
      cause: error,
    });
    this.#door.close(reason);
    this.#endAll(reason);
    this.#options.onBroken?.(error);
  }

  #endAll(reason: MillraceError): void {
    this.#ended ??= reason;
    for (const open of this.#open) {
      open.abandon(reason);
      this.#dispatcher.drop(open);
    }
  }

  #enter(request: SubmitRequest, signal: AbortSignal, { onInputs }: SubmitEvents): Entered {
    try {
      return this.#door.enter(request, signal, onInputs);
    } catch (error) {
      this.#requests.refused += 1;
      this.#recordRefusal(request, request.model, error);
      throw error;
    }
  }

  #recordOf(
    request: SubmitRequest,
    of: Pick<ArrivedRequest, "task" | "model" | "class" | "inputs" | "arrivedAtMs" | "queuedAtMs">,
  ): OpenRecord | null {
    const { recorder } = this.#options;
    if (recorder?.isOn !== true) return null;
    const { tenant, deadlineAtMs, isDeadlineNamed = false, payloadBytes: bytes } = request;
    return recorder.arrived({ ...of, tenant, deadlineAtMs, isDeadlineNamed, bytes });
  }

  #recordRefusal(request: SubmitRequest, model: string | null, error: unknown): void {
    const { class: workClass, payloadBytes: bytes } = request;
    const { recorder } = this.#options;
    if (recorder?.isOn !== true) return;
    // What a caller wrote as a name is told only where it is one.
    const named = model !== null && this.#models.has(model) ? model : null;
    recorder.refused({ model: named, class: workClass, bytes, code: errorCodeOf(error) });
  }

  /** Every input with its pieces, or with its error; all of them with the same one where the deadline passes first. */
  async #prepare(
    { model, task, inputs, settings, ticket }: Entered,
    request: SubmitRequest,
    { signal, accept }: { readonly signal: AbortSignal; readonly accept: () => void },
  ): Promise<{ readonly workClass: WorkClass; readonly inputs: readonly PreparedInput[] }> {
    const classOf = (items: number): WorkClass =>
      request.class ?? (items < this.#options.bulkThreshold ? "realtime" : "bulk");
    const classNow = (): WorkClass => classOf(Math.max(inputs.length, ticket.piecesMin));
    using until = new Until({ signal, deadlineAtMs: request.deadlineAtMs, clock: this.#clock });
    const stopWaiting = this.#clock.after(acceptedMsMax, () => {
      try {
        accept();
      } catch (error) {
        // The caller's own callback failed: that ends the caller's request, and nothing else.
        until.fail(error);
      }
    });
    const { tenant } = request;
    const of = { model: model.key, task: task.name };
    const wanted = { ...of, inputs, settings, class: classNow, tenant, budget: ticket };
    try {
      until.signal.throwIfAborted();
      const prepared = await this.#options.prepare.prepare(wanted, until.signal);
      until.signal.throwIfAborted();
      ticket.prepared();
      // By what there is to do, now that it is known: many empty texts are no bulk.
      return { workClass: classOf(ticket.pieces), inputs: prepared };
    } catch (error) {
      if (signal.aborted || !until.expired) {
        if (!signal.aborted && error instanceof MillraceError) this.#requests.refused += 1;
        throw error;
      }
      const workClass = classNow();
      const failed = { ok: false, error: deadlineExceeded().toWire() } as const;
      return { workClass, inputs: inputs.map(() => failed) };
    } finally {
      stopWaiting();
    }
  }

  /** Before anything of it is queued: now it is known what it is. */
  #refuseTooSoon(
    { deadlineAtMs, isDeadlineNamed }: SubmitRequest,
    newcomer: Omit<Newcomer, "deadlineAtMs">,
  ): void {
    if (deadlineAtMs === null || isDeadlineNamed !== true || newcomer.rows === 0) return;
    const waitMs = this.#dispatcher.leastWaitMs({ ...newcomer, deadlineAtMs });
    const refusal = deadlineRefusal({ waitMs, leftMs: deadlineAtMs - this.#clock.now() });
    if (refusal === null) return;
    this.#requests.refused += 1;
    throw refusal;
  }

  /** From here to the end of the request; whatever the way out, nothing of it stays behind. */
  async #finish(open: OpenRequest, { items, signal, queued }: Finishing): Promise<void> {
    if (signal.aborted) throw cancelled();
    const onAbort = (): void => open.abandon(cancelled());
    signal.addEventListener("abort", onAbort, { once: true });
    const { class: workClass, tenant, arrivedAtMs } = open.options;
    const entry = { class: workClass, tenant, arrivedAtMs, items };
    this.#open.add(open);
    this.#tenants.enter(entry);
    try {
      this.#dispatcher.queue(open, queued);
      await Promise.all([open.answerAtOnce(this.#clock), open.done]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#open.delete(open);
      this.#tenants.leave(entry);
      this.#dispatcher.drop(open);
    }
  }
}

interface Finishing {
  /** That there are of it, for who asks who has how many. */
  readonly items: number;
  readonly signal: AbortSignal;
  readonly queued: () => void;
}

/** Of the inputs that could be prepared. */
function preparedOf(inputs: readonly PreparedInput[]): {
  readonly pieces: number;
  readonly rows: number;
} {
  let [pieces, rows] = [0, 0];
  for (const input of inputs) {
    if (!input.ok) continue;
    pieces += input.pieces.length;
    for (const { cost } of input.pieces) rows += cost.rows;
  }
  return { pieces, rows };
}

/** Nothing is made where nobody keeps it. */
function spansOf({ span = null }: SubmitRequest, arrivedAtMs: number): RequestSpans | null {
  return span?.isKept === true ? new RequestSpans(span, arrivedAtMs) : null;
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}
