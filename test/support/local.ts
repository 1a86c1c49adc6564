/** The whole way from submit to real child processes, with a tokenizer that reads numbers. */
import type { PreparedText, PrepareRequest } from "#src/prepare/prepared.js";
import { LocalSubmit, type LocalSubmitOptions } from "#src/submit/local.js";
import type { SubmitOutcome, SubmitRequest, SubmitSummary } from "#src/submit/submit.js";
import type { PoolEvent } from "#src/worker/events.js";
import { Pool, type PoolOptions } from "#src/worker/pool.js";
import { FifoScheduler } from "./fifo-scheduler.js";
import { EventLog, type FakeModel, fakeEntry, quickOptions, quiet } from "./pool.js";

/** A text is sentences of numbers that end with a full stop: `1 2 3. 4 5.`; `bad` is refused. */
export function prepareNumbers({ inputs }: PrepareRequest): PreparedText[] {
  if (inputs.kind === "tokenIds") {
    return inputs.tokenIds.map((tokenIds) => ({
      ok: true,
      pieces: [{ tokenIds, joiner: "" }],
      prefix: "",
      truncated: false,
    }));
  }
  return inputs.texts.map((text): PreparedText => {
    if (text === "bad") {
      const error = { code: "input_too_long", message: "bad", retryable: false } as const;
      return { ok: false, error };
    }
    const pieces = [...text.matchAll(/([\d ]+)\.(\s*)/g)].map((match) => ({
      tokenIds: (match[1] ?? "").trim().split(" ").map(Number),
      joiner: match[2] ?? "",
    }));
    return { ok: true, pieces, prefix: "", truncated: false };
  });
}

export interface FakeLocalOptions {
  readonly model: FakeModel;
  readonly count?: number;
  readonly local?: Partial<LocalSubmitOptions>;
  readonly pool?: Partial<PoolOptions>;
}

export class FakeLocal implements AsyncDisposable {
  readonly events: EventLog = new EventLog();
  readonly scheduler: FifoScheduler = new FifoScheduler();
  readonly local: LocalSubmit;
  #pool: Pool | undefined;

  constructor({ model, count = 2, local = {}, pool = {} }: FakeLocalOptions) {
    const pipelines = Array.from({ length: count }, (_, index) => ({
      pipelineId: `p${index}`,
      model: "fake",
      kind: "shared" as const,
      modelDir: model.dir,
      threads: 1,
      rowsMax: 8,
    }));
    const served = {
      name: "fake",
      mode: "generation",
      defaults: { lengthPenalty: 1, maxLength: 9 },
      outputTokensMax: 512,
    } as const;
    this.local = new LocalSubmit({
      models: new Map([["fake", served]]),
      prepare: {
        prepare: (request) => Promise.resolve(prepareNumbers(request)),
        detokenize: (_, tokenIds) => tokenIds.join(" "),
      },
      scheduler: this.scheduler,
      makePool: (onEvent) => {
        const options = { entry: fakeEntry, log: quiet, pipelines, ...quickOptions, ...pool };
        this.#pool = new Pool(options, (event: PoolEvent) => {
          onEvent(event);
          this.events.push(event);
        });
        return this.#pool;
      },
      limits: { queuedItemsMax: 10_000, queuedBytesMax: 1_000_000 },
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
    more: Partial<SubmitRequest> & { signal?: AbortSignal } = {},
  ): Promise<{ outcomes: SubmitOutcome[]; summary: SubmitSummary }> {
    const outcomes: SubmitOutcome[] = [];
    const { signal = new AbortController().signal, ...fields } = more;
    const request: SubmitRequest = {
      id: "r",
      model: null,
      inputs: { kind: "texts", texts },
      class: null,
      tenant: "default",
      deadlineAtMs: null,
      truncate: false,
      split: true,
      settings: {},
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
