/**
 * All pipelines of this server, and the ledger of what they hold. The pool has no opinion on who gets what: it does
 * what its owner decides, and says what became of it.
 */
import assert from "node:assert/strict";
import type { PipelineStatus } from "millrace-client/wire";
import type { WorkerLog } from "./child.js";
import type { BatchFrame } from "./dialogue.js";
import type { PoolEvent } from "./events.js";
import { Ledger } from "./ledger.js";
import { Pipeline, type PipelineOptions, type PipelineSpec } from "./pipeline.js";

export interface PoolOptions extends Partial<PipelineOptions> {
  readonly entry: string;
  readonly pipelines: readonly PipelineSpec[];
  readonly log: WorkerLog;
}

export const poolDefaults: Omit<PipelineOptions, "entry"> = {
  startTimeoutMs: 120_000,
  stopTimeoutMs: 2_000,
  killTimeoutMs: 5_000,
  backoffMinMs: 100,
  backoffMaxMs: 10_000,
  random: Math.random,
  checkMs: 500,
  hangFloorMs: 2_000,
  hangFactor: 10,
  stillChecksMax: 4,
  runMsMax: 60_000,
  attemptsMax: 8,
  inFlightItemsMax: 4_096,
};

export class Pool {
  readonly #pipelines: ReadonlyMap<string, Pipeline>;
  readonly #ledger = new Ledger();
  readonly #onEvent: (event: PoolEvent) => void;
  #onEmpty: (() => void) | null = null;
  #stopped: Promise<void> | null = null;

  constructor(options: PoolOptions, onEvent: (event: PoolEvent) => void) {
    this.#onEvent = onEvent;
    const context = {
      options: { ...poolDefaults, ...options },
      ledger: this.#ledger,
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

  /** The pipeline must be up; that it is not is a bug of the caller, who was told. */
  dispatch(pipelineId: string, batch: BatchFrame): void {
    this.#pipeline(pipelineId).dispatch(batch);
  }

  /** Nobody waits for these. `dropped` follows for each that the pipeline holds. */
  cancel(pipelineId: string, itemIds: readonly number[]): void {
    this.#pipeline(pipelineId).cancel(itemIds);
  }

  /** Asks for those back that the pipeline has not begun; they come as `returned`. */
  recall(pipelineId: string, itemIds: readonly number[]): void {
    this.#pipeline(pipelineId).recall(itemIds);
  }

  /** These items ended while no pipeline held them; what they went through need not be remembered. */
  forget(itemIds: readonly number[]): void {
    for (const itemId of itemIds) this.#ledger.forget(itemId);
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
        const timer = setTimeout(resolve, drainMs);
        this.#onEmpty = () => {
          clearTimeout(timer);
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
