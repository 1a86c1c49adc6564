import { type Collected, collect, type Run } from "./collect.js";
import { type CourierOptions, deliver, type Errand } from "./courier.js";
import { Scope } from "./scope.js";
import { Sharing, type SharingPolicy } from "./sharing.js";
import type { Arrival, Inputs, Task } from "./task.js";
import { MillraceError, type ReplySummary, type RequestFields } from "./wire/index.js";

export interface Progress {
  readonly done: number;
  readonly total: number;
}

/** What the client adds to the fields of any task. */
export interface CommonOptions {
  /** Aborting it stops the work on the server too. */
  readonly signal?: AbortSignal;
  /** Called after each input, in the order in which they are ready. What it throws fails the call. */
  readonly onProgress?: (progress: Progress) => void;
}

export interface CallsOptions {
  readonly courier: CourierOptions;
  /** Null: each call is its own request. */
  readonly sharing: SharingPolicy | null;
  /** The tenant of every call that names none. */
  readonly tenant: string | undefined;
  /** Aborts with the client. */
  readonly closed: AbortSignal;
}

/** The server answers a little after its own deadline; after this much more the client stops by itself. */
const deadlineGraceMs = 5_000;

/** The calls of one task. */
export class Calls<Result extends object> {
  readonly #options: CallsOptions;
  readonly #run: Run<Result>;
  readonly #sharing: Sharing<Result> | null;

  constructor(task: Task<Result>, options: CallsOptions) {
    const { courier, sharing } = options;
    this.#options = options;
    this.#run = (errand) => deliver(courier, task, errand);
    this.#sharing =
      sharing === null ? null : new Sharing(sharing, courier.bulkThreshold, this.#run);
  }

  /** Everything, when the last result is there. */
  async collect(
    inputs: Inputs,
    options: RequestFields & CommonOptions,
  ): Promise<Collected<Result>> {
    const { fields, onProgress, scope } = this.#begin(options);
    const total = inputs.values.length;
    let done = 0;
    const onArrival = (): void => {
      done += 1;
      onProgress?.({ done, total });
    };
    const errand: Errand = { inputs, fields, signal: scope.signal, summaryNeeded: true };
    const rider = { errand, onArrival };
    try {
      return this.#sharing === null
        ? await collect(this.#run, rider)
        : await this.#sharing.collect(rider);
    } finally {
      scope.end();
    }
  }

  /** Each result as it is ready; returns the summary. */
  async *stream(
    inputs: Inputs,
    options: RequestFields & CommonOptions,
  ): AsyncGenerator<Arrival<Result>, ReplySummary, undefined> {
    const { fields, onProgress, scope } = this.#begin(options);
    const total = inputs.values.length;
    const stream = this.#run({ inputs, fields, signal: scope.signal, summaryNeeded: true });
    try {
      for (let done = 1; ; done += 1) {
        const next = await stream.next();
        if (next.done === true) return next.value;
        onProgress?.({ done, total });
        yield next.value;
      }
    } finally {
      await stream.return(undefined as never);
      scope.end();
    }
  }

  #begin({ signal, onProgress, ...named }: RequestFields & CommonOptions) {
    const { tenant, closed } = this.#options;
    const fields: RequestFields = tenant === undefined ? named : { tenant, ...named };
    const scope = new Scope([signal, closed]);
    const { timeoutMs } = fields;
    if (timeoutMs !== undefined) {
      scope.limit(
        timeoutMs + deadlineGraceMs,
        () => new MillraceError("deadline_exceeded", `No answer within ${timeoutMs} ms.`),
      );
    }
    return { fields, onProgress, scope };
  }
}
