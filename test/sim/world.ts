/**
 * Callers, processes and time around the real rooms: submit, scheduler, pool, frames. One plan, played to its end or to the
 * first broken rule. Begin at `run`.
 */
import { MillraceError } from "millrace-client/wire";
import type { Prepare, PrepareRequest } from "#src/prepare/prepare.js";
import type { Scheduler, SchedulerOptions } from "#src/scheduler/scheduler.js";
import { LocalSubmit } from "#src/submit/local/local-submit.js";
import type { PreparedInput } from "#src/work/piece.js";
import { Pool } from "#src/worker/pool.js";
import { AdmissionAccount, CallerAccount, type CallerInput } from "./caller-rules.js";
import { VirtualClock } from "./clock.js";
import { type ChildWorld, FaultyChild } from "./faulty-child.js";
import type { CallerPlan, FaultKind, Plan } from "./plan.js";
import { PoolAccount } from "./pool-rules.js";
import { type Judge, type Rule, Violation } from "./rules.js";
import { Checker } from "./scheduler-rules.js";
import { makePiece, type NumberedPiece, numberOf, tripling } from "./task.js";

export type SchedulerLike = Pick<Scheduler, "step" | "snapshot">;
export type MakeScheduler = (options: SchedulerOptions) => SchedulerLike;

/** What really happened, by kind. */
export type Happened = Record<string, number>;

/** Far more than any schedule has; who wakes without end runs into it. */
const eventsMax = 200_000;
/** Virtual time after the last planned event in which everything must have ended. */
const endMsMax = 3_600_000;
/** Turns of the microtask queue between two events: more than any chain of promises inside has. */
const turns = 16;
const resolved = Promise.resolve();

interface Caller {
  readonly at: number;
  readonly plan: CallerPlan;
  readonly account: CallerAccount;
  readonly controller: AbortController;
  readonly itemIds: number[];
  sent: number;
  ran: number;
}

const quiet = { info: (): void => {}, warn: (): void => {} };

export class World {
  readonly happened: Happened = {};
  readonly lines: string[] = [];
  readonly checker: Checker;
  violation: Violation | null = null;
  readonly #plan: Plan;
  readonly #traces: boolean;
  readonly #clock: VirtualClock;
  readonly #admission: AdmissionAccount;
  readonly #pieces: NumberedPiece[] = [];
  /** The caller and the input of each piece, by its number. */
  readonly #owners: { readonly caller: Caller; readonly input: CallerInput }[] = [];
  /** Callers who are done since the last event. */
  readonly #ended: Caller[] = [];
  readonly #numberOfItem = new Map<number, number>();
  readonly #callers: Caller[];
  readonly #children = new Map<number, FaultyChild>();
  readonly #lives = new Map<string, number>();
  readonly #account: PoolAccount;
  readonly #scheduler: SchedulerLike;
  readonly #local: LocalSubmit;
  #pool: Pool | null = null;
  #memoryKills = 0;
  #pids = 100;
  #stopped: "no" | "asked" | "done" = "no";
  #activity = 0;

  constructor(
    plan: Plan,
    { make, traces }: { readonly make: MakeScheduler; readonly traces: boolean },
  ) {
    const { options, surroundings, models } = plan;
    this.#plan = plan;
    this.#traces = traces;
    this.#clock = new VirtualClock({ lateMsMax: surroundings.lateMsMax, seed: plan.seed });
    this.#admission = new AdmissionAccount(options);
    this.#callers = plan.callers.map((caller, at) => this.#makeCaller(caller, at));
    this.checker = new Checker(options);
    this.#scheduler = make(options);
    this.#account = new PoolAccount({
      clock: this.#clock,
      options,
      surroundings,
      judge: this.#judge,
      inFlight: () => this.#pool?.held.inFlight ?? 0,
    });
    this.#local = new LocalSubmit({
      models: new Map(models.map((model) => [model.name, { ...model, ...tripling }])),
      prepare: this.#prepare,
      scheduler: { step: (event, nowMs) => this.#step(event, nowMs) },
      makePool: (onEvent) => this.#makePool(onEvent),
      limits: { ...options, requestInputsMax: 1_000_000 },
      bulkThreshold: options.bulkThreshold,
      clock: this.#clock,
      onBroken: (error) => this.#onBroken(error),
    });
  }

  async run(): Promise<void> {
    this.#local.start();
    for (const caller of this.#callers)
      this.#clock.at(caller.plan.atMs, () => this.#arrive(caller));
    for (const { atMs, ms } of this.#plan.surroundings.pauses)
      this.#clock.at(atMs, () => {
        this.#note("pause");
        this.#clock.skip(ms);
      });
    const { stop } = this.#plan;
    if (stop !== null) this.#clock.at(stop.atMs, () => this.#stop(stop.drainMs));
    await this.#play(() => this.#isQuiet);
    if (this.violation !== null) return;
    if (this.#stopped === "no") {
      this.#checkQuiet();
      this.#stop(0);
      await this.#play(() => this.#stopped === "done");
    }
    if (this.violation === null) await this.#checkEnd();
  }

  /** Event after event, until it is over or a rule is broken. */
  async #play(isOver: () => boolean): Promise<void> {
    const lastPlannedMs = Math.max(
      this.#plan.stop?.atMs ?? 0,
      ...this.#plan.callers.map(({ atMs }) => atMs),
    );
    let events = 0;
    let sameTime = 0;
    let lastMs = this.#clock.now();
    while (this.violation === null && !isOver()) {
      if (!this.#advance()) {
        if (!isOver()) this.#judge(this.#unanswered, this.#rest());
        return;
      }
      for (let turn = 0; turn < turns; turn += 1) await resolved;
      this.#checkEnded();
      this.#account.endTurn();
      this.#checkHeld();
      events += 1;
      const nowMs = this.#clock.now();
      sameTime = nowMs === lastMs ? sameTime + 1 : 0;
      lastMs = nowMs;
      if (events > eventsMax || sameTime > 10_000)
        this.#judge("time goes on", `it is ${nowMs} for ever`);
      if (nowMs > lastPlannedMs + endMsMax) this.#judge(this.#unanswered, this.#rest());
    }
  }

  /** All callers are answered, nothing is held, and every pipeline is back. */
  get #isQuiet(): boolean {
    if (this.#stopped === "done") return this.#callers.every(({ account }) => account.ended);
    if (this.#stopped === "asked" || this.#plan.stop !== null) return false;
    if (this.#callers.some(({ account }) => !account.ended)) return false;
    const { inFlight = 0 } = this.#pool?.held ?? {};
    return (
      inFlight === 0 &&
      this.#plan.pipelines.every(({ pipelineId }) => this.#account.isUp(pipelineId))
    );
  }

  /** What throws in a timer or at a frame would end the server. */
  #advance(): boolean {
    try {
      return this.#clock.advance();
    } catch (error) {
      this.#onBroken(error);
      return true;
    }
  }

  /** What it means that it does not come to an end. */
  get #unanswered(): Rule {
    if (this.#callers.some(({ account }) => !account.ended)) return "every caller is answered";
    if (this.#stopped === "asked") return "a stop ends everything in time";
    return this.#pool?.held.inFlight === 0
      ? "a lost pipeline comes back"
      : "what was taken is given back";
  }

  #rest(): string {
    const open = this.#callers.filter(({ account }) => !account.ended).map(({ at }) => at);
    const { inFlight = 0 } = this.#pool?.held ?? {};
    const states = this.#pool?.snapshot().map(({ pipelineId, state }) => `${pipelineId} ${state}`);
    return `callers ${open.join()} wait, ${inFlight} items are in flight, ${states?.join()}`;
  }

  // ── Callers ──────────────────────────────────────────────────────────────────────────────────────────────────

  #makeCaller(plan: CallerPlan, at: number): Caller {
    const owners: { input: CallerInput }[] = [];
    const inputs = plan.inputs.map(({ bad, pieces }): CallerInput => {
      const numbers = pieces.map((piece) => {
        this.#pieces.push({ number: this.#pieces.length, plan: piece });
        return this.#pieces.length - 1;
      });
      const isHopeless = pieces.some(({ answer }) => answer !== "good");
      const errors: CallerInput["errors"] = new Set(isHopeless ? ["item_failed"] : []);
      const input: CallerInput = { bad, numbers, errors, isHopeless, outcome: "none" };
      for (const _ of numbers) owners.push({ input });
      return input;
    });
    const { options, surroundings } = this.#plan;
    const account = new CallerAccount(inputs, {
      name: `caller ${at}`,
      plan,
      options,
      judge: this.#judge,
      now: () => this.#clock.now(),
      lateMsMax:
        2 + 3 * surroundings.lateMsMax + surroundings.pauses.reduce((sum, { ms }) => sum + ms, 0),
      isStopping: () => this.#stopped !== "no",
    });
    const caller = {
      at,
      plan,
      account,
      controller: new AbortController(),
      itemIds: [],
      sent: 0,
      ran: 0,
    };
    for (const { input } of owners) this.#owners.push({ caller, input });
    return caller;
  }

  #arrive(caller: Caller): void {
    const { plan, account, controller, at } = caller;
    const { leave, payloadBytes, model } = plan;
    const nowMs = this.#clock.now();
    account.state = "asked";
    account.arrivedAtMs = nowMs;
    account.deadlineAtMs = plan.timeoutMs === null ? null : nowMs + plan.timeoutMs;
    if (leave?.moment === "before-the-call") this.#leave(caller);
    account.foretold = this.#foretell(caller);
    this.#trace(
      () => `caller ${at} comes${account.foretold === null ? "" : `: ${account.foretold}`}`,
    );
    this.#admission.requests += 1;
    if (account.foretold === null)
      this.#admission.add(account, { items: plan.inputs.length, bytes: payloadBytes });
    const request = {
      id: `r${at}`,
      task: "triple",
      model,
      fields: { inputs: plan.inputs.map((_, index) => ({ caller, index })) },
      class: plan.class,
      tenant: plan.tenant,
      deadlineAtMs: account.deadlineAtMs,
      payloadBytes,
    };
    const submitted = this.#local.submit(request, controller.signal, {
      onAccepted: () => {
        account.accepted();
        if (leave?.moment === "when-accepted") this.#leave(caller);
      },
      onOutcome: (outcome) => {
        this.#activity += 1;
        this.#trace(() => `caller ${at} gets ${JSON.stringify(outcome)}`);
        this.#note(`outcome: ${"value" in outcome.outcome ? "value" : outcome.outcome.error.code}`);
        account.outcome(outcome);
        this.#inCallback(caller);
      },
    });
    submitted.then(
      (summary) => this.#settled(caller, () => account.finished(summary)),
      (error: unknown) => this.#settled(caller, () => this.#rejected(account, error)),
    );
    if (leave?.moment === "in-the-same-turn") this.#leave(caller);
    if (leave?.moment === "later") this.#clock.at(nowMs + leave.afterMs, () => this.#leave(caller));
  }

  #settled(caller: Caller, action: () => void): void {
    this.#activity += 1;
    action();
    this.#admission.release(caller.account);
    this.#ended.push(caller);
    this.#trace(() => `caller ${caller.at} is done`);
  }

  #rejected(account: CallerAccount, error: unknown): void {
    this.#note(`refused or ended: ${error instanceof MillraceError ? error.code : "thrown"}`);
    if (error instanceof MillraceError) account.rejected(error.code, false);
    else account.rejected(String(error), error instanceof OwnError);
  }

  /** Of whoever is done, for whatever reason, nothing is worked on. */
  #checkEnded(): void {
    for (const { at, itemIds } of this.#ended.splice(0)) {
      const itemId = this.#account.uncancelled(itemIds);
      if (itemId !== undefined)
        this.#judge("who left costs no further run", `item ${itemId} of caller ${at} goes on`);
    }
  }

  /** What the door must answer; the order is that of its checks. */
  #foretell({ account, plan }: Caller): CallerAccount["foretold"] {
    if (account.hasLeft) return "cancelled";
    if (this.#stopped !== "no") return "draining";
    const isServed = this.#plan.pipelines.some(
      ({ pipelineId, model }) => model === plan.model && this.#account.isUp(pipelineId),
    );
    if (!isServed) return "not_ready";
    return this.#admission.refusal(account, {
      items: plan.inputs.length,
      bytes: plan.payloadBytes,
    });
  }

  #inCallback(caller: Caller): void {
    const { leave } = caller.plan;
    if (leave === null || !("nth" in leave) || leave.nth !== caller.account.outcomes) return;
    if (leave.moment === "at-an-outcome") this.#leave(caller);
    if (leave.moment === "callback-throws") {
      this.#note("leave: callback-throws");
      caller.account.hasThrown = true;
      throw new OwnError("thrown by a callback, as planned");
    }
  }

  #leave(caller: Caller): void {
    if (caller.account.ended || caller.account.hasLeft) return;
    this.#note(`leave: ${caller.plan.leave?.moment}`);
    this.#trace(() => `caller ${caller.at} leaves`);
    caller.account.hasLeft = true;
    caller.controller.abort();
  }

  // ── Prepare ──────────────────────────────────────────────────────────────────────────────────────────────────

  readonly #prepare: Prepare = {
    prepare: (request, signal) => {
      const { caller } = request.inputs[0] as { readonly caller: Caller };
      const { prepareMs } = caller.plan;
      if (prepareMs === 0)
        return new Promise((resolve) => resolve(this.#prepareAll(caller, request)));
      return new Promise((resolve, reject) => {
        const cancel = this.#clock.at(this.#clock.now() + prepareMs, () => {
          const { account } = caller;
          if (account.ended || account.hasLeft || signal.aborted)
            this.#judge("preparing ends with its caller", `caller ${caller.at}`);
          try {
            resolve(this.#prepareAll(caller, request));
          } catch (error) {
            reject(error as Error);
          }
        });
        signal.addEventListener("abort", () => {
          cancel();
          reject(signal.reason as Error);
        });
      });
    },
  };

  #prepareAll(caller: Caller, { budget }: PrepareRequest): PreparedInput[] {
    const { account, plan } = caller;
    let made = 0;
    const prepared = account.inputs.map(({ bad, numbers }): PreparedInput => {
      if (bad)
        return { ok: false, error: { code: "input_too_long", message: "bad", retryable: false } };
      const pieces = numbers.map((number) => {
        const piece = makePiece(this.#pieceOf(number));
        made += 1;
        const more = { items: made > plan.inputs.length ? 1 : 0, bytes: piece.cost.bytes };
        const foretold = this.#admission.refusal(account, more);
        account.foretold = foretold;
        budget.take(1, piece.cost.bytes);
        if (foretold !== null)
          this.#judge("who is refused is refused for a reason", `let in in spite of ${foretold}`);
        this.#admission.add(account, more);
        return piece;
      });
      return { ok: true, pieces, note: null };
    });
    this.#admission.add(account, { items: made - account.held.items, bytes: 0 });
    return prepared;
  }

  #pieceOf(number: number): NumberedPiece {
    const piece = this.#pieces[number];
    if (piece === undefined) throw new Error(`there is no piece ${number}`);
    return piece;
  }

  // ── Scheduler and pool ───────────────────────────────────────────────────────────────────────────────────────

  #step(...[event, nowMs]: Parameters<SchedulerLike["step"]>): ReturnType<SchedulerLike["step"]> {
    try {
      this.checker.before(event, nowMs);
      const decisions = this.#scheduler.step(event, nowMs);
      this.#trace(() => `scheduler: ${brief(event)} → ${decisions.map(brief).join(" ")}`);
      this.checker.after(decisions, this.#scheduler.snapshot(nowMs), nowMs);
      return decisions;
    } catch (error) {
      if (error instanceof Violation) this.#judge(error.rule, error.what);
      throw error;
    }
  }

  #makePool(onEvent: ConstructorParameters<typeof Pool>[1]): Pool {
    const { options, surroundings, pipelines } = this.#plan;
    const world = this.#childWorld();
    const pool = new Pool(
      {
        ...options,
        entry: "",
        log: quiet,
        pipelines: pipelines.map(({ pipelineId, model, kind, rowsMax }) => ({
          pipelineId,
          model,
          kind,
          rowsMax,
          modelDir: "",
          threads: 1,
        })),
        random: () => 0.5,
        clock: this.#clock,
        spawn: ({ pipelineId }, events) => this.#spawn(pipelineId, { world, events }),
        sample: (pid) =>
          surroundings.processTimes ? (this.#children.get(pid)?.sample() ?? null) : null,
        memoryKillCounter: () => (surroundings.killCounter ? this.#memoryKills : null),
      },
      (event) => {
        this.#account.hear(event);
        if (event.type === "returned") this.#learnErrors(event);
        onEvent(event);
      },
    );
    this.#pool = pool;
    return new Proxy(pool, {
      get: (target, name) => {
        if (name === "dispatch") return this.#dispatch;
        if (name === "cancel" || name === "recall")
          return (pipelineId: string, itemIds: readonly number[]) =>
            this.#account[name](pipelineId, itemIds, () => target[name](pipelineId, itemIds));
        if (name === "stop") this.#account.stopping = true;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  }

  readonly #dispatch = (...[pipelineId, batch]: Parameters<Pool["dispatch"]>): void => {
    for (const { itemId, payload } of batch.items) {
      const number = numberOf(payload);
      this.#numberOfItem.set(itemId, number);
      const caller = this.#owners[number]?.caller;
      caller?.itemIds.push(itemId);
      if (caller?.account.ended === true)
        this.#judge("work for absent callers is never dispatched", `to the pool: item ${itemId}`);
    }
    this.#account.dispatch(pipelineId, batch, () => this.#pool?.dispatch(pipelineId, batch));
    for (const { payload } of batch.items) this.#moment("when-sent", numberOf(payload));
  };

  #learnErrors(event: Extract<Parameters<PoolAccount["hear"]>[0], { type: "returned" }>): void {
    for (const { itemId, error } of event.failed)
      this.#owners[this.#numberOfItem.get(itemId) ?? -1]?.input.errors.add(error.code);
  }

  #moment(moment: "when-sent" | "when-running", number: number): void {
    const caller = this.#owners[number]?.caller;
    if (caller === undefined) return;
    const count = moment === "when-sent" ? ++caller.sent : ++caller.ran;
    const { leave } = caller.plan;
    if (leave?.moment === moment && leave.nth === count) this.#leave(caller);
  }

  #spawn(pipelineId: string, wiring: ConstructorParameters<typeof FaultyChild>[2]): FaultyChild {
    const spec = this.#plan.pipelines.find((each) => each.pipelineId === pipelineId);
    if (spec === undefined) throw new Error(`there is no pipeline ${pipelineId}`);
    const number = this.#lives.get(pipelineId) ?? 0;
    this.#lives.set(pipelineId, number + 1);
    this.#pids += 1;
    const mode = this.#plan.models.find(({ name }) => name === spec.model)?.mode ?? "one-shot";
    const child = new FaultyChild(spec, { number, mode, pid: this.#pids }, wiring);
    this.#children.set(this.#pids, child);
    this.#account.spawned(child);
    return child;
  }

  #childWorld(): ChildWorld {
    const { seed, options, surroundings } = this.#plan;
    return {
      clock: this.#clock,
      seed,
      options,
      surroundings,
      judge: this.#judge,
      watcher: this.#account,
      trace: (line) => this.#trace(line),
      planOf: (payload) => this.#pieceOf(numberOf(payload)).plan,
      runs: (payloads) => {
        for (const payload of payloads) this.#moment("when-running", numberOf(payload));
      },
      spoilt: (payload) => void this.#owners[numberOf(payload)]?.input.errors.add("item_failed"),
      heldElsewhere: (pipelineId) => this.#account.heldElsewhere(pipelineId),
      holds: (pipelineId, itemId) => this.#account.holds(pipelineId, itemId),
      killedForMemory: () => {
        this.#memoryKills += 1;
        this.#account.killedForMemory();
      },
      happened: (kind: FaultKind | "poison") => this.#note(kind),
    };
  }

  // ── The end ──────────────────────────────────────────────────────────────────────────────────────────────────

  #stop(drainMs: number): void {
    const { options, surroundings } = this.#plan;
    this.#stopped = "asked";
    if (this.#plan.stop !== null) this.#note("stop");
    this.#trace(() => `stop within ${drainMs} ms`);
    const askedAtMs = this.#clock.now();
    const boundMs = drainMs + options.stopTimeoutMs + options.killTimeoutMs + 2_000;
    const slackMs =
      5 * (surroundings.lateMsMax + surroundings.latencyMs) +
      surroundings.pauses.reduce((sum, { ms }) => sum + ms, 0);
    void this.#local.stop({ drainMs }).then(() => {
      const tookMs = this.#clock.now() - askedAtMs;
      if (tookMs > boundMs + slackMs)
        this.#judge("a stop ends everything in time", `it took ${tookMs} ms`);
      this.#stopped = "done";
    });
  }

  #checkHeld(): void {
    const { requests, items, bytes } = this.#local.held;
    const admission = this.#admission;
    if (items !== admission.items || bytes !== admission.bytes)
      this.#judge(
        "the queue counts what it holds",
        `${items} items, ${bytes} bytes; not ${admission.items}, ${admission.bytes}`,
      );
    if (requests > admission.requests)
      this.#judge(
        "the queue counts what it holds",
        `${requests} requests, not ${admission.requests}`,
      );
  }

  /** Everybody was answered and nobody asks: what was taken is given back. */
  #checkQuiet(): void {
    const { inFlight = 0, remembered = 0 } = this.#pool?.held ?? {};
    const { requests, items, bytes } = this.#local.held;
    const snapshot = this.#scheduler.snapshot(this.#clock.now());
    const queued = snapshot.queues.reduce((sum, each) => sum + each.items, snapshot.requests);
    const fed = snapshot.pipelines.reduce((sum, each) => sum + each.inFlight, 0);
    const suspects = snapshot.models.reduce((sum, each) => sum + each.suspects, 0);
    const rest = { inFlight, remembered, requests, items, bytes, queued, fed, suspects };
    if (Object.values(rest).some((each) => each !== 0))
      this.#judge("what was taken is given back", JSON.stringify(rest));
    this.#account.atEnd();
    try {
      this.checker.atEnd();
    } catch (error) {
      if (error instanceof Violation) this.#judge(error.rule, error.what);
    }
    for (const { pipelineId, state } of this.#pool?.snapshot() ?? [])
      if (state !== "ready" && state !== "suspect")
        this.#judge("a lost pipeline comes back", `${pipelineId} is ${state}`);
    this.#checkCounts();
  }

  #checkCounts(): void {
    const { accepted, done, failed, cancelled } = this.#local.counts.items;
    if (accepted !== done + failed + cancelled)
      this.#judge(
        "the summary is right",
        `of ${accepted} items ${done}, ${failed} and ${cancelled} ended`,
      );
  }

  async #checkEnd(): Promise<void> {
    const before = this.#activity;
    // A whole turn of the event loop: whatever was still on its way would arrive.
    if (this.#plan.seed % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (this.#activity !== before) this.#judge("nothing follows the end", "after the stop");
    const { inFlight = 0, remembered = 0 } = this.#pool?.held ?? {};
    const { requests, items, bytes } = this.#local.held;
    const { background } = this.#clock.waiting;
    const rest = { inFlight, remembered, requests, items, bytes, background };
    if (Object.values(rest).some((each) => each !== 0))
      this.#judge("what was taken is given back", `after the stop: ${JSON.stringify(rest)}`);
    for (const child of this.#children.values())
      if (!child.isEnded)
        this.#judge("a stop ends everything in time", `${child.spec.pipelineId} lives`);
    this.#checkCounts();
  }

  #onBroken(error: unknown): void {
    if (this.violation !== null) return;
    const message = error instanceof Error ? `${error.name} ${error.message}` : String(error);
    const isBug = error instanceof Error && error.name === "SchedulerBug";
    this.#judge(isBug ? "the scheduler's own assertions" : "no promise inside is broken", message);
  }

  readonly #judge: Judge = (rule: Rule, message: string) => {
    this.violation ??= new Violation(rule, message);
  };

  #note(what: string): void {
    this.happened[what] = (this.happened[what] ?? 0) + 1;
  }

  #trace(line: () => string): void {
    if (this.#traces) this.lines.push(`${this.#clock.now().toFixed(3)} ${line()}`);
  }
}

/** What a caller's own callback throws. */
class OwnError extends Error {}

function brief(thing: { readonly type: string }): string {
  return JSON.stringify(thing).replaceAll('"', "").slice(0, 300);
}
