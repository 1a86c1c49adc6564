/**
 * Callers, processes and time around the real rooms: submit, scheduler, pool, frames. One plan, played to its end or to the
 * first broken rule. Begin at `run`.
 */
import type { Scheduler, SchedulerOptions } from "#src/scheduler/scheduler.js";
import { VirtualClock } from "#src/simulation/virtual-clock.js";
import { LocalSubmit } from "#src/submit/local/local-submit.js";
import { Pool } from "#src/worker/pool.js";
import { Callers } from "./callers.js";
import type { ChildWorld } from "./child-world.js";
import { FaultyChild } from "./faulty-child.js";
import type { Plan } from "./plan.js";
import { PoolAccount } from "./pool-rules.js";
import { Random } from "./random.js";
import { type Judge, type Rule, Violation } from "./rules.js";
import { Checker } from "./scheduler-rules.js";
import { numberOf, tripling } from "./task.js";

export type SchedulerLike = Pick<Scheduler, "step" | "snapshot" | "leastWaitMs">;
export type MakeScheduler = (options: SchedulerOptions) => SchedulerLike;

/** What really happened, by kind. */
export type Happened = Record<string, number>;

/** Far more than any schedule has, looks at processes aside; who wakes without end runs into it. */
const eventsMax = 200_000;
/** Virtual time after the last planned event in which everything must have ended. */
const endMsMax = 3_600_000;
/** Turns of the microtask queue between two events: more than any chain of promises inside has. */
const turns = 16;
const resolved = Promise.resolve();

const quiet = { info: (): void => {}, warn: (): void => {} };

export class World {
  readonly happened: Happened = {};
  readonly lines: string[] = [];
  readonly checker: Checker;
  violation: Violation | null = null;
  readonly #plan: Plan;
  readonly #traces: boolean;
  readonly #clock: VirtualClock;
  readonly #callers: Callers;
  readonly #children = new Map<number, FaultyChild>();
  readonly #lives = new Map<string, number>();
  readonly #account: PoolAccount;
  readonly #scheduler: SchedulerLike;
  readonly #local: LocalSubmit;
  #pool: Pool | null = null;
  #memoryKills = 0;
  #pids = 100;
  #stopped: "no" | "asked" | "done" = "no";

  constructor(
    plan: Plan,
    { make, traces }: { readonly make: MakeScheduler; readonly traces: boolean },
  ) {
    const { options, surroundings, models } = plan;
    this.#plan = plan;
    this.#traces = traces;
    const { lateMsMax } = surroundings;
    const random = new Random(plan.seed);
    this.#clock = new VirtualClock(lateMsMax === 0 ? undefined : () => random.next() * lateMsMax);
    this.#callers = new Callers({
      plan,
      clock: this.#clock,
      judge: this.#judge,
      note: (what) => this.#note(what),
      trace: (line) => this.#trace(line),
      refusal: (name) => this.checker.hosting.refusal(name, this.#clock.now()),
      isGivenUp: (name, code) => this.checker.hosting.isGivenUp(name, code),
      isStopping: () => this.#stopped !== "no",
      uncancelled: (itemIds) => this.#account.uncancelled(itemIds),
    });
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
      tasks: new Map([[tripling.task.name, tripling.task]]),
      models: new Map(
        models.map(({ name, mode, keep, rowsMax, bytes, leastBytes }) => {
          const size = { rowsMax, bytes, leastBytes };
          const hosted = { key: name, name, modelDir: "", mode, keep, ...size };
          return [name, { ...hosted, ...tripling }];
        }),
      ),
      prepare: this.#callers.prepare,
      scheduler: {
        step: (event, nowMs) => this.#step(event, nowMs),
        leastWaitMs: (newcomer, nowMs) => this.#leastWaitMs(newcomer, nowMs),
      },
      makePool: (onEvent) => this.#makePool(onEvent),
      limits: { ...options, requestInputsMax: 1_000_000 },
      bulkThreshold: options.bulkThreshold,
      sliceItemsMax: options.sliceItemsMax,
      clock: this.#clock,
      onBroken: (error) => this.#onBroken(error),
    });
  }

  async run(): Promise<void> {
    this.#local.start();
    this.#callers.start(this.#local);
    for (const { atMs, ms } of this.#plan.surroundings.pauses)
      this.#clock.at(atMs, () => {
        this.#note("pause");
        this.#clock.skip(ms);
      });
    for (const { name, goneAtMs } of this.#plan.models)
      if (goneAtMs !== null)
        this.#clock.at(goneAtMs, () => {
          this.#note("model gone");
          this.checker.hosting.retired(name);
          this.#local.retire(name);
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
    let sameTime = 0;
    let lastMs = this.#clock.now();
    while (this.violation === null && !isOver()) {
      if (!this.#advance()) {
        if (!isOver()) this.#judge(this.#unanswered, this.#rest());
        return;
      }
      for (let turn = 0; turn < turns; turn += 1) await resolved;
      this.#callers.checkEnded();
      this.#account.endTurn();
      this.#checkHeld();
      const nowMs = this.#clock.now();
      sameTime = nowMs === lastMs ? sameTime + 1 : 0;
      lastMs = nowMs;
      if (this.#clock.events > eventsMax || sameTime > 10_000)
        this.#judge("time goes on", `it is ${nowMs} for ever`);
      if (nowMs > lastPlannedMs + endMsMax) this.#judge(this.#unanswered, this.#rest());
    }
  }

  /** All callers are answered, nothing is held, and every pipeline is back. */
  get #isQuiet(): boolean {
    if (this.#stopped === "done") return this.#callers.open.length === 0;
    if (this.#stopped === "asked" || this.#plan.stop !== null) return false;
    if (this.#callers.open.length > 0) return false;
    const { inFlight = 0 } = this.#pool?.held ?? {};
    return (
      inFlight === 0 &&
      this.#plan.pipelines.every(({ pipelineId }) => this.#account.isUp(pipelineId)) &&
      this.checker.hosting.isSettled
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
    if (this.#callers.open.length > 0) return "every caller is answered";
    if (this.#stopped === "asked") return "a stop ends everything in time";
    if (this.#pool?.held.inFlight !== 0) return "what was taken is given back";
    const up = this.#plan.pipelines.every(({ pipelineId }) => this.#account.isUp(pipelineId));
    return up ? "a pinned model is on every pipeline" : "a lost pipeline comes back";
  }

  #rest(): string {
    const { inFlight = 0 } = this.#pool?.held ?? {};
    const states = this.#pool?.snapshot().map(({ pipelineId, state }) => `${pipelineId} ${state}`);
    return `callers ${this.#callers.open.join()} wait, ${inFlight} items are in flight, ${states?.join()}`;
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

  #leastWaitMs(...[newcomer, nowMs]: Parameters<SchedulerLike["leastWaitMs"]>): number {
    const waitMs = this.#scheduler.leastWaitMs(newcomer, nowMs);
    if (waitMs > 0) this.#note("surely waits");
    if (waitMs > 0 && !this.checker.surelyWaits(newcomer, nowMs))
      this.#judge("a newcomer surely waits for aged work only", `${waitMs} ms for none`);
    return waitMs;
  }

  #makePool(onEvent: ConstructorParameters<typeof Pool>[1]): Pool {
    const { options, surroundings, pipelines } = this.#plan;
    const world = this.#childWorld();
    const pool = new Pool(
      {
        ...options,
        entry: "",
        log: quiet,
        pipelines: pipelines.map(({ pipelineId, kind, modelMemoryBytesMax }) => ({
          pipelineId,
          kind,
          modelMemoryBytesMax,
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
        if (event.type === "returned") this.#callers.learnErrors(event);
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
    this.#callers.sent(batch.items);
    this.#account.dispatch(pipelineId, batch, () => this.#pool?.dispatch(pipelineId, batch));
    for (const { payload } of batch.items) this.#callers.moment("when-sent", payload);
  };

  #spawn(pipelineId: string, wiring: ConstructorParameters<typeof FaultyChild>[2]): FaultyChild {
    const spec = this.#plan.pipelines.find((each) => each.pipelineId === pipelineId);
    if (spec === undefined) throw new Error(`there is no pipeline ${pipelineId}`);
    const number = this.#lives.get(pipelineId) ?? 0;
    this.#lives.set(pipelineId, number + 1);
    this.#pids += 1;
    const child = new FaultyChild(spec, { number, pid: this.#pids }, wiring);
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
      planOf: (payload) => this.#callers.pieceOf(numberOf(payload)).plan,
      modelOf: (name) => {
        const model = this.#plan.models.find((each) => each.name === name);
        if (model === undefined) throw new Error(`there is no model ${name}`);
        return model;
      },
      runs: (payloads) => {
        for (const payload of payloads) this.#callers.moment("when-running", payload);
      },
      spoilt: (payload) => this.#callers.spoilt(payload),
      heldElsewhere: (pipelineId) => this.#account.heldElsewhere(pipelineId),
      holds: (pipelineId, itemId) => this.#account.holds(pipelineId, itemId),
      killedForMemory: () => {
        this.#memoryKills += 1;
        this.#account.killedForMemory();
      },
      happened: (kind) => this.#note(kind),
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
    const { admission } = this.#callers;
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
    const before = this.#callers.heard;
    // A whole turn of the event loop: whatever was still on its way would arrive.
    if (this.#plan.seed % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (this.#callers.heard !== before) this.#judge("nothing follows the end", "after the stop");
    const { inFlight = 0, remembered = 0 } = this.#pool?.held ?? {};
    const { requests, items, bytes } = this.#local.held;
    const { rooms: timers, background } = this.#clock.waiting;
    const rest = { inFlight, remembered, requests, items, bytes, timers, background };
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

function brief(thing: { readonly type: string }): string {
  return JSON.stringify(thing).replaceAll('"', "").slice(0, 300);
}
