/**
 * READ FIRST. All pipelines of this server, and the ledger of what they hold. The pool has no opinion on who
 * gets what: it does what its owner decides, and says what became of it. docs/inside/ledger.md tells how.
 *
 *   owner ── load, dispatch, cancel, … ──► Dialogue ── frames ──► child
 *     ▲                                   │ writes and strikes out
 *     │                                   ▼
 *     └─────────── PoolEvent ──────────── Ledger ◄── what a dead pipeline held: settle.ts ── Pipeline
 */
import assert from "node:assert/strict";
import type { PipelineStatus, SampledProfile } from "millrace-client/wire";
import type { FrameBatch } from "../frames/messages.js";
import { platform } from "../platform/platform.js";
import type { MemoryKillCounter } from "../platform/system.js";
import type { AskedSampling } from "../profile/profiles.js";
import { systemClock } from "../work/clock.js";
import { spawnChild } from "./child.js";
import type { PoolEvent } from "./events.js";
import { Ledger } from "./ledger.js";
import type { WorkerLog } from "./log-lines.js";
import { MemoryKills } from "./memory-kills.js";
import { type LoadRequest, Pipeline, type PipelineOptions, type PipelineSpec } from "./pipeline.js";

export interface PoolOptions extends Partial<PipelineOptions> {
  readonly entry: string;
  readonly pipelines: readonly PipelineSpec[];
  readonly log: WorkerLog;
  /** The kernel's own unless a test or the simulator has another. */
  readonly memoryKillCounter?: MemoryKillCounter;
}

const poolDefaults: Omit<PipelineOptions, "entry"> = {
  entryArguments: [],
  startTimeoutMs: 120_000,
  stopTimeoutMs: 2_000,
  killTimeoutMs: 5_000,
  backoffMinMs: 100,
  backoffMaxMs: 10_000,
  random: Math.random,
  clock: systemClock,
  spawn: spawnChild,
  sample: platform.sampleProcess,
  checkMs: 500,
  hangFloorMs: 2_000,
  hangFactor: 10,
  stillChecksMax: 4,
  runMsMax: 60_000,
  attemptsMax: 8,
};

export class Pool {
  readonly #pipelines: ReadonlyMap<string, Pipeline>;
  readonly #ledger = new Ledger();
  readonly #options: PipelineOptions;
  readonly #onEvent: (event: PoolEvent) => void;
  #onEmpty: (() => void) | null = null;
  #stopped: Promise<void> | null = null;

  constructor(options: PoolOptions, onEvent: (event: PoolEvent) => void) {
    this.#onEvent = onEvent;
    this.#options = { ...poolDefaults, ...options };
    const counter = options.memoryKillCounter ?? platform.memoryKillCounter();
    const context = {
      options: this.#options,
      ledger: this.#ledger,
      memoryKills: new MemoryKills(this.#options.clock, counter),
      log: options.log,
      emit: (event: PoolEvent) => this.#emit(event),
    };
    this.#pipelines = new Map(
      options.pipelines.map((spec) => [spec.pipelineId, new Pipeline(spec, context)]),
    );
  }

  /** Starts all pipelines; each reports `up` for itself. */
  start(): void {
    for (const pipeline of this.#pipelines.values()) pipeline.start();
  }

  /** The pipeline is up; `loaded` or `load-failed` follows, or its end. */
  load(pipelineId: string, request: LoadRequest): void {
    this.#pipeline(pipelineId).load(request);
  }

  /** The pipeline has the model and holds nothing of it; what it frees is there for a load that follows. */
  unload(pipelineId: string, model: string): void {
    const dialogue = this.#pipeline(pipelineId).dialogue;
    assert(dialogue !== null, `scheduler: ${pipelineId} unloads nothing, it is not up`);
    dialogue.unload(model);
  }

  /**
   * The pipeline must be up and no pipeline may have the items; that it is otherwise is a bug of the caller, who was told.
   * Nothing else is refused: how much a pipeline holds is its owner's decision, and what waits for it is no bytes yet.
   */
  dispatch(pipelineId: string, batch: FrameBatch): void {
    const dialogue = this.#pipeline(pipelineId).dialogue;
    assert(dialogue !== null, `scheduler: ${pipelineId} takes no batch, it is not up`);
    dialogue.give(batch);
  }

  /**
   * Nobody waits for these. `dropped` follows for each that the pipeline holds; for one that is down there is nothing to
   * cancel, what it held was settled when it went down.
   */
  cancel(pipelineId: string, itemIds: readonly number[]): void {
    this.#pipeline(pipelineId).dialogue?.cancel(itemIds);
  }

  /** Asks for those back that the pipeline has not begun; they come as `returned`. */
  recall(pipelineId: string, itemIds: readonly number[]): void {
    this.#pipeline(pipelineId).dialogue?.recall(itemIds);
  }

  /** These items ended while no pipeline held them; what they went through need not be remembered. */
  forget(itemIds: readonly number[]): void {
    for (const itemId of itemIds) this.#ledger.forget(itemId);
  }

  /** As `Pipeline.profile`; null where there is no such pipeline. */
  profile(pipelineId: string, asked: AskedSampling): Promise<SampledProfile> | null {
    return this.#pipelines.get(pipelineId)?.profile(asked) ?? null;
  }

  get pipelineIds(): readonly string[] {
    return [...this.#pipelines.keys()];
  }

  /** From memory. */
  snapshot(): PipelineStatus[] {
    return [...this.#pipelines.values()].map((pipeline) => pipeline.status());
  }

  /** Items in pipelines, and items remembered between two attempts. */
  get held(): { readonly inFlight: number; readonly remembered: number } {
    return { inFlight: this.#ledger.size, remembered: this.#ledger.remembered };
  }

  /**
   * Waits until the pipelines hold nothing, at most `drainMs`, then ends them all. What they hold then is
   * `returned` as innocent. A second call waits for the first.
   */
  stop({ drainMs }: { readonly drainMs: number }): Promise<void> {
    this.#stopped ??= this.#stop(drainMs);
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop({ drainMs: 0 });
  }

  async #stop(drainMs: number): Promise<void> {
    if (this.#ledger.size > 0 && drainMs > 0) {
      await new Promise<void>((resolve) => {
        const cancelTimer = this.#options.clock.after(drainMs, resolve);
        this.#onEmpty = () => {
          cancelTimer();
          resolve();
        };
      });
      this.#onEmpty = null;
    }
    await Promise.all([...this.#pipelines.values()].map((pipeline) => pipeline.stop()));
  }

  #emit(event: PoolEvent): void {
    this.#onEvent(event);
    if (this.#ledger.size === 0) this.#onEmpty?.();
  }

  #pipeline(pipelineId: string): Pipeline {
    const pipeline = this.#pipelines.get(pipelineId);
    assert(pipeline !== undefined, `scheduler: there is no pipeline ${pipelineId}`);
    return pipeline;
  }
}
