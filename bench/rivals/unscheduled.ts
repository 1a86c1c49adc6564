/**
 * The seeds' baseline with Millrace's kernels: long-lived processes, each with an engine of one thread, and nobody who schedules. A caller's
 * sentences go to a process that is free, as one batch; where none is, they wait until one is, in the order in which they came.
 */
import type { EngineSpec } from "./engine-child.js";
import { startEngine } from "./residents.js";
import type { Translator, TurnResult } from "./turn.js";

export interface UnscheduledBatch {
  readonly tokenIds: readonly (readonly number[])[];
  readonly beams: number;
}

export class Unscheduled implements AsyncDisposable {
  readonly #processes: readonly Translator[];
  readonly #free: Translator[];
  readonly #waiting: ((process: Translator) => void)[] = [];

  private constructor(processes: readonly Translator[]) {
    this.#processes = processes;
    this.#free = [...processes];
  }

  static async start(
    spec: Omit<EngineSpec, "idsFile" | "threads">,
    processes: number,
  ): Promise<Unscheduled> {
    const started: Translator[] = [];
    try {
      for (let count = 0; count < processes; count += 1) {
        started.push(await startEngine({ ...spec, threads: 1, idsFile: null }));
      }
      return new Unscheduled(started);
    } catch (error) {
      for (const process of started) await process[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Rejects where the process ends, which is not used any more then. */
  async translate({ tokenIds, beams }: UnscheduledBatch): Promise<TurnResult> {
    const process = await this.#take();
    const result = await process.translate({
      mode: "all",
      beams,
      count: tokenIds.length,
      tokenIds,
    });
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(process);
    else next(process);
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes) await process[Symbol.asyncDispose]();
  }

  async #take(): Promise<Translator> {
    const free = this.#free.shift();
    if (free !== undefined) return free;
    return await new Promise((resolve) => this.#waiting.push(resolve));
  }
}
