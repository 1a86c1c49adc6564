/**
 * One pipeline: a worker process after another. Each is warm when it says hello, and then hosts the models that it is told to.
 *
 *                      ┌────────────────── the wait is over ──────────────────┐
 *                      ▼                                                      │
 *   start() ──► starting ───────── hello ────────► ready ◄── it speaks ── suspect
 *                  │                                │  └── far too silent ──► │
 *                  │ no hello in time,              │ it ends or lies,        │ it hangs:
 *                  │ it ends                        ▼ a load takes too long   ▼ killed
 *                  └──────────────────────────► backing-off ◄─────────────────┘
 *
 *   stop() from any state ──► stopping ── the process is gone ──► stopped
 *
 * Each life of a process ends in `#lose`, whatever it died of: the ledger is settled there at once, because nothing
 * that a killed child says counts any more. The next life waits until the process is really gone. A load that fails ends
 * no life; a process that ends while it loads blames the model, and none of its items.
 */
import assert from "node:assert/strict";
import {
  MillraceError,
  type PipelineKind,
  type PipelineState,
  type PipelineStatus,
  type SampledProfile,
} from "millrace-client/wire";
import { type ChildFrame, framesVersion } from "../frames/messages.js";
import { ProtocolError } from "../frames/protocol-error.js";
import type { FolderVersion } from "../models/folder-version.js";
import type { ProcessSample } from "../platform/system.js";
import type { AskedSampling } from "../profile/profiles.js";
import type { Clock } from "../work/clock.js";
import { type BackoffOptions, backoffMs } from "./backoff.js";
import type { ChildPort, SpawnChild } from "./child.js";
import { Dialogue, type Tally } from "./dialogue.js";
import type { PoolEvent } from "./events.js";
import type { Ledger } from "./ledger.js";
import type { WorkerLog } from "./log-lines.js";
import type { MemoryKills } from "./memory-kills.js";
import { Profiling } from "./profiling.js";
import { type Cause, causeOfEnd, type Fault, type ProcessEnd } from "./settle.js";
import { Watch, type WatchOptions } from "./watch.js";

export interface PipelineSpec {
  readonly pipelineId: string;
  readonly kind: PipelineKind;
  /** Of the process: its models run one at a time. */
  readonly threads: number;
  /** What its models may take together. */
  readonly modelMemoryBytesMax: number;
}

export interface LoadRequest {
  readonly model: string;
  readonly modelDir: string;
  /** That run at once, in each class. */
  readonly rowsMax: number;
  /** Left out: whatever is there. */
  readonly version?: FolderVersion;
}

export interface PipelineOptions extends WatchOptions, BackoffOptions {
  /** The script of the child: the compiled runtime/entry.js. */
  readonly entry: string;
  readonly entryArguments: readonly string[];
  /** From spawn to hello; and of each load, its warm-up included. */
  readonly startTimeoutMs: number;
  /** From `stop` to the end of the process; then it is killed. */
  readonly stopTimeoutMs: number;
  readonly killTimeoutMs: number;
  readonly attemptsMax: number;
  readonly clock: Clock;
  /** A real process, or the simulator's idea of one. */
  readonly spawn: SpawnChild;
  /** Null where nothing is known of such a process. */
  readonly sample: (pid: number) => ProcessSample | null;
}

export interface PipelineContext {
  readonly options: PipelineOptions;
  readonly ledger: Ledger;
  readonly memoryKills: MemoryKills;
  readonly log: WorkerLog;
  readonly emit: (event: PoolEvent) => void;
}

type Doing = { readonly atMs: number } & Omit<NonNullable<PipelineStatus["doing"]>, "forMs">;

/** Why a life ended, and the model that it was loading then. */
type End = Cause & { readonly loading: string | null };

/** What ends with the process. */
interface Life {
  readonly child: ChildPort;
  readonly dialogue: Dialogue;
  readonly profiling: Profiling;
  readonly watch: Watch;
  memoryBytes: number;
  /** By model. */
  readonly cacheBytes: Map<string, number>;
  doing: Doing | null;
  /** Settled and without a voice; only its process may still be ending. */
  lost: boolean;
}

export class Pipeline {
  readonly spec: PipelineSpec;
  readonly #context: PipelineContext;
  readonly #clock: Clock;
  #state: PipelineState = "stopped";
  #stateSinceMs: number;
  /** Why it is not ready. */
  #fault: Fault | null = null;
  #lastEnd: Fault | null = null;
  #life: Life | null = null;
  /** Deadline of the start or the stop, or the end of the back-off: a state has at most one of them. */
  #cancelTimer: () => void = () => {};
  #cancelCheck: () => void = () => {};
  /** Deadline of the load that is under way. */
  #cancelLoad: () => void = () => {};
  #lives = 0;
  /** Lives in a row that did not bring one result. */
  #failures = 0;
  readonly #tally: Tally = { done: 0, failed: 0 };
  #onStopped: (() => void)[] = [];

  constructor(spec: PipelineSpec, context: PipelineContext) {
    this.spec = spec;
    this.#context = context;
    this.#clock = context.options.clock;
    this.#stateSinceMs = this.#clock.now();
  }

  /** Through it the child is spoken to; null while the pipeline is not up. */
  get dialogue(): Dialogue | null {
    return this.#usable()?.dialogue ?? null;
  }

  start(): void {
    assert(this.#state === "stopped" || this.#state === "backing-off", "pipeline: started twice");
    this.#enter("starting", this.#fault);
    this.#lives += 1;
    this.#life = this.#spawn();
    const { startTimeoutMs } = this.#context.options;
    this.#after(startTimeoutMs, () =>
      this.#lose({
        kind: "start-timeout",
        reason: `no hello within ${startTimeoutMs} ms of its start`,
      }),
    );
  }

  /** The pipeline is up, has not the model, and loads no other one. */
  load({ model, modelDir, rowsMax, version }: LoadRequest): void {
    const life = this.#usable();
    assert(life !== null, `scheduler: ${this.spec.pipelineId} loads nothing, it is not up`);
    const { threads, pipelineId } = this.spec;
    // Nobody expected a word from it while it had nothing to do.
    if (this.#context.ledger.inFlight(pipelineId) === 0) life.watch.heard(this.#clock.now(), 0);
    const { version: its, seen } = version ?? { version: "", seen: "" };
    life.dialogue.load({ model, modelDir, version: its, seen, threads, rowsMax });
  }

  /** Ends the process, politely at first. What it still holds is returned as innocent. */
  stop(): Promise<void> {
    const stopped = new Promise<void>((resolve) => this.#onStopped.push(resolve));
    const life = this.#life;
    const polite = this.#usable() !== null;
    if (this.#state === "stopping") return stopped;
    if (life === null) {
      this.#enter("stopped", null);
      return stopped;
    }
    this.#enter("stopping", null);
    if (!life.lost) {
      const reason = "the server is stopping";
      this.#settle(life, { kind: "stopped", reason, loading: null }, polite);
    }
    if (!polite) {
      life.child.kill();
      return stopped;
    }
    life.child.send({ type: "stop" });
    this.#after(this.#context.options.stopTimeoutMs, () => life.child.kill());
    return stopped;
  }

  /** What its process does until the signal says so. Rejects with `not_ready` where it is not up, `worker_lost` where it ends. */
  async profile(asked: AskedSampling): Promise<SampledProfile> {
    const life = this.#usable();
    if (life !== null) return await life.profiling.take(asked);
    const why = this.#fault === null ? this.#state : `${this.#state}: ${this.#fault.reason}`;
    throw new MillraceError("not_ready", `${this.spec.pipelineId} is ${why}`);
  }

  status(): PipelineStatus {
    const life = this.#life;
    const doing = life?.doing ?? null;
    const { pipelineId, kind } = this.spec;
    const { ledger } = this.#context;
    const nowMs = this.#clock.now();
    const residents = life?.lost === false ? life.dialogue.residents : null;
    return {
      pipelineId,
      kind,
      state: this.#state,
      reason: this.#fault?.reason ?? null,
      code: this.#fault?.kind ?? null,
      lastEnd:
        this.#lastEnd === null ? null : { code: this.#lastEnd.kind, reason: this.#lastEnd.reason },
      pid: life?.child.pid ?? null,
      inStateMs: nowMs - this.#stateSinceMs,
      restarts: Math.max(0, this.#lives - 1),
      loads: residents?.loads ?? 0,
      models: residents?.status(nowMs, (model) => ledger.inFlightOf(pipelineId, model)) ?? [],
      memoryBytes: life?.memoryBytes ?? 0,
      cacheBytes: [...(life?.cacheBytes.values() ?? [])].reduce((sum, bytes) => sum + bytes, 0),
      doing: doing === null ? null : describe(doing, nowMs),
      items: {
        inFlight: ledger.inFlight(pipelineId),
        ...this.#tally,
      },
    };
  }

  #usable(): Life | null {
    return this.#state === "ready" || this.#state === "suspect" ? this.#life : null;
  }

  #spawn(): Life {
    const { options, ledger, log, emit } = this.#context;
    const { pipelineId } = this.spec;
    const { entry, entryArguments, killTimeoutMs, clock, spawn } = options;
    const child = spawn(
      { entry, entryArguments, pipelineId, log, clock, killTimeoutMs },
      {
        onFrame: (frame) => this.#hear(frame),
        onBroken: (error) => this.#lose({ kind: "protocol", reason: error.message }),
        onTooLarge: (item) => this.dialogue?.onTooLarge(item),
        onEnd: (end) => this.#onGone(end),
      },
    );
    const dialogue = new Dialogue({
      pipelineId,
      ledger,
      clock,
      tally: this.#tally,
      send: (frame) => child.send(frame),
      emit,
    });
    const watch = new Watch(options, clock.now());
    return {
      child,
      dialogue,
      profiling: new Profiling((frame) => child.send(frame)),
      watch,
      memoryBytes: 0,
      cacheBytes: new Map(),
      doing: null,
      lost: false,
    };
  }

  /** Every frame ends here; a child that lies is lost. */
  #hear(frame: ChildFrame): void {
    const life = this.#life;
    if (life === null || life.lost) return;
    this.#note(frame, life);
    try {
      if (this.#state === "starting") this.#greet(frame, life);
      else if (frame.type === "profiled" || frame.type === "profile-failed")
        life.profiling.hear(frame);
      else life.dialogue.hear(frame);
      this.#followLoad(frame);
      if (frame.type === "items") this.#failures = 0;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#lose({ kind: "protocol", reason: error.message });
      return;
    }
    if (this.#state === "suspect") this.#enter("ready", null);
    const idle = this.#context.ledger.inFlight(this.spec.pipelineId) === 0;
    if (idle) life.doing = null;
  }

  #note(frame: ChildFrame, life: Life): void {
    const nowMs = this.#clock.now();
    life.watch.heard(nowMs, frame.type === "run" ? frame.predictedMs : undefined);
    if ("memoryBytes" in frame) life.memoryBytes = frame.memoryBytes;
    if (frame.type === "report" && life.dialogue.residents.has(frame.model))
      life.cacheBytes.set(frame.model, frame.cacheBytes);
    if (frame.type === "unloaded") life.cacheBytes.delete(frame.model);
    if (frame.type === "run" && this.#state !== "starting") {
      const { model, stage, rows, width, predictedMs } = frame;
      life.doing = { model, stage, rows, width, predictedMs, atMs: nowMs };
    }
  }

  /** With its hello it is up: a spare that can load whatever is asked for. */
  #greet(frame: ChildFrame, life: Life): void {
    const { pipelineId, kind, modelMemoryBytesMax } = this.spec;
    if (frame.type !== "hello") throw new ProtocolError(`said ${frame.type} before its hello`);
    if (frame.version !== framesVersion) {
      throw new ProtocolError(`speaks frames version ${frame.version}, not ${framesVersion}`);
    }
    this.#enter("ready", null);
    this.#checkRegularly(life);
    this.#context.emit({ type: "up", pipelineId, kind, modelMemoryBytesMax });
  }

  #followLoad(frame: ChildFrame): void {
    if (frame.type === "loading") this.#boundLoad(frame.model);
    if (frame.type === "load-failed") {
      const { pipelineId } = this.spec;
      const { model, code, message } = frame;
      this.#context.log.warn({ pipelineId, model }, `could not be loaded: ${code}: ${message}`);
    }
    // Also where the next load was asked for in the same turn: its bound begins when it does.
    if (frame.type === "loaded" || frame.type === "load-failed") this.#cancelLoad();
  }

  /**
   * From when it begins: a run may be under way before it, and whoever is still then is found as he is in a run, with a look at
   * whether somebody stopped him from outside.
   */
  #boundLoad(model: string): void {
    const { startTimeoutMs } = this.#context.options;
    this.#cancelLoad();
    this.#cancelLoad = this.#clock.after(startTimeoutMs, () =>
      this.#lose({
        kind: "load-timeout",
        reason: `${model} was not loaded within ${startTimeoutMs} ms`,
      }),
    );
  }

  /** The next look comes after this one, so that none is missed and none piles up. */
  #checkRegularly(life: Life): void {
    const { checkMs } = this.#context.options;
    this.#cancelCheck = this.#clock.after(
      checkMs,
      () => {
        this.#checkRegularly(life);
        this.#check(life);
      },
      "background",
    );
  }

  #check(life: Life): void {
    const { ledger, memoryKills, options } = this.#context;
    memoryKills.look();
    const nowMs = this.#clock.now();
    const { load } = life.dialogue.residents;
    // A load is bounded by itself, and says nothing until it ends.
    const isIdle = load === null && ledger.inFlight(this.spec.pipelineId) === 0;
    if (isIdle || load?.begun === true) life.watch.heard(nowMs, 0);
    const judgement = life.watch.look(nowMs, () =>
      life.child.pid === null ? null : options.sample(life.child.pid),
    );
    if (judgement.state === "suspect" && this.#state === "ready") {
      this.#enter("suspect", { kind: "hang", reason: judgement.reason });
    } else if (judgement.state === "hung") {
      const { outside, reason } = judgement;
      this.#lose({ kind: outside ? "outside" : "hang", reason });
    }
  }

  /** The process is gone: of itself, or because it was killed after it was lost. */
  #onGone(end: ProcessEnd): void {
    const life = this.#life;
    if (life === null) return;
    if (this.#state === "stopping") {
      this.#life = null;
      this.#enter("stopped", null);
      return;
    }
    const { memoryKills } = this.#context;
    if (!life.lost) this.#lose(causeOfEnd(end, () => memoryKills.explainsDeath()));
    this.#life = null;
    const waitMs = backoffMs(Math.max(1, this.#failures), this.#context.options);
    this.#after(waitMs, () => this.start());
  }

  /** The process is of no use any more. It is killed if it still runs, and its items are settled now. */
  #lose(fault: Fault): void {
    const life = this.#life;
    if (life === null || life.lost || this.#state === "stopping") return;
    this.#failures += 1;
    const { pipelineId } = this.spec;
    const { load } = life.dialogue.residents;
    const loading = load?.begun === true ? load.model : null;
    const { kind } = fault;
    const reason = loading === null ? fault.reason : `${fault.reason}, while it loaded ${loading}`;
    this.#context.log.warn({ pipelineId, pid: life.child.pid, cause: kind }, reason);
    const wasUp = this.#usable() !== null;
    this.#lastEnd = { kind, reason };
    this.#enter("backing-off", this.#lastEnd);
    life.child.kill();
    this.#settle(life, { kind, reason, loading }, wasUp);
  }

  #settle(life: Life, end: End, wasUp: boolean): void {
    life.lost = true;
    life.profiling.end(end.reason);
    const { ledger, options, emit } = this.#context;
    const { pipelineId } = this.spec;
    const { reason, loading } = end;
    const cause: Cause = loading === null ? end : { kind: "load", reason };
    const { dropped, innocent, groups, failed } = ledger.end(pipelineId, cause, options);
    this.#tally.failed += failed.length;
    const model = loading === null ? null : { model: loading, isFault: end.kind !== "outside" };
    if (wasUp) emit({ type: "down", pipelineId, reason, loading: model });
    else emit({ type: "start-failed", pipelineId, reason });
    if (dropped.length > 0) emit({ type: "dropped", pipelineId, itemIds: dropped });
    if (innocent.length + groups.length + failed.length > 0) {
      emit({ type: "returned", pipelineId, innocent, groups, failed });
    }
  }

  #enter(state: PipelineState, fault: Fault | null): void {
    this.#state = state;
    this.#stateSinceMs = this.#clock.now();
    this.#fault = fault;
    if (state === "suspect") return;
    this.#cancelTimer();
    if (state === "ready") return;
    this.#cancelCheck();
    this.#cancelLoad();
    if (state !== "stopped") return;
    for (const resolve of this.#onStopped.splice(0)) resolve();
  }

  #after(delayMs: number, action: () => void): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#clock.after(delayMs, action);
  }
}

function describe(doing: Doing, nowMs: number): PipelineStatus["doing"] {
  const { model, stage, rows, width, predictedMs, atMs } = doing;
  return { model, stage, rows, width, predictedMs, forMs: nowMs - atMs };
}
