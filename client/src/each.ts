/**
 * Inputs without number → requests within a server's limits, a few at once → outcomes in the order of the inputs:
 *
 *     source ─► cut ─► [request][request][request][request] ─► outcomes of the first, then of the second, …
 *                       `requestsAtOnce`; the source is read no further until the first is handed out
 *
 * What is in memory is bounded by that, however long the source is.
 */
import { collect, type Run } from "./collect.js";
import type { Errand } from "./courier.js";
import { blamesInputs } from "./reply.js";
import type { Arrival, Gathering, Outcome } from "./task.js";
import { MillraceError, type RequestFields } from "./wire/index.js";

/** Where inputs come from. A `MillraceError` in an input's place is handed on as its outcome, and is not sent. */
export type Source<Value> = Iterable<Value | MillraceError> | AsyncIterable<Value | MillraceError>;

/** How a source is cut into requests. */
export interface CuttingOptions {
  /** Inputs in a request at most. */
  readonly requestInputsMax?: number;
  /** Characters of texts, or bytes of pictures, in a request at most; an input that is longer goes alone. */
  readonly requestSizeMax?: number;
  /** Requests that are under way at once. Default: 4. */
  readonly requestsAtOnce?: number;
}

/** What is known when a source has come to its end. */
export interface EachSummary {
  readonly inputs: number;
  /** Of them, those whose outcome is an error. */
  readonly failed: number;
  readonly requests: number;
  /** How many items each pipeline ran, by pipeline id, over all requests. */
  readonly pipelines: Readonly<Record<string, number>>;
}

interface EachParts<Value, Result extends object> {
  readonly run: Run<Result>;
  readonly gathering: Gathering<Value>;
  readonly cutting: Required<CuttingOptions>;
  readonly fields: RequestFields;
  readonly signal: AbortSignal;
  readonly bulkThreshold: number;
  /** Hears of every outcome as it comes, which is not in order. */
  readonly onArrival: () => void;
}

export async function* runEach<Value, Result extends object>(
  source: Source<Value>,
  parts: EachParts<Value, Result>,
): AsyncGenerator<Arrival<Result>, EachSummary, undefined> {
  const requester = new Requester(parts);
  const cutter = cut(source, parts);
  const underWay: Promise<readonly Outcome<Result>[]>[] = [];
  let reading: Promise<IteratorResult<Cutting<Value>, void>> | null = null;
  let ended = false;
  let [index, failed] = [0, 0];
  try {
    for (;;) {
      if (reading === null && !ended && underWay.length < parts.cutting.requestsAtOnce) {
        reading = quiet(cutter.next());
      }
      const [head] = underWay;
      if (head === undefined && reading === null) break;
      const outcomes = await firstOf(head, reading);
      if (outcomes === null) {
        const next: IteratorResult<Cutting<Value>, void> | null = await reading;
        reading = null;
        if (next === null || next.done === true) ended = true;
        else underWay.push(quiet(requester.send(next.value)));
        continue;
      }
      void underWay.shift();
      for (const outcome of outcomes) {
        if ("error" in outcome) failed += 1;
        yield { index, outcome };
        index += 1;
      }
    }
  } finally {
    // Not awaited: a source of the caller's that waits for ever would hold this up for ever.
    void quiet(cutter.return());
  }
  return { inputs: index, failed, ...requester.sums() };
}

/** The outcomes of the first request under way, or null where the source had something to say before. */
async function firstOf<Result extends object>(
  head: Promise<readonly Outcome<Result>[]> | undefined,
  reading: Promise<unknown> | null,
): Promise<readonly Outcome<Result>[] | null> {
  const read = reading?.then(() => null) ?? null;
  if (head === undefined) return await read;
  return await (read === null ? head : Promise.race([head, read]));
}

/** Somebody awaits it later, or never: when it fails meanwhile, that is not unheard of. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** Inputs for one request, and the errors that stand between them. */
interface Cutting<Value> {
  readonly entries: readonly (Value | MillraceError)[];
  /** It has the whole source: nothing came before it, and nothing comes after. */
  readonly isWhole: boolean;
}

async function* cut<Value, Result extends object>(
  source: Source<Value>,
  { gathering, cutting }: EachParts<Value, Result>,
): AsyncGenerator<Cutting<Value>, void, undefined> {
  let entries: (Value | MillraceError)[] = [];
  let [size, isFirst] = [0, true];
  for await (const entry of source) {
    const entrySize = entry instanceof MillraceError ? 0 : gathering.sizeOf(entry);
    const isFull =
      entries.length >= cutting.requestInputsMax || size + entrySize > cutting.requestSizeMax;
    if (isFull && entries.length > 0) {
      yield { entries, isWhole: false };
      entries = [];
      [size, isFirst] = [0, false];
    }
    entries.push(entry);
    size += entrySize;
  }
  if (entries.length > 0) yield { entries, isWhole: isFirst };
}

/** Sends what was cut, and counts. */
class Requester<Value, Result extends object> {
  readonly #parts: EachParts<Value, Result>;
  readonly #pipelines = new Map<string, number>();
  #requests = 0;

  constructor(parts: EachParts<Value, Result>) {
    this.#parts = parts;
  }

  sums(): Pick<EachSummary, "requests" | "pipelines"> {
    return { requests: this.#requests, pipelines: Object.fromEntries(this.#pipelines) };
  }

  /** One outcome for each entry, in their order. Rejects when a request fails and no input is to blame. */
  async send({ entries, isWhole }: Cutting<Value>): Promise<readonly Outcome<Result>[]> {
    const outcomes = entries.map((entry) =>
      entry instanceof MillraceError ? this.#arrived({ error: entry.toWire() }) : null,
    );
    const values = entries.filter((entry): entry is Value => !(entry instanceof MillraceError));
    // The class is that of the whole source: its last, short request must not pass for somebody who waits.
    const { fields, bulkThreshold } = this.#parts;
    const isBulk = !isWhole || values.length >= bulkThreshold;
    const named: RequestFields = isBulk ? { class: "bulk", ...fields } : fields;
    const sent = (values.length === 0 ? [] : await this.#ask(values, named)).values();
    return outcomes.map((outcome) => outcome ?? sent.next().value ?? missing());
  }

  /**
   * One request; where it is refused because of its inputs, its halves, until the one at fault stands alone. A server
   * may have tighter limits than ours, and a bad input must not fail a thousand.
   */
  async #ask(values: readonly Value[], fields: RequestFields): Promise<readonly Outcome<Result>[]> {
    const { run, gathering, signal } = this.#parts;
    const inputs = gathering.inputsOf(values);
    const errand: Errand = { inputs, fields, signal, summaryNeeded: true };
    this.#requests += 1;
    try {
      const onArrival = this.#parts.onArrival;
      const { results, pipelines } = await collect(run, { errand, onArrival });
      for (const [id, items] of Object.entries(pipelines ?? {})) {
        this.#pipelines.set(id, (this.#pipelines.get(id) ?? 0) + items);
      }
      return results;
    } catch (error) {
      if (!(error instanceof MillraceError) || !isForHalves(error, inputs.field)) throw error;
      if (values.length === 1) return [this.#arrived({ error: error.toWire() })];
      const middle = Math.ceil(values.length / 2);
      const left = await this.#ask(values.slice(0, middle), fields);
      return [...left, ...(await this.#ask(values.slice(middle), fields))];
    }
  }

  #arrived(outcome: Outcome<Result>): Outcome<Result> {
    this.#parts.onArrival();
    return outcome;
  }
}

/** A refusal that names nothing may be about a setting, and would be the same for every half. */
function isForHalves(error: MillraceError, field: string): boolean {
  const isVague = error.param === undefined && error.code === "bad_request";
  return blamesInputs(error, field) && !isVague;
}

function missing(): never {
  throw new MillraceError("response_invalid", "A request has fewer results than inputs.");
}
