/** The whole way from submit to real child processes, with a task that reads numbers. */
import { LocalSubmit, type LocalSubmitOptions } from "#src/submit/local/local-submit.js";
import type {
  InputOutcome,
  SubmitOutcome,
  SubmitRequest,
  SubmitSummary,
} from "#src/submit/submit.js";
import type { PoolEvent } from "#src/worker/events.js";
import { Pool, type PoolOptions } from "#src/worker/pool.js";
import { FifoScheduler } from "./fifo-scheduler.js";
import { numbersTask, prepareAtOnce } from "./numbers-task.js";
import { EventLog, type FakeModel, fakeEntry, pipelinesOf, quickOptions, quiet } from "./pool.js";

export interface FakeLocalOptions {
  readonly model: FakeModel;
  readonly count?: number;
  /** Of the model. Default: 8. */
  readonly rowsMax?: number;
  readonly local?: Partial<LocalSubmitOptions>;
  readonly pool?: Partial<PoolOptions>;
}

export class FakeLocal implements AsyncDisposable {
  readonly events: EventLog = new EventLog();
  readonly scheduler: FifoScheduler = new FifoScheduler();
  readonly local: LocalSubmit;
  #pool: Pool | undefined;

  constructor({ model, count = 2, rowsMax = 8, local = {}, pool = {} }: FakeLocalOptions) {
    const pipelines = pipelinesOf(count);
    const { task, model: taskModel } = numbersTask();
    this.local = new LocalSubmit({
      tasks: new Map([[task.name, task]]),
      models: new Map([["fake", { ...fakeHosted(model.dir, rowsMax), task, taskModel }]]),
      prepare: prepareAtOnce(taskModel),
      scheduler: this.scheduler,
      makePool: (onEvent) => {
        const options = { entry: fakeEntry, log: quiet, pipelines, ...quickOptions, ...pool };
        this.#pool = new Pool(options, (event: PoolEvent) => {
          onEvent(event);
          this.events.push(event);
        });
        return this.#pool;
      },
      limits: { queuedItemsMax: 10_000, queuedBytesMax: 10_000_000, requestInputsMax: 10_000 },
      bulkThreshold: 256,
      ...local,
    });
    this.local.start();
  }

  get pool(): Pool {
    if (this.#pool === undefined) throw new Error("no pool was made");
    return this.#pool;
  }

  /** Collects the outcomes; `seen` has how often each text had one. */
  async submit(
    texts: readonly string[],
    more: Partial<SubmitRequest> & {
      readonly signal?: AbortSignal;
      readonly settings?: Readonly<Record<string, unknown>>;
    } = {},
  ): Promise<{ outcomes: SubmitOutcome[]; summary: SubmitSummary }> {
    const outcomes: SubmitOutcome[] = [];
    const { signal = new AbortController().signal, settings = {}, ...fields } = more;
    const request: SubmitRequest = {
      id: "r",
      task: "numbers",
      model: null,
      fields: { texts, ...settings },
      class: null,
      tenant: "default",
      deadlineAtMs: null,
      payloadBytes: 10,
      ...fields,
    };
    const summary = await this.local.submit(request, signal, {
      onOutcome: (outcome) => outcomes.push(outcome),
    });
    return { outcomes: outcomes.toSorted((a, b) => a.index - b.index), summary };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.local.stop({ drainMs: 0 });
  }
}

/** How pipelines know the fake runtime's model. */
export function fakeHosted(modelDir = "", rowsMax = 8) {
  const size = { bytes: 1_000, keep: "preloaded", rowsMax } as const;
  return { key: "fake", name: "fake", modelDir, mode: "continuous", ...size } as const;
}

/** The text of a result of the numbers task, or the code of the error. */
export function textOrCode({ outcome }: { readonly outcome: InputOutcome }): string {
  if ("error" in outcome) return outcome.error.code;
  const { text } = outcome.value.values;
  return typeof text === "string" ? text : "";
}
