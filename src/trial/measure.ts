/** Runs one layout for a moment: real pipelines' processes, real work, and how much of it they get done. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ChildFrame } from "../frames/messages.js";
import { systemClock } from "../work/clock.js";
import type { Payload } from "../work/payload.js";
import { withResolvers } from "../work/with-resolvers.js";
import { type ChildPort, spawnChild } from "../worker/child.js";
import type { WorkerLog } from "../worker/log-lines.js";
import type { CoreLayout } from "./layouts.js";

/** A model, and a way to make work for it: what its task is, nobody here knows. */
export interface TrialModel {
  readonly modelDir: string;
  /** Items of usual sizes, a little different each. */
  readonly sample: (index: number) => Payload;
}

export interface MeasureOptions {
  /** The script of the child: the compiled runtime/entry.js. */
  readonly entry: string;
  readonly entryArguments: readonly string[];
  readonly rowsMax: number;
  readonly log: WorkerLog;
  /** What is measured, after all pipelines have begun to answer. */
  readonly windowMs: number;
  readonly signal: AbortSignal;
}

const killTimeoutMs = 2_000;
/** What the trial calls it. */
const modelName = "trial";

/** Items per second. Whatever the end, no process is left. @throws what a process died of, or the signal's reason. */
export async function measureLayout(
  layout: CoreLayout,
  model: TrialModel,
  options: MeasureOptions,
): Promise<number> {
  const { signal, windowMs } = options;
  const workers = Array.from(
    { length: layout.pipelines },
    (_, index) => new TrialWorker(index, { layout, model, options }),
  );
  const failed = Promise.race(workers.map((worker) => worker.failed));
  // The signal lives longer than this: nothing may listen to it afterwards.
  const over = new AbortController();
  const aborted = rejectedBy(signal, over.signal);
  const orFailed = <T>(work: Promise<T>): Promise<T> => Promise.race([work, failed, aborted]);
  try {
    await orFailed(Promise.all(workers.map((worker) => worker.ready)));
    // Together, and what comes first is not counted: the engines fill.
    for (const worker of workers) worker.begin();
    await orFailed(Promise.all(workers.map((worker) => worker.answers)));
    const done = (): number => workers.reduce((sum, worker) => sum + worker.done, 0);
    const before = done();
    const startedAtMs = performance.now();
    await orFailed(sleep(windowMs));
    return ((done() - before) / (performance.now() - startedAtMs)) * 1000;
  } finally {
    over.abort();
    for (const worker of workers) worker.kill();
    await Promise.all(workers.map((worker) => worker.ended));
  }
}

function rejectedBy(signal: AbortSignal, until: AbortSignal): Promise<never> {
  const rejected = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    else signal.addEventListener("abort", () => reject(signal.reason as Error), { signal: until });
  });
  rejected.catch(() => {});
  return rejected;
}

interface WorkerParts {
  readonly layout: CoreLayout;
  readonly model: TrialModel;
  readonly options: MeasureOptions;
}

/** One process that always has as many items as it has rows. */
class TrialWorker {
  done = 0;
  readonly #parts: WorkerParts;
  readonly #port: ChildPort;
  #sent = 0;
  readonly #ready = withResolvers();
  readonly #answers = withResolvers();
  readonly #failed = withResolvers<never>();
  readonly #ended = withResolvers();

  constructor(index: number, parts: WorkerParts) {
    this.#parts = parts;
    this.failed.catch(() => {});
    const { entry, entryArguments, log } = parts.options;
    const pipelineId = `trial-${index + 1}`;
    this.#port = spawnChild(
      { entry, entryArguments, pipelineId, log, clock: systemClock, killTimeoutMs },
      {
        onFrame: (frame) => this.#hear(frame),
        onBroken: (error) => this.#failed.reject(error),
        onTooLarge: () => this.#failed.reject(new Error("an item of the trial fits into no frame")),
        onEnd: () => {
          this.#failed.reject(new Error("a process of the trial ended"));
          this.#ended.resolve();
        },
      },
    );
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Its first results are there. */
  get answers(): Promise<void> {
    return this.#answers.promise;
  }

  /** Rejects; never resolves. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  begin(): void {
    this.#send(this.#parts.options.rowsMax);
  }

  kill(): void {
    this.#port.kill();
  }

  #hear(frame: ChildFrame): void {
    const { layout, model, options } = this.#parts;
    switch (frame.type) {
      case "hello": {
        const { modelDir } = model;
        const how = { version: "", seen: "", threads: layout.threads, rowsMax: options.rowsMax };
        this.#port.send({ type: "load", model: modelName, modelDir, ...how });
        return;
      }
      case "loaded":
        this.#ready.resolve();
        return;
      case "load-failed":
        this.#failed.reject(new Error(frame.message));
        return;
      case "items": {
        const bad = frame.outcomes.find((outcome) => !outcome.ok);
        if (bad?.ok === false) this.#failed.reject(new Error(bad.message));
        this.done += frame.outcomes.length;
        this.#answers.resolve();
        this.#send(frame.outcomes.length);
        return;
      }
      case "loading":
      case "unloaded":
      case "run":
      case "report":
      case "recalled":
      case "profiled":
      case "profile-failed":
        return;
    }
  }

  #send(count: number): void {
    const items = Array.from({ length: count }, (_, index) => {
      const itemId = this.#sent + index;
      return { itemId, payload: this.#parts.model.sample(itemId) };
    });
    this.#sent += count;
    this.#port.send({
      type: "batch",
      model: modelName,
      batchId: this.#sent,
      class: "bulk",
      items,
    });
  }
}
