/**
 * One pipeline: a worker process after another, each with its own copy of the model.
 *
 *                      ┌────────────────── the wait is over ──────────────────┐
 *                      ▼                                                      │
 *   start() ──► starting ── hello, load, ready ──► ready ◄── it speaks ── suspect
 *                  │                                │  └── far too silent ──► │
 *                  │ no ready in time,              │ it ends or lies         │ it hangs:
 *                  │ load-failed, it ends           ▼                         ▼ killed
 *                  └──────────────────────────► backing-off ◄─────────────────┘
 *
 *   stop() from any state ──► stopping ── the process is gone ──► stopped
 *
 * Each life of a process ends in `#lose`, whatever it died of: the ledger is settled there at once, because nothing
 * that a killed child says counts any more. The next life waits until the process is really gone.
 */
import assert from "node:assert/strict";
import type { PipelineKind, PipelineState, PipelineStatus } from "millrace-client/wire";
import { type ChildFrame, framesVersion } from "../frames/messages.js";
import { ProtocolError } from "../frames/protocol-error.js";
import { type BackoffOptions, backoffMs } from "./backoff.js";
import { Child, type WorkerLog } from "./child.js";
import { type BatchFrame, Dialogue } from "./dialogue.js";
import type { PoolEvent } from "./events.js";
import type { Ledger } from "./ledger.js";
import { type Cause, isFault, settle } from "./settle.js";
import { sampleProcess, Watch, type WatchOptions } from "./watch.js";

export interface PipelineSpec {
  readonly pipelineId: string;
  readonly model: string;
  readonly kind: PipelineKind;
  readonly modelDir: string;
  readonly threads: number;
  readonly rowsMax: number;
}

export interface PipelineOptions extends WatchOptions, BackoffOptions {
  /** The script of the child: the compiled runtime/entry.js. */
  readonly entry: string;
  /** From spawn to ready: boot, load and warm-up together. */
  readonly startTimeoutMs: number;
  /** From `stop` to the end of the process; then it is killed. */
  readonly stopTimeoutMs: number;
  readonly killTimeoutMs: number;
  readonly attemptsMax: number;
  /** Items that one child may hold; what bounds the bytes that wait in its socket. */
  readonly inFlightItemsMax: number;
}

export interface PipelineContext {
  readonly options: PipelineOptions;
  readonly ledger: Ledger;
  readonly log: WorkerLog;
  readonly emit: (event: PoolEvent) => void;
}

type Doing = { readonly atMs: number } & Omit<NonNullable<PipelineStatus["doing"]>, "forMs">;

/** What ends with the process. */
interface Life {
  readonly child: Child;
  readonly dialogue: Dialogue;
  readonly watch: Watch;
  greeted: boolean;
  loads: number;
  memoryBytes: number;
  cacheBytes: number;
  doing: Doing | null;
  /** Settled and without a voice; only its process may still be ending. */
  lost: boolean;
}

const now = (): number => performance.now();

export class Pipeline {
  readonly spec: PipelineSpec;
  readonly #context: PipelineContext;
  #state: PipelineState = "stopped";
  #stateSinceMs: number = now();
  #reason: string | null = null;
  #life: Life | null = null;
  /** Deadline of the start or the stop, or the end of the back-off: a state has at most one of them. */
  #timer: NodeJS.Timeout | undefined;
  #checks: NodeJS.Timeout | undefined;
  #lives = 0;
  /** Lives in a row that did not bring one result. */
  #failures = 0;
  #done = 0;
  #failed = 0;
  #onStopped: (() => void)[] = [];

  constructor(spec: PipelineSpec, context: PipelineContext) {
    this.spec = spec;
    this.#context = context;
  }

  start(): void {
    assert(this.#state === "stopped" || this.#state === "backing-off", "pipeline: started twice");
    this.#enter("starting", this.#reason);
    this.#lives += 1;
    this.#life = this.#spawn();
    const { startTimeoutMs } = this.#context.options;
    this.#after(startTimeoutMs, () => {
      const phase = this.#life?.greeted === true ? "ready" : "hello";
      this.#lose({ kind: "hang", reason: `no ${phase} within ${startTimeoutMs} ms of its start` });
    });
  }

  dispatch(batch: BatchFrame): void {
    const { ledger, options } = this.#context;
    const life = this.#usable();
    assert(
      life !== null,
      `scheduler: ${this.spec.pipelineId} takes no batch, it is ${this.#state}`,
    );
    const held = ledger.inFlight(this.spec.pipelineId);
    assert(
      held + batch.items.length <= options.inFlightItemsMax,
      `scheduler: ${this.spec.pipelineId} would hold more than ${options.inFlightItemsMax} items`,
    );
    if (held === 0) life.watch.heard(now(), 0);
    life.dialogue.dispatch(batch);
  }

  /** For a pipeline that is down there is nothing to cancel: what it held was settled when it went down. */
  cancel(itemIds: readonly number[]): void {
    this.#usable()?.dialogue.cancel(itemIds);
  }

  recall(itemIds: readonly number[]): void {
    this.#usable()?.dialogue.recall(itemIds);
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
      this.#settle(life, { kind: "stopped", reason: "the server is stopping" }, polite);
    }
    if (!polite) {
      life.child.kill();
      return stopped;
    }
    life.child.send({ type: "stop" });
    this.#after(this.#context.options.stopTimeoutMs, () => life.child.kill());
    return stopped;
  }

  status(): PipelineStatus {
    const life = this.#life;
    const doing = life?.doing ?? null;
    const { pipelineId, model, kind } = this.spec;
    return {
      pipelineId,
      model,
      kind,
      state: this.#state,
      reason: this.#reason,
      pid: life?.child.pid ?? null,
      inStateMs: now() - this.#stateSinceMs,
      restarts: Math.max(0, this.#lives - 1),
      loads: life?.loads ?? 0,
      memoryBytes: life?.memoryBytes ?? 0,
      cacheBytes: life?.cacheBytes ?? 0,
      doing: doing === null ? null : describe(doing),
      items: {
        inFlight: this.#context.ledger.inFlight(pipelineId),
        done: this.#done,
        failed: this.#failed,
      },
    };
  }

  #usable(): Life | null {
    return this.#state === "ready" || this.#state === "suspect" ? this.#life : null;
  }

  #spawn(): Life {
    const { options, ledger, log } = this.#context;
    const { pipelineId, model } = this.spec;
    const { entry, killTimeoutMs } = options;
    const child = new Child(
      { entry, pipelineId, log, killTimeoutMs },
      {
        onFrame: (frame) => this.#hear(frame),
        onBroken: (error) => this.#lose({ kind: "protocol", reason: error.message }),
        onEnd: (cause) => this.#onGone(cause),
      },
    );
    const dialogue = new Dialogue({
      pipelineId,
      model,
      ledger,
      now,
      send: (frame) => child.send(frame),
      emit: (event) => this.#count(event),
    });
    const watch = new Watch(options, now());
    return {
      child,
      dialogue,
      watch,
      greeted: false,
      loads: 0,
      memoryBytes: 0,
      cacheBytes: 0,
      doing: null,
      lost: false,
    };
  }

  /** Every frame ends here; a child that lies is lost. */
  #hear(frame: ChildFrame): void {
    const life = this.#life;
    if (life === null || life.lost) return;
    life.watch.heard(now(), frame.type === "run" ? frame.predictedMs : undefined);
    if (frame.type === "run" || frame.type === "ready") life.memoryBytes = frame.memoryBytes;
    if (frame.type === "report") life.cacheBytes = frame.cacheBytes;
    try {
      if (this.#state === "starting") this.#greet(frame, life);
      else life.dialogue.hear(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#lose({ kind: "protocol", reason: error.message });
      return;
    }
    if (this.#state === "suspect") this.#enter("ready", null);
    const idle = this.#context.ledger.inFlight(this.spec.pipelineId) === 0;
    if (idle) life.doing = null;
  }

  /** hello → load → ready; runs and reports in between belong to the warm-up. */
  #greet(frame: ChildFrame, life: Life): void {
    const { modelDir, threads, rowsMax, pipelineId, model, kind } = this.spec;
    if (frame.type === "hello" && !life.greeted) {
      if (frame.version !== framesVersion) {
        throw new ProtocolError(`speaks frames version ${frame.version}, not ${framesVersion}`);
      }
      life.greeted = true;
      life.child.send({ type: "load", version: framesVersion, modelDir, threads, rowsMax });
    } else if (frame.type === "ready" && life.greeted) {
      life.loads = frame.loads;
      this.#enter("ready", null);
      this.#checkRegularly(life);
      this.#context.emit({ type: "up", pipelineId, model, kind, rowsMax });
    } else if (frame.type === "load-failed" && life.greeted) {
      this.#lose({ kind: "crash", reason: `${frame.code}: ${frame.message}` });
    } else if (!life.greeted || (frame.type !== "run" && frame.type !== "report")) {
      throw new ProtocolError(`said ${frame.type} before it was ready`);
    }
  }

  #count(event: PoolEvent): void {
    if (event.type === "outcome") {
      this.#failures = 0;
      if (event.outcome.ok) this.#done += 1;
      else this.#failed += 1;
    }
    const life = this.#life;
    if (event.type === "run" && life !== null) life.doing = { ...event, atMs: now() };
    this.#context.emit(event);
  }

  #checkRegularly(life: Life): void {
    const { ledger, options } = this.#context;
    this.#checks = setInterval(() => {
      const held = ledger.inFlight(this.spec.pipelineId);
      if (held === 0) life.watch.heard(now(), 0);
      const judgement = life.watch.look(now(), () =>
        life.child.pid === null ? null : sampleProcess(life.child.pid),
      );
      if (judgement.state === "suspect" && this.#state === "ready") {
        this.#enter("suspect", judgement.reason);
      } else if (judgement.state === "hung") {
        const { outside, reason } = judgement;
        this.#lose({ kind: outside ? "outside" : "hang", reason });
      }
    }, options.checkMs).unref();
  }

  /** The process is gone: of itself, or because it was killed after it was lost. */
  #onGone(cause: Cause): void {
    const life = this.#life;
    if (life === null) return;
    if (this.#state === "stopping") {
      this.#life = null;
      this.#enter("stopped", null);
      return;
    }
    if (!life.lost) this.#lose(cause);
    this.#life = null;
    const waitMs = backoffMs(Math.max(1, this.#failures), this.#context.options);
    this.#after(waitMs, () => this.start());
  }

  /** The process is of no use any more. It is killed if it still runs, and its items are settled now. */
  #lose(cause: Cause): void {
    const life = this.#life;
    if (life === null || life.lost || this.#state === "stopping") return;
    this.#failures += 1;
    const { pipelineId } = this.spec;
    this.#context.log.warn({ pipelineId, pid: life.child.pid, cause: cause.kind }, cause.reason);
    const wasUp = this.#usable() !== null;
    this.#enter("backing-off", cause.reason);
    life.child.kill();
    this.#settle(life, cause, wasUp);
  }

  #settle(life: Life, cause: Cause, wasUp: boolean): void {
    life.lost = true;
    const { ledger, options, emit } = this.#context;
    const { pipelineId } = this.spec;
    const verdict = settle(ledger.takeAll(pipelineId), cause, options);
    for (const entry of [...verdict.innocent, ...verdict.groups.flat()]) {
      const kills = entry.itemId === verdict.alone && isFault(cause) ? 1 : 0;
      ledger.remember(entry, entry.aloneKills + kills);
    }
    for (const { itemId } of verdict.failed) ledger.forget(itemId);
    for (const itemId of verdict.dropped) ledger.forget(itemId);
    this.#failed += verdict.failed.length;
    emit({ type: wasUp ? "down" : "start-failed", pipelineId, reason: cause.reason });
    if (verdict.dropped.length > 0) {
      emit({ type: "dropped", pipelineId, itemIds: verdict.dropped });
    }
    const innocent = verdict.innocent.map(({ itemId }) => itemId);
    const groups = verdict.groups.map((group) => group.map(({ itemId }) => itemId));
    if (innocent.length + groups.length + verdict.failed.length > 0) {
      emit({ type: "returned", pipelineId, innocent, groups, failed: verdict.failed });
    }
  }

  #enter(state: PipelineState, reason: string | null): void {
    this.#state = state;
    this.#stateSinceMs = now();
    this.#reason = reason;
    if (state === "suspect") return;
    clearTimeout(this.#timer);
    if (state === "ready") return;
    clearInterval(this.#checks);
    if (state !== "stopped") return;
    for (const resolve of this.#onStopped.splice(0)) resolve();
  }

  #after(delayMs: number, action: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, delayMs);
  }
}

function describe({ stage, rows, width, predictedMs, atMs }: Doing): PipelineStatus["doing"] {
  return { stage, rows, width, predictedMs, forMs: now() - atMs };
}
