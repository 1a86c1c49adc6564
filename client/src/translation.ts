import { NdjsonParser } from "./ndjson.js";
import { readLine, type TranslationSummary } from "./reply.js";
import { RetryBudget, type RetryPolicy } from "./retry.js";
import { delay } from "./scope.js";
import type { Transport } from "./transport.js";
import { MillraceError, type TranslateItem, type TranslateRequest } from "./wire/index.js";

/** Everything of a request but its inputs. */
export type TranslateFields = Omit<TranslateRequest, "texts" | "tokenIds">;

export type Inputs =
  | { readonly kind: "texts"; readonly values: readonly string[] }
  | { readonly kind: "tokenIds"; readonly values: readonly (readonly number[])[] };

export interface TranslateCall {
  readonly inputs: Inputs;
  readonly fields: TranslateFields;
  readonly signal: AbortSignal;
}

/** The outcome of one text, with its place in the call. */
export type IndexedItem = { readonly index: number } & TranslateItem;

export interface Courier {
  readonly transport: Transport;
  readonly retry: RetryPolicy;
}

/**
 * The items of a call as they are ready; returns the summary of the reply that completed it. When the stream
 * breaks, only what is missing is asked for again: translation is deterministic, so what was handed out stays.
 */
export async function* translateItems(
  courier: Courier,
  call: TranslateCall,
): AsyncGenerator<IndexedItem, TranslationSummary, undefined> {
  const startedMs = performance.now();
  const budget = new RetryBudget(courier.retry, startedMs);
  const missing = new Set(call.inputs.values.keys());
  for (;;) {
    try {
      // `yield*` also hands on that the consumer left, which ends the request.
      return yield* attempt(courier.transport, remaining(call, startedMs), { missing, budget });
    } catch (error) {
      // Everything that the transport throws is a MillraceError; anything else is a bug, and not hidden.
      if (!(error instanceof MillraceError)) throw error;
      const pauseMs = budget.delayAfter(error, performance.now());
      if (pauseMs === null) throw error;
      await delay(pauseMs, call.signal);
    }
  }
}

interface Ledger {
  /** Indices without an outcome; what arrives is taken out. */
  readonly missing: Set<number>;
  readonly budget: RetryBudget;
}

/** One request for what is missing. */
async function* attempt(
  transport: Transport,
  call: TranslateCall,
  { missing, budget }: Ledger,
): AsyncGenerator<IndexedItem, TranslationSummary, undefined> {
  // Where only the `done` line was lost, the last text is asked for once more: a request needs one.
  const asked = missing.size === 0 ? [call.inputs.values.length - 1] : [...missing];
  const unanswered = new Set(asked.keys());
  const parser = new NdjsonParser();
  const outgoing = {
    path: "v1/translate",
    accept: "application/x-ndjson",
    body: { ...call.fields, [call.inputs.kind]: asked.map((index) => call.inputs.values[index]) },
  };
  for await (const chunk of transport.chunks(outgoing, call.signal)) {
    for (const value of parser.push(chunk)) {
      const line = readLine(value);
      if (line.kind === "failed") throw line.error;
      if (line.kind === "done") {
        if (unanswered.size === 0) return line.summary;
        throw new MillraceError("response_invalid", `Done, but ${unanswered.size} items lack.`);
      }
      const index = asked[line.index];
      if (index === undefined || !unanswered.delete(line.index)) {
        throw new MillraceError("response_invalid", `Item ${line.index} is unknown or came twice.`);
      }
      if (!missing.delete(index)) continue;
      budget.progressed(performance.now());
      yield { ...line.item, index };
    }
  }
  throw new MillraceError("connection_failed", "The reply ended before it was done.");
}

/** The same call with what is left of its time: a second attempt does not get the whole time again. */
function remaining(call: TranslateCall, startedMs: number): TranslateCall {
  const { timeoutMs } = call.fields;
  if (timeoutMs === undefined) return call;
  const leftMs = Math.ceil(timeoutMs - (performance.now() - startedMs));
  if (leftMs <= 0) {
    throw new MillraceError("deadline_exceeded", `Not finished within ${timeoutMs} ms.`);
  }
  return { ...call, fields: { ...call.fields, timeoutMs: leftMs } };
}
