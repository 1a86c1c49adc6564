import { isItemError, readLine } from "./reply.js";
import { RetryBudget, type RetryPolicy } from "./retry.js";
import { delay } from "./scope.js";
import type { Arrival, Inputs, Task } from "./task.js";
import type { Content, Outgoing, ReplyHead } from "./transport.js";
import { MillraceError, type ReplySummary, type RequestFields } from "./wire/index.js";

/** A request, however many attempts it takes. */
export interface Errand {
  readonly inputs: Inputs;
  /** Of the task, which may have more than these. */
  readonly fields: RequestFields;
  readonly signal: AbortSignal;
  /** Indices of the inputs that are wanted; undefined: all. */
  readonly wanted?: readonly number[];
  /** False: when all outcomes are there, nobody asks again for a summary that was lost. */
  readonly summaryNeeded: boolean;
  /** Hears of the head of each attempt's reply. */
  readonly onHead?: (head: ReplyHead) => void;
}

/** What carries an attempt: the values of the lines of its reply, as they come. Throws a `MillraceError`, whatever went wrong. */
export interface Carrier {
  lines(outgoing: Outgoing, signal: AbortSignal): AsyncGenerator<readonly unknown[], void>;
}

export interface CourierOptions {
  readonly carrier: Carrier;
  readonly retry: RetryPolicy;
  /** As the server's: items from which on a request that names no class is bulk. */
  readonly bulkThreshold: number;
}

/**
 * The outcomes of an errand as they are ready; returns the summary of the reply that completed it. When the stream
 * breaks, only what is missing is asked for again: results are deterministic, so what was handed out stays.
 */
export async function* deliver<Result extends object>(
  { carrier, retry, bulkThreshold }: CourierOptions,
  task: Task<Result>,
  errand: Errand,
): AsyncGenerator<Arrival<Result>, ReplySummary, undefined> {
  const startedMs = performance.now();
  const ledger: Ledger = {
    missing: new Set(errand.wanted ?? errand.inputs.values.keys()),
    budget: new RetryBudget(retry),
    itemsDone: 0,
  };
  for (;;) {
    const fields = fieldsNow(errand, ledger, { startedMs, bulkThreshold });
    try {
      // `yield*` also hands on that the consumer left, which ends the request.
      return yield* attempt({ carrier, task }, { ...errand, fields }, ledger);
    } catch (error) {
      // Everything that the transport throws is a MillraceError; anything else is a bug, and not hidden.
      if (!(error instanceof MillraceError)) throw error;
      if (ledger.missing.size === 0 && !errand.summaryNeeded) throw error;
      const pauseMs = ledger.budget.delayAfter(error, performance.now());
      if (pauseMs === null) throw error;
      await delay(pauseMs, errand.signal);
    }
  }
}

interface Ledger {
  /** Indices without an outcome; what arrives is taken out. */
  readonly missing: Set<number>;
  readonly budget: RetryBudget;
  /** Items behind the outcomes that arrived. */
  itemsDone: number;
}

interface Route<Result extends object> {
  readonly carrier: Carrier;
  readonly task: Task<Result>;
}

/** One request for what is missing. */
async function* attempt<Result extends object>(
  { carrier, task }: Route<Result>,
  { inputs, fields, signal, onHead }: Errand,
  ledger: Ledger,
): AsyncGenerator<Arrival<Result>, ReplySummary, undefined> {
  const { missing, budget } = ledger;
  // Where only the `done` line was lost, the last input is asked for once more: a request needs one.
  const asked = missing.size === 0 ? [inputs.values.length - 1] : [...missing];
  const unanswered = new Set(asked.keys());
  const outgoing: Outgoing = {
    path: task.path,
    accept: "application/x-ndjson",
    content: contentOf(fields, inputs, asked),
    onHead: (head) => {
      budget.accepted();
      onHead?.(head);
    },
  };
  for await (const values of carrier.lines(outgoing, signal)) {
    for (const value of values) {
      const line = readLine(task, value);
      if (line.kind === "failed") throw line.error;
      if (line.kind === "done") {
        if (unanswered.size === 0) return line.summary;
        throw new MillraceError("response_invalid", `Done, but ${unanswered.size} inputs lack.`);
      }
      const index = asked[line.index];
      if (index === undefined || !unanswered.delete(line.index)) {
        throw new MillraceError(
          "response_invalid",
          `Index ${line.index} is unknown or came twice.`,
        );
      }
      if (!missing.delete(index)) continue;
      budget.progressed();
      ledger.itemsDone += isItemError(line.outcome) ? 1 : task.itemsOf(line.outcome);
      yield { index, outcome: line.outcome };
    }
  }
  throw new MillraceError("connection_failed", "The reply ended before it was done.");
}

/** Files go in a form, byte by byte; all else is JSON. */
function contentOf(fields: RequestFields, inputs: Inputs, asked: readonly number[]): Content {
  const { field, values, areFiles } = inputs;
  const sent = asked.map((index) => values[index]);
  if (areFiles !== true) return { kind: "json", value: { ...fields, [field]: sent } };
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) form.append(name, String(value));
  }
  for (const file of sent) form.append(field, file as Blob, field);
  return { kind: "form", form };
}

/**
 * What this attempt says. It has what is left of the time, not the whole time again; and the rest of a request that
 * was bulk by its size stays bulk, however small it is.
 */
function fieldsNow(
  { fields, inputs }: Errand,
  { missing, itemsDone }: Ledger,
  { startedMs, bulkThreshold }: { readonly startedMs: number; readonly bulkThreshold: number },
): RequestFields {
  const { timeoutMs } = fields;
  const resumed = missing.size < inputs.values.length;
  const bulk = resumed && fields.class === undefined && itemsDone + missing.size >= bulkThreshold;
  const named: RequestFields = bulk ? { ...fields, class: "bulk" } : fields;
  if (timeoutMs === undefined) return named;
  const leftMs = Math.ceil(timeoutMs - (performance.now() - startedMs));
  if (leftMs <= 0) {
    throw new MillraceError("deadline_exceeded", `Not finished within ${timeoutMs} ms.`);
  }
  return { ...named, timeoutMs: leftMs };
}
