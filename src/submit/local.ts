/**
 * `Submit` on this machine: prepare, then the scheduler decides and the pool does.
 *
 *   submit ─► admit ─► prepare ─► Job ──┐                      ┌──► pool.dispatch, cancel, recall
 *   pool events ───────────────────────┼─► scheduler.step ─► decisions
 *   timer (wake) ──────────────────────┘                      └──► expire: the job's item fails
 *
 * It owns the scheduler. Every event goes through `#step`, one at a time and in order of arrival, also those that
 * arise while a decision is carried out.
 */
import assert from "node:assert/strict";
import { type ErrorCode, MillraceError, type WorkClass } from "millrace-client/wire";
import type { FrameBatch, FrameItem } from "../frames/messages.js";
import type { Prepare } from "../prepare/prepared.js";
import type { Batch, Decision, RunMode, SchedulerEvent } from "../scheduler/types.js";
import { type GenerationSettings, generationPayload } from "../work/generation.js";
import type { PoolEvent } from "../worker/events.js";
import { Admission, type AdmissionLimits, type Admitted } from "./admission.js";
import { ItemCounts, type SubmitObserver } from "./item-counts.js";
import { Job, type Place } from "./job.js";
import type { Submit, SubmitOutcome, SubmitRequest, SubmitSummary } from "./submit.js";

export interface SchedulerPort {
  step(event: SchedulerEvent, nowMs: number): readonly Decision[];
}

/** What submit needs of the pool. */
export interface PoolPort {
  start(): void;
  dispatch(pipelineId: string, batch: FrameBatch): void;
  cancel(pipelineId: string, itemIds: readonly number[]): void;
  recall(pipelineId: string, itemIds: readonly number[]): void;
  forget(itemIds: readonly number[]): void;
  stop(options: { readonly drainMs: number }): Promise<void>;
}

export interface ServedModel {
  readonly name: string;
  readonly mode: RunMode;
  /** What a request that names no setting gets. */
  readonly defaults: { readonly lengthPenalty: number; readonly maxLength: number };
  /** Most that a request may name as `maxLength`. */
  readonly outputTokensMax: number;
}

export interface LocalSubmitOptions {
  readonly models: ReadonlyMap<string, ServedModel>;
  readonly prepare: Prepare;
  readonly scheduler: SchedulerPort;
  readonly makePool: (onEvent: (event: PoolEvent) => void) => PoolPort;
  readonly limits: AdmissionLimits;
  /** Requests with fewer items than this are realtime unless they say otherwise. */
  readonly bulkThreshold: number;
  readonly observer?: SubmitObserver;
}

/** An item that has not ended. */
interface OpenItem {
  readonly job: Job;
  readonly place: Place;
  readonly frame: FrameItem;
  sent: boolean;
}

/** Since the start. Each accepted item ends as done, failed or cancelled; retried counts hand-overs beyond the first. */
export interface SubmitCounts {
  readonly requests: Readonly<
    Record<"accepted" | "refused" | "active" | "finished" | "cancelled", number>
  >;
  readonly items: Readonly<
    Record<"accepted" | "done" | "failed" | "cancelled" | "retried", number>
  >;
}

const notReadyRetryMs = 1_000;
const now = (): number => performance.now();

export class LocalSubmit implements Submit, AsyncDisposable {
  readonly #options: LocalSubmitOptions;
  readonly #admission: Admission;
  readonly #pool: PoolPort;
  readonly #jobs = new Map<number, Job>();
  readonly #items = new Map<number, OpenItem>();
  /** Pipelines that are up, with their model. */
  readonly #up = new Map<string, string>();
  readonly #events: SchedulerEvent[] = [];
  #stepping = false;
  #wake: NodeJS.Timeout | undefined;
  #lastRequestId = 0;
  #lastItemId = 0;
  /** Requests that are between acceptance and their end. */
  #active = 0;
  readonly #requests = { accepted: 0, refused: 0, finished: 0, cancelled: 0 };
  readonly #counts: ItemCounts;
  #draining = false;
  /** The pool is ending: what is still being prepared comes too late. */
  #closed = false;
  #onIdle: (() => void) | null = null;
  #stopped: Promise<void> | null = null;

  constructor(options: LocalSubmitOptions) {
    this.#options = options;
    this.#admission = new Admission(options.limits);
    this.#counts = new ItemCounts(options.observer);
    this.#pool = options.makePool((event) => this.#onPool(event));
  }

  start(): void {
    this.#pool.start();
  }

  /** From memory: what is accepted and has not ended. */
  get held(): { readonly requests: number; readonly items: number; readonly bytes: number } {
    return { requests: this.#active, ...this.#admission.held };
  }

  get counts(): SubmitCounts {
    return {
      requests: { ...this.#requests, active: this.#active },
      items: { ...this.#counts.totals },
    };
  }

  async submit(
    request: SubmitRequest,
    signal: AbortSignal,
    onOutcome: (outcome: SubmitOutcome) => void,
  ): Promise<SubmitSummary> {
    const arrivedAtMs = now();
    const { model, admitted } = this.#atTheDoor(request, signal);
    this.#active += 1;
    try {
      const settings = this.#orRefuse(() => settingsOf(request, model));
      const texts = await this.#options.prepare.prepare({ ...request, model: model.name }, signal);
      if (signal.aborted) throw cancelled();
      const items = texts.reduce((sum, text) => sum + (text.ok ? text.pieces.length : 0), 0);
      this.#orRefuse(() => admitted.resize(items, now()));
      this.#requests.accepted += 1;
      this.#lastRequestId += 1;
      const job = new Job({
        requestId: this.#lastRequestId,
        model: model.name,
        class: request.class ?? this.#classOf(items),
        settings,
        texts,
        arrivedAtMs,
        queuedAtMs: now(),
        detokenize: (tokenIds) => this.#options.prepare.detokenize(model.name, tokenIds),
        onOutcome,
      });
      await this.#finish(job, request, signal);
      this.#requests.finished += 1;
      return job.summary(now());
    } catch (error) {
      if (!signal.aborted) throw error;
      this.#requests.cancelled += 1;
      throw cancelled();
    } finally {
      this.#active -= 1;
      admitted.release(now());
      if (this.#active === 0) this.#onIdle?.();
    }
  }

  /** From now on every request is refused with `draining`; those that were accepted go on. */
  refuseNew(): void {
    this.#draining = true;
  }

  /**
   * Takes no more requests, lets those that were accepted end for at most `drainMs`, then ends the pool; what is not
   * done then fails with `draining`. A second call waits for the first.
   */
  stop({ drainMs }: { readonly drainMs: number }): Promise<void> {
    this.#draining = true;
    this.#stopped ??= this.#stop(drainMs);
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop({ drainMs: 0 });
  }

  async #stop(drainMs: number): Promise<void> {
    if (this.#active > 0 && drainMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, drainMs);
        this.#onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#closed = true;
    for (const job of this.#jobs.values()) {
      job.abandon(new MillraceError("draining", "the server stopped before this was done"));
      this.#drop(job);
    }
    await this.#pool.stop({ drainMs: 0 });
    clearTimeout(this.#wake);
  }

  /** Throws before anything is taken. */
  #atTheDoor(
    request: SubmitRequest,
    signal: AbortSignal,
  ): { model: ServedModel; admitted: Admitted } {
    return this.#orRefuse(() => {
      const model = this.#modelFor(request, signal);
      const wanted = { items: countInputs(request), bytes: request.payloadBytes };
      return { model, admitted: this.#admission.admit(wanted, now()) };
    });
  }

  #orRefuse<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      this.#requests.refused += 1;
      throw error;
    }
  }

  #modelFor(request: SubmitRequest, signal: AbortSignal): ServedModel {
    if (signal.aborted) throw cancelled();
    const { models } = this.#options;
    const only = models.size === 1 ? [...models.values()][0] : undefined;
    const model = request.model === null ? only : models.get(request.model);
    if (model === undefined) {
      const what = request.model === null ? "name a model" : `there is no model ${request.model}`;
      throw new MillraceError(
        "model_not_found",
        `${what}; there are: ${[...models.keys()].join(", ")}`,
      );
    }
    if (this.#draining) throw new MillraceError("draining", "the server is stopping");
    if (![...this.#up.values()].includes(model.name)) {
      throw new MillraceError("not_ready", `no pipeline of ${model.name} is ready`, {
        retryAfterMs: notReadyRetryMs,
      });
    }
    return model;
  }

  #classOf(items: number): WorkClass {
    return items < this.#options.bulkThreshold ? "realtime" : "bulk";
  }

  /** From here to the end of the job; whatever the way out, nothing of it stays behind. */
  async #finish(job: Job, request: SubmitRequest, signal: AbortSignal): Promise<void> {
    const { requestId } = job.options;
    const onAbort = (): void => job.abandon(cancelled());
    signal.addEventListener("abort", onAbort, { once: true });
    this.#jobs.set(requestId, job);
    try {
      if (this.#closed) throw new MillraceError("draining", "the server stopped");
      this.#queue(job, request);
      job.answerAtOnce();
      await job.done;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#jobs.delete(requestId);
      this.#drop(job);
    }
  }

  #queue(job: Job, request: SubmitRequest): void {
    const { requestId, model, settings, texts, class: workClass } = job.options;
    const items = texts.flatMap((text, textIndex) =>
      (text.ok ? text.pieces : []).map(({ tokenIds }, piece) => {
        this.#lastItemId += 1;
        const itemId = this.#lastItemId;
        const payload = generationPayload({ tokenIds, settings });
        const frame: FrameItem = { itemId, payload };
        this.#items.set(itemId, { job, place: { text: textIndex, piece }, frame, sent: false });
        job.openItemIds.add(itemId);
        return { itemId, tokens: tokenIds.length, rows: settings.beams };
      }),
    );
    if (items.length === 0) return;
    this.#counts.accepted(items.length);
    const { tenant, deadlineAtMs } = request;
    const spec = { requestId, model, class: workClass, tenant, deadlineAtMs, items };
    this.#step({ type: "request", request: spec });
  }

  /** What is left of an ended job: all of it after an abort, sentences of failed texts else. */
  #drop(job: Job): void {
    if (job.openItemIds.size === 0) return;
    const itemIds = [...job.openItemIds];
    for (const itemId of itemIds) this.#close(itemId, "cancelled");
    this.#step({ type: "cancel", requestId: job.options.requestId });
    this.#pool.forget(itemIds);
  }

  /** The item has ended, with this code or, null, with its result; undefined where it had ended before. */
  #close(itemId: number, code: ErrorCode | null): OpenItem | undefined {
    const item = this.#items.get(itemId);
    if (item !== undefined) this.#counts.ended(item.job.options.class, code);
    this.#items.delete(itemId);
    item?.job.openItemIds.delete(itemId);
    return item;
  }

  #onPool(event: PoolEvent): void {
    const { pipelineId } = event;
    switch (event.type) {
      case "up": {
        const { model, kind, rowsMax } = event;
        const mode = this.#options.models.get(model)?.mode;
        assert(mode !== undefined, `server: pipeline ${pipelineId} has a model that is not served`);
        this.#up.set(pipelineId, model);
        this.#step({ type: "pipeline-up", pipeline: { pipelineId, model, kind, mode, rowsMax } });
        return;
      }
      case "down":
        this.#up.delete(pipelineId);
        this.#step({ type: "pipeline-down", pipelineId });
        return;
      case "outcome": {
        const { itemId, outcome } = event;
        const item = this.#close(itemId, outcome.ok ? null : outcome.code);
        this.#step({ type: "settled", pipelineId, itemId });
        item?.job.finish(item.place, outcome, pipelineId);
        return;
      }
      case "dropped":
        for (const itemId of event.itemIds) this.#step({ type: "settled", pipelineId, itemId });
        return;
      case "returned":
        this.#onReturned(event);
        return;
      case "measured":
        for (const stage of event.stages) {
          this.#step({ type: "measured", model: event.model, ...stage });
        }
        return;
      case "run":
      case "start-failed":
        return;
    }
  }

  #onReturned(event: Extract<PoolEvent, { readonly type: "returned" }>): void {
    const { pipelineId, innocent, groups, failed } = event;
    for (const { itemId, error } of failed) {
      const item = this.#close(itemId, error.code);
      this.#step({ type: "settled", pipelineId, itemId });
      item?.job.fail(item.place, error);
    }
    this.#step({
      type: "returned",
      pipelineId,
      innocent: this.#stillWanted(pipelineId, innocent),
      groups: groups
        .map((group) => this.#stillWanted(pipelineId, group))
        .filter((group) => group.length > 0),
    });
  }

  /** Items may have ended while the pipeline held them; these are settled, and tried no more. */
  #stillWanted(pipelineId: string, itemIds: readonly number[]): number[] {
    const over = itemIds.filter((itemId) => !this.#items.has(itemId));
    this.#pool.forget(over);
    for (const itemId of over) this.#step({ type: "settled", pipelineId, itemId });
    return itemIds.filter((itemId) => this.#items.has(itemId));
  }

  #step(event: SchedulerEvent): void {
    this.#events.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        for (const decision of this.#options.scheduler.step(next, now())) this.#carryOut(decision);
      }
    } finally {
      this.#stepping = false;
    }
  }

  #carryOut(decision: Decision): void {
    switch (decision.type) {
      case "dispatch":
        this.#dispatch(decision.pipelineId, decision.batch);
        return;
      case "expire":
        this.#pool.forget(decision.itemIds);
        for (const itemId of decision.itemIds) {
          const item = this.#close(itemId, "deadline_exceeded");
          item?.job.fail(
            item.place,
            wire("deadline_exceeded", "not finished within its timeoutMs"),
          );
        }
        return;
      case "cancel":
        this.#pool.cancel(decision.pipelineId, decision.itemIds);
        return;
      case "recall":
        this.#pool.recall(decision.pipelineId, decision.itemIds);
        return;
      case "wake":
        this.#wakeAt(decision.atMs);
        return;
    }
  }

  /** Timers may fire a little before their time on this clock, and a scheduler woken too early would not ask again. */
  #wakeAt(atMs: number): void {
    clearTimeout(this.#wake);
    const leftMs = atMs - now();
    const onTime = (): void => (now() < atMs ? this.#wakeAt(atMs) : this.#step({ type: "tick" }));
    this.#wake = setTimeout(onTime, Math.max(0, Math.ceil(leftMs)));
    this.#wake.unref();
  }

  #dispatch(pipelineId: string, batch: Batch): void {
    const nowMs = now();
    const items: FrameItem[] = [];
    for (const itemId of batch.spans.flatMap(({ itemIds }) => itemIds)) {
      const item = this.#items.get(itemId);
      assert(item !== undefined, `scheduler: item ${itemId} was dispatched after its end`);
      if (item.sent) this.#counts.retried();
      else this.#counts.sent(item.job.options.class, nowMs - item.job.options.queuedAtMs);
      item.job.sent(nowMs, !item.sent);
      item.sent = true;
      items.push(item.frame);
    }
    this.#counts.dispatched(pipelineId, this.#up.get(pipelineId) ?? "", batch);
    this.#pool.dispatch(pipelineId, { batchId: batch.batchId, class: batch.class, items });
  }
}

function countInputs({ inputs }: SubmitRequest): number {
  return inputs.kind === "texts" ? inputs.texts.length : inputs.tokenIds.length;
}

function settingsOf({ settings }: SubmitRequest, model: ServedModel): GenerationSettings {
  const { defaults, outputTokensMax } = model;
  if (settings.maxLength !== undefined && settings.maxLength > outputTokensMax) {
    const message = `maxLength ${settings.maxLength} is over the ${outputTokensMax} tokens of ${model.name}`;
    throw new MillraceError("bad_request", message, { param: "maxLength" });
  }
  const beams = settings.beams ?? 1;
  return {
    beams,
    nBest: Math.min(settings.nBest ?? 1, beams),
    lengthPenalty: settings.lengthPenalty ?? defaults.lengthPenalty,
    maxLength: settings.maxLength ?? defaults.maxLength,
  };
}

function cancelled(): MillraceError {
  return new MillraceError("cancelled", "the caller left");
}

function wire(code: ErrorCode, message: string): ReturnType<MillraceError["toWire"]> {
  return new MillraceError(code, message).toWire();
}
