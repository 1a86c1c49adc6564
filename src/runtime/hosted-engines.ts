/**
 * The engines of one process, by model: what each is given, and whose run is next. Loads and unloads follow each other in
 * the order in which they were asked for, and nothing is begun meanwhile: a process that ends while it loads is known to have
 * ended of that. Only what threads were at before goes on, such as a large picture that is decoded: a load that waited for it
 * would keep all others waiting.
 */
import type { ChildFrame, FrameOutcome, ParentFrame } from "../frames/messages.js";
import { messageOf } from "../work/thrown.js";
import type { Engine, EngineEvents } from "./engine.js";
import { EngineTurns, type TurnTaker } from "./engine-turns.js";
import { loadFailureCode } from "./load-failure.js";

type LoadFrame = Extract<ParentFrame, { readonly type: "load" }>;
type BatchFrame = Extract<ParentFrame, { readonly type: "batch" }>;

export interface HostedEnginesOptions {
  readonly loadEngine: (
    request: LoadFrame & { readonly isProven: boolean },
    events: EngineEvents,
  ) => Promise<Engine>;
  readonly send: (frame: ChildFrame) => void;
  readonly onRun: (model: string, run: Parameters<EngineEvents["onRun"]>[0]) => void;
  /** Resident memory of this process, and what of it is nobody else's. */
  readonly memoryBytes: () => number;
  readonly ownMemoryBytes: () => number;
  /** An engine broke a promise of its own, or the parent one of its. */
  readonly die: (error: unknown) => void;
}

const reportMs = 1_000;
/** Models whose loads are counted: each version of a folder that changes is another one. */
const countedMax = 1_024;

export class HostedEngines {
  readonly #options: HostedEnginesOptions;
  readonly #hosted = new Map<string, HostedEngine>();
  readonly #turns = new EngineTurns<HostedEngine>();
  /** How often each was loaded. */
  readonly #loads = new Map<string, number>();
  /** What is asked to be loaded or unloaded and is not yet, one after the other. */
  #changes: Promise<void> = Promise.resolve();
  #changing = 0;
  /** The step that is under way, or the last one. */
  #step: Promise<void> = Promise.resolve();
  #stepping: HostedEngine | null = null;
  /** The loop runs; it ends by itself when no engine has anything to do. */
  #running = false;

  constructor(options: HostedEnginesOptions) {
    this.#options = options;
  }

  load(frame: LoadFrame): void {
    this.#change(() => this.#load(frame));
  }

  unload(model: string): void {
    this.#change(() => this.#unload(model));
  }

  admit({ model, class: workClass, items }: BatchFrame): void {
    const hosted = this.#of(model);
    if (workClass === "realtime") for (const { itemId } of items) hosted.realtime.add(itemId);
    hosted.engine.admit(workClass, items);
    // A step that only waits for threads would hold the loop until the first of them is through.
    this.#stepping?.engine.wake?.();
    this.#go();
  }

  cancel(itemIds: readonly number[]): void {
    for (const hosted of this.#hosted.values()) {
      hosted.engine.cancel(itemIds);
      hosted.left(itemIds);
    }
  }

  recall(itemIds: readonly number[]): number[] {
    return [...this.#hosted.values()].flatMap((hosted) => {
      const taken = hosted.engine.recall(itemIds);
      hosted.left(taken);
      return taken;
    });
  }

  begunItemIds(): number[] {
    return [...this.#hosted.values()].flatMap(({ engine }) => engine.begunItemIds());
  }

  #change(action: () => Promise<void>): void {
    this.#changing += 1;
    this.#rest(true);
    this.#changes = this.#changes
      .then(action)
      .catch(this.#options.die)
      .then(() => {
        this.#changing -= 1;
        if (this.#changing === 0) this.#rest(false);
        this.#go();
      });
  }

  #rest(resting: boolean): void {
    for (const { engine } of this.#hosted.values()) engine.rest?.(resting);
  }

  /** The run that is under way, if there is one, was announced: it may end first. */
  async #runEnds(): Promise<void> {
    this.#stepping?.engine.wake?.();
    await this.#step;
  }

  async #load(frame: LoadFrame): Promise<void> {
    const { loadEngine, send, onRun, memoryBytes, ownMemoryBytes } = this.#options;
    const { model } = frame;
    if (this.#hosted.has(model)) throw new Error(`the parent loads ${model} twice`);
    await this.#runEnds();
    send({ type: "loading", model });
    const startedAtMs = performance.now();
    // What is mapped for all pipelines is known before (models/folder-bytes.ts): here counts what comes to it.
    const before = ownMemoryBytes();
    try {
      const isProven = this.#loads.has(model);
      const engine = await loadEngine(
        { ...frame, isProven },
        {
          onRun: (run) => onRun(model, run),
          onOutcomes: (outcomes) => this.#onOutcomes(model, outcomes),
        },
      );
      this.#hosted.set(model, new HostedEngine(model, engine));
    } catch (error) {
      const code = loadFailureCode(error);
      const message = messageOf(error);
      send({ type: "load-failed", model, code, message });
      return;
    }
    const loads = (this.#loads.get(model) ?? 0) + 1;
    this.#count(model, loads);
    const ms = performance.now() - startedAtMs;
    const modelBytes = Math.max(0, ownMemoryBytes() - before);
    send({ type: "loaded", model, loads, modelBytes, memoryBytes: memoryBytes(), ms });
  }

  #count(model: string, loads: number): void {
    this.#loads.delete(model);
    this.#loads.set(model, loads);
    const [oldest] = this.#loads.keys();
    if (this.#loads.size > countedMax && oldest !== undefined) this.#loads.delete(oldest);
  }

  async #unload(model: string): Promise<void> {
    const hosted = this.#of(model);
    await this.#runEnds();
    hosted.engine.rest?.(false);
    // What is left in it was cancelled and confirmed: it goes with the next step.
    while (!hosted.engine.idle) await hosted.engine.step();
    this.#hosted.delete(model);
    await hosted.engine.release();
    this.#options.send({ type: "unloaded", model, memoryBytes: this.#options.memoryBytes() });
  }

  #onOutcomes(model: string, outcomes: readonly FrameOutcome[]): void {
    if (outcomes.length === 0) return;
    this.#hosted.get(model)?.left(outcomes.map(({ itemId }) => itemId));
    this.#options.send({ type: "items", outcomes });
  }

  #go(): void {
    if (this.#running) return;
    this.#running = true;
    this.#run().catch(this.#options.die);
  }

  async #run(): Promise<void> {
    for (let next = this.#next(); next !== null; next = this.#next()) {
      const { hosted, active } = next;
      const startedAtMs = performance.now();
      const step = hosted.engine.step();
      this.#stepping = hosted;
      this.#step = step.catch(() => {});
      await step;
      this.#stepping = null;
      const endedAtMs = performance.now();
      this.#turns.ran(hosted, endedAtMs - startedAtMs, active);
      if (hosted.engine.idle || endedAtMs - hosted.reportedAtMs > reportMs) this.#report(hosted);
    }
    this.#running = false;
  }

  /** Null: nothing is to do now. While something is loaded or waits to be, it has the process for itself. */
  #next(): { readonly hosted: HostedEngine; readonly active: readonly HostedEngine[] } | null {
    if (this.#changing > 0) return null;
    const busy = [...this.#hosted.values()].filter(({ engine }) => !engine.idle);
    const runnable = busy.filter(({ engine }) => engine.runnable !== false);
    // Where all of them wait for threads, the step of one waits with it.
    const active = runnable.length > 0 ? runnable : busy;
    const hosted = this.#turns.next(active);
    return hosted === null ? null : { hosted, active };
  }

  /** What was measured since the last report; while it works once a second, and when it idles. */
  #report(hosted: HostedEngine): void {
    hosted.reportedAtMs = performance.now();
    const { model, engine } = hosted;
    const stages = engine.takeReport();
    if (stages.length === 0) return;
    this.#options.send({ type: "report", model, stages, cacheBytes: engine.memoryBytes });
  }

  #of(model: string): HostedEngine {
    const hosted = this.#hosted.get(model);
    if (hosted === undefined) throw new Error(`the parent speaks of ${model}, which is not loaded`);
    return hosted;
  }
}

class HostedEngine implements TurnTaker {
  readonly model: string;
  readonly engine: Engine;
  /** Its realtime items that have no outcome yet. */
  readonly realtime: Set<number> = new Set();
  reportedAtMs = 0;

  constructor(model: string, engine: Engine) {
    this.model = model;
    this.engine = engine;
  }

  get hasRealtime(): boolean {
    return this.realtime.size > 0;
  }

  predictedMs(): number {
    return this.engine.predictedMs();
  }

  left(itemIds: readonly number[]): void {
    for (const itemId of itemIds) this.realtime.delete(itemId);
  }
}
