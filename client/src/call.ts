import { type Collected, collect, type Run } from "./collect.js";
import { type CourierOptions, deliver, type Errand } from "./courier.js";
import { type CuttingOptions, type EachSummary, runEach, type Source } from "./each.js";
import { policyOf } from "./policy.js";
import { Scope } from "./scope.js";
import { Sharing, type SharingPolicy } from "./sharing.js";
import type { Arrival, Gathering, Indexed, Inputs, Task } from "./task.js";
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

/** What the client adds where a source of any length is worked through. */
export interface EachOptions extends CuttingOptions {
  /** Aborting it stops the work on the server too. */
  readonly signal?: AbortSignal;
  /** Called after each outcome, in the order in which they are ready. What it throws fails the call. */
  readonly onProgress?: (progress: Pick<Progress, "done">) => void;
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

/** How many requests of one source are under way, unless its caller says otherwise. */
const requestsAtOnceDefault = 4;

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

  /**
   * The outcomes of a source of any length, in its order. A request that fails as a whole ends it, unless one of its
   * inputs is to blame: that one fails alone. Ends what is under way when the loop is left.
   */
  async *each<Value>(
    source: Source<Value>,
    gathering: Gathering<Value>,
    options: RequestFields & EachOptions,
  ): AsyncGenerator<Arrival<Result>, EachSummary, undefined> {
    const { requestInputsMax, requestSizeMax, requestsAtOnce, onProgress, signal, ...named } =
      options;
    const defaults = {
      requestInputsMax: gathering.requestInputsMax,
      requestSizeMax: gathering.requestSizeMax,
      requestsAtOnce: requestsAtOnceDefault,
    };
    const cutting = policyOf("options", defaults, {
      requestInputsMax,
      requestSizeMax,
      requestsAtOnce,
    });
    for (const [key, value] of Object.entries(cutting)) {
      if (value >= 1) continue;
      throw new MillraceError("option_invalid", `options.${key} must be 1 or more.`);
    }
    let done = 0;
    const onArrival = (): void => {
      done += 1;
      onProgress?.({ done });
    };
    const { tenant, closed, courier } = this.#options;
    const scope = new Scope([signal, closed]);
    const fields: RequestFields = tenant === undefined ? named : { tenant, ...named };
    const { bulkThreshold } = courier;
    // The time is that of each request: nobody knows how long a source is.
    const run: Run<Result> = (errand) => timed(this.#run, errand);
    const parts = { run, gathering, cutting, fields, bulkThreshold, onArrival };
    try {
      return yield* runEach(source, { ...parts, signal: scope.signal });
    } finally {
      scope.abort(new MillraceError("cancelled", "The caller left."));
      scope.end();
    }
  }

  #begin({ signal, onProgress, ...named }: RequestFields & CommonOptions) {
    const { tenant, closed } = this.#options;
    const fields: RequestFields = tenant === undefined ? named : { tenant, ...named };
    const scope = new Scope([signal, closed]);
    limitTo(scope, fields);
    return { fields, onProgress, scope };
  }
}

async function* timed<Result extends object>(
  run: Run<Result>,
  errand: Errand,
): ReturnType<Run<Result>> {
  const scope = new Scope([errand.signal]);
  limitTo(scope, errand.fields);
  try {
    return yield* run({ ...errand, signal: scope.signal });
  } finally {
    scope.end();
  }
}

/** A call ends by itself a little after its time. */
export function limitTo(scope: Scope, { timeoutMs }: Pick<RequestFields, "timeoutMs">): void {
  if (timeoutMs === undefined) return;
  scope.limit(
    timeoutMs + deadlineGraceMs,
    () => new MillraceError("deadline_exceeded", `No answer within ${timeoutMs} ms.`),
  );
}

/** Each outcome with its place, as the caller gets it. */
export async function* indexed<Result extends object, Summary>(
  stream: AsyncGenerator<Arrival<Result>, Summary, undefined>,
): AsyncGenerator<Indexed<Result>, Summary, undefined> {
  try {
    for (;;) {
      const next = await stream.next();
      if (next.done === true) return next.value;
      const { index, outcome } = next.value;
      yield { ...outcome, index };
    }
  } finally {
    await stream.return(undefined as never);
  }
}
