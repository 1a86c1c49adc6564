import type { Errand } from "./courier.js";
import type { Arrival, Outcome } from "./task.js";
import type { ReplyHead } from "./transport.js";
import type { ReplySummary, RequestFields, RequestTimings, WorkClass } from "./wire/index.js";

/** Of a call that had its request to itself. After a broken connection all of it is that of the last request. */
export interface WholeSummary extends ReplySummary {
  readonly shared: false;
}

/**
 * Of a call that shared its request. It is answered when its own results are there, which is before the server says
 * how the request went; what only the server knows is null then.
 */
export interface SharedSummary {
  readonly shared: true;
  /** Of the shared request; null where a browser hides the reply's header. */
  readonly id: string | null;
  /** The model that the call named. */
  readonly model: string | null;
  readonly class: WorkClass;
  readonly timings: {
    readonly [Phase in Exclude<keyof RequestTimings, "totalMs">]: null;
  } & {
    /** From the call to its last result, as the client measured it. */
    readonly totalMs: number;
  };
  readonly pipelines: null;
  /** Who answered; null where a browser hides the reply's header. */
  readonly deployment: ReplySummary["deployment"] | null;
}

/** What is known of the request that brought a call's results. `shared` says which of the two it is. */
export type CallSummary = WholeSummary | SharedSummary;

/** All results of a call in the order of its inputs, and what is known of their request. */
export type Collected<Result extends object> = CallSummary & {
  readonly results: readonly Outcome<Result>[];
};

/** Carries out one errand. */
export type Run<Result extends object> = (
  errand: Errand,
) => AsyncGenerator<Arrival<Result>, ReplySummary, undefined>;

/** One caller's call, and whom to tell of each of its outcomes. */
export interface Rider<Result extends object> {
  readonly errand: Errand;
  readonly onArrival: (arrival: Arrival<Result>) => void;
}

/** Carries out one errand to its end. `results` may hold what is there already. */
export async function collect<Result extends object>(
  run: Run<Result>,
  { errand, onArrival }: Rider<Result>,
  results: Outcome<Result>[] = [],
): Promise<Collected<Result>> {
  const stream = run(errand);
  try {
    for (;;) {
      const next = await stream.next();
      if (next.done === true) return { ...next.value, shared: false, results };
      results[next.value.index] = next.value.outcome;
      onArrival(next.value);
    }
  } finally {
    // Closes the connection where `onArrival` threw.
    await stream.return(undefined as never);
  }
}

/** What is known of a shared request when one of its callers has its results. */
export function sharedSummary(
  { model }: RequestFields,
  workClass: WorkClass,
  { head, totalMs }: { readonly head: ReplyHead; readonly totalMs: number },
): SharedSummary {
  return {
    shared: true,
    id: head.id,
    model: model ?? null,
    class: workClass,
    timings: { prepareMs: null, queueMs: null, computeMs: null, totalMs },
    pipelines: null,
    deployment: head.deployment,
  };
}
