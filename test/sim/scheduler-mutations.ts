/** Ways to break the scheduler by what it is told and by what it says: the simulator must notice, and name the rule. */
import { Scheduler, type SchedulerOptions } from "#src/scheduler/scheduler.js";
import type { Decision, SchedulerEvent } from "#src/scheduler/types.js";
import type { Focus } from "./focus.js";
import type { Rule } from "./rules.js";
import type { MakeScheduler, SchedulerLike } from "./world.js";

export interface SchedulerMutation {
  readonly rule: Rule;
  readonly focus?: Focus;
  readonly options?: (options: SchedulerOptions) => SchedulerOptions;
  /** What the scheduler is told instead; null: nothing but the time. */
  readonly event?: (event: SchedulerEvent) => SchedulerEvent | null;
  readonly decision?: (decision: Decision, others: readonly string[]) => readonly Decision[];
}

type Dispatch = Extract<Decision, { type: "dispatch" }>;

function onDispatch(
  change: (dispatch: Dispatch, others: readonly string[]) => readonly Decision[],
) {
  return (decision: Decision, others: readonly string[]) =>
    decision.type === "dispatch" ? change(decision, others) : [decision];
}

function without(type: Decision["type"]) {
  return (decision: Decision) => (decision.type === type ? [] : [decision]);
}

export const schedulerMutations: Readonly<Record<string, SchedulerMutation>> = {
  "loses a batch": {
    rule: "no free pipeline beside a queue",
    decision: onDispatch((dispatch) => (dispatch.batch.batchId % 7 === 3 ? [] : [dispatch])),
  },
  "loses what comes back from a dead pipeline": {
    rule: "no free pipeline beside a queue",
    event: (event) => (event.type === "returned" ? { ...event, innocent: [] } : event),
  },
  "sends no bulk": {
    rule: "no free pipeline beside a queue",
    decision: onDispatch((dispatch) => (dispatch.batch.class === "bulk" ? [] : [dispatch])),
  },
  "sends a batch twice": {
    rule: "a queued item only is dispatched",
    decision: onDispatch((dispatch) => [dispatch, dispatch]),
  },
  "takes suspects for innocent": {
    rule: "a queued item only is dispatched",
    event: (event) =>
      event.type === "returned"
        ? { ...event, innocent: [...event.innocent, ...event.groups.flat()], groups: [] }
        : event,
  },
  "sends batches to another pipeline": {
    rule: "a pipeline serves its kind",
    decision: onDispatch((dispatch, others) => {
      const other = others.find((pipelineId) => pipelineId !== dispatch.pipelineId);
      return [{ ...dispatch, pipelineId: other ?? dispatch.pipelineId }];
    }),
  },
  "treats every pipeline as shared": {
    rule: "a pipeline serves its kind",
    event: (event) =>
      event.type === "pipeline-up"
        ? { ...event, pipeline: { ...event.pipeline, kind: "shared" } }
        : event,
  },
  "works for callers who left": {
    rule: "work for absent callers is never dispatched",
    event: (event) => (event.type === "cancel" ? null : event),
  },
  "believes in more rows than there are": {
    rule: "a batch stays within the rows",
    event: (event) =>
      event.type === "model"
        ? { ...event, model: { ...event.model, rowsMax: event.model.rowsMax * 3 } }
        : event,
  },
  "ignores the realtime target": {
    rule: "a batch stays within the cost",
    focus: { recalls: true },
    options: (options) => ({ ...options, realtimeTargetMs: options.realtimeTargetMs * 1_000 }),
  },
  "is blind to batch keys": {
    rule: "a batch has one key",
    event: (event) => {
      if (event.type !== "request") return event;
      const items = event.request.items.map((item) => ({ ...item, batchKey: "" }));
      return { ...event, request: { ...event.request, items } };
    },
  },
  "joins groups of suspects": {
    rule: "suspects run alone",
    event: (event) =>
      event.type === "returned" && event.groups.length > 0
        ? { ...event, groups: [event.groups.flat()] }
        : event,
  },
  "sends a third batch to a one-shot pipeline": {
    rule: "a pipeline holds no more batches than allowed",
    event: (event) =>
      event.type === "model" ? { ...event, model: { ...event.model, mode: "continuous" } } : event,
  },
  "ignores age": {
    rule: "older than the age limit goes first",
    focus: { ages: true },
    options: (options) => ({ ...options, ageLimitMs: Number.MAX_VALUE }),
  },
  "never gives aged bulk its turn": {
    rule: "aged bulk takes turns with realtime",
    focus: { ages: true },
    options: (options) => ({ ...options, ageLimitMs: Number.MAX_VALUE }),
  },
  "serves classes in order of arrival": {
    rule: "realtime goes before bulk",
    focus: { recalls: true },
    options: (options) => ({
      ...options,
      policy: options.policy === "millrace" ? "fcfs" : options.policy,
    }),
  },
  "lets nothing that is large give way": {
    rule: "what is large gives way",
    decision: onDispatch((dispatch) => [
      { ...dispatch, batch: { ...dispatch.batch, givesWay: false } },
    ]),
  },
  "lets short work overtake where it must not": {
    rule: "first come is first served",
    options: (options) => ({
      ...options,
      policy: options.policy === "fcfs" ? "millrace" : options.policy,
    }),
  },
  "mixes the order of a segment": {
    rule: "segments take a batch apart",
    decision: onDispatch((dispatch) => {
      const segments = dispatch.batch.segments.map((segment) => ({
        ...segment,
        itemIds: segment.itemIds.toReversed(),
      }));
      return [{ ...dispatch, batch: { ...dispatch.batch, segments } }];
    }),
  },
  "forgets to wake": { rule: "a deadline expires on time", decision: without("wake") },
  "does not report what expired": {
    rule: "a deadline expires on time",
    decision: without("expire"),
  },
  "expires a part of a request": {
    rule: "every item has one outcome",
    decision: (decision) =>
      decision.type === "expire"
        ? [{ ...decision, itemIds: decision.itemIds.slice(1) }]
        : [decision],
  },
  "does not call off what runs": {
    rule: "the pipeline hears of a cancel",
    decision: without("cancel"),
  },
  "does not recall": {
    rule: "waiting bulk is recalled for realtime",
    decision: without("recall"),
  },
  "waits a second for company": {
    rule: "a window is bounded",
    options: (options) => ({ ...options, windowMsMax: 1_000 }),
  },
  "loads what is there": {
    rule: "what is there is not loaded again",
    decision: onDispatch((dispatch) => {
      const { pipelineId, batch } = dispatch;
      return [dispatch, { type: "load", pipelineId, model: batch.model, rowsMax: 1 }];
    }),
  },
  "loads twice at once": {
    rule: "a pipeline loads one model at a time",
    decision: (decision) => (decision.type === "load" ? [decision, decision] : [decision]),
  },
  "does not hear that a model is gone": {
    rule: "only what is served is loaded",
    focus: { gone: true, fault: "exit" },
    event: (event) => (event.type === "model-gone" ? null : event),
  },
  "is told of an outcome twice": {
    rule: "the scheduler's own assertions",
    // The simulator's callers never reuse an item; an outcome of one that is unknown is a bug of the ledger.
    event: (event) => (event.type === "settled" ? { ...event, itemId: event.itemId + 1e6 } : event),
  },
};

export function broken(mutation: SchedulerMutation): MakeScheduler {
  return (options): SchedulerLike => {
    const scheduler = new Scheduler(mutation.options?.(options) ?? options);
    const pipelines = new Set<string>();
    return {
      step(event, nowMs) {
        if (event.type === "pipeline-up") pipelines.add(event.pipeline.pipelineId);
        if (event.type === "pipeline-down") pipelines.delete(event.pipelineId);
        const told = mutation.event === undefined ? event : mutation.event(event);
        const decisions = scheduler.step(told ?? { type: "tick" }, nowMs);
        if (mutation.decision === undefined) return decisions;
        return decisions.flatMap((each) => mutation.decision?.(each, [...pipelines]) ?? []);
      },
      leastWaitMs: (newcomer, nowMs) => scheduler.leastWaitMs(newcomer, nowMs),
      snapshot: (nowMs) => scheduler.snapshot(nowMs),
    };
  };
}
