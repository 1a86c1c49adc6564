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
import { abortFailure } from "./scope.js";
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

/** Each thing that happens rings the bell, and each ring looks at everything. */
export async function* runEach<Value, Result extends object>(
  source: Source<Value>,
  parts: EachParts<Value, Result>,
): AsyncGenerator<Arrival<Result>, EachSummary, undefined> {
  const bell = new Bell();
  const requester = new Requester(parts, bell);
  const reader = new Reader(cut(source, parts), bell);
  const underWay: Flight<Result>[] = [];
  const onAbort = (): void => bell.ring();
  parts.signal.addEventListener("abort", onAbort);
  // The next outcome's place in the source, and in the first request under way.
  let [index, place, failed] = [0, 0, 0];
  try {
    for (;;) {
      const cutting = reader.take();
      if (cutting !== null) underWay.push(requester.send(cutting));
      if (underWay.length < parts.cutting.requestsAtOnce) reader.begin();
      const [head] = underWay;
      const outcome = head?.outcomes[place];
      if (outcome !== undefined) {
        if ("error" in outcome) failed += 1;
        yield { index, outcome };
        index += 1;
        place += 1;
      } else if (head?.isOver === true) {
        head.assertWhole();
        void underWay.shift();
        place = 0;
      } else if (head === undefined && reader.isOver) {
        // Only now: what came before a failure of the source was worth handing out.
        reader.assertWhole();
        return { inputs: index, failed, ...requester.sums() };
      } else {
        if (parts.signal.aborted) throw abortFailure(parts.signal);
        await bell.rung();
      }
    }
  } finally {
    parts.signal.removeEventListener("abort", onAbort);
    reader.close();
  }
}

class Bell {
  #hasRung = false;
  #wake: () => void = () => undefined;

  ring(): void {
    this.#hasRung = true;
    this.#wake();
  }

  /** Since it was heard last, or soon. One hearer at a time. */
  async rung(): Promise<void> {
    if (!this.#hasRung) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#hasRung = false;
  }
}

/** Reads a source one request ahead, beside what else is waited for. */
class Reader<Value> {
  readonly #cutter: AsyncGenerator<Cutting<Value>, void, undefined>;
  readonly #bell: Bell;
  #read: Cutting<Value> | null = null;
  #failure: { readonly error: unknown } | null = null;
  #isBusy = false;
  #hasEnded = false;

  constructor(cutter: AsyncGenerator<Cutting<Value>, void, undefined>, bell: Bell) {
    this.#cutter = cutter;
    this.#bell = bell;
  }

  get isOver(): boolean {
    return this.#hasEnded && this.#read === null;
  }

  /** Does nothing while it reads, where it has read ahead, or where nothing is left. */
  begin(): void {
    if (!this.#isBusy && !this.#hasEnded && this.#read === null) void this.#step();
  }

  take(): Cutting<Value> | null {
    const read = this.#read;
    this.#read = null;
    return read;
  }

  assertWhole(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  close(): void {
    // Not awaited: a source of the caller's that waits for ever would hold this up for ever.
    this.#cutter.return().catch(() => undefined);
  }

  async #step(): Promise<void> {
    this.#isBusy = true;
    try {
      const next = await this.#cutter.next();
      if (next.done === true) this.#hasEnded = true;
      else this.#read = next.value;
    } catch (error) {
      this.#failure = { error };
      this.#hasEnded = true;
    }
    this.#isBusy = false;
    this.#bell.ring();
  }
}

/** A request, or its halves, and what has come of it. */
class Flight<Result extends object> {
  /** By entry; undefined: not there yet. */
  readonly outcomes: (Outcome<Result> | undefined)[];
  isOver = false;
  #failure: { readonly error: unknown } | null = null;

  constructor(entries: number) {
    this.outcomes = Array.from({ length: entries });
  }

  async run(fly: () => Promise<void>, bell: Bell): Promise<void> {
    try {
      await fly();
    } catch (error) {
      this.#failure = { error };
    }
    this.isOver = true;
    bell.ring();
  }

  /** Throws what it failed with, unless only the last line of its reply was lost. */
  assertWhole(): void {
    const isWhole = this.outcomes.every((outcome) => outcome !== undefined);
    if (this.#failure === null) {
      if (!isWhole) throw new MillraceError("response_invalid", "A request lacks results.");
      return;
    }
    const { error } = this.#failure;
    if (!isWhole || !(error instanceof MillraceError)) throw error;
  }
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
  let failure: { readonly error: unknown } | null = null;
  try {
    for await (const entry of source) {
      const entrySize = entry instanceof MillraceError ? 0 : sizeOf(gathering, entry);
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
  } catch (error) {
    failure = { error };
  }
  if (entries.length > 0) yield { entries, isWhole: isFirst };
  if (failure !== null) throw failure.error;
}

/** 0 of what is no input, which then fails alone. */
function sizeOf<Value>(gathering: Gathering<Value>, value: Value): number {
  try {
    const size = gathering.sizeOf(value);
    return Number.isFinite(size) ? size : 0;
  } catch {
    return 0;
  }
}

/** Sends what was cut, and counts. A flight fails when a request does and no input is to blame. */
class Requester<Value, Result extends object> {
  readonly #parts: EachParts<Value, Result>;
  readonly #pipelines = new Map<string, number>();
  readonly #bell: Bell;
  #requests = 0;

  constructor(parts: EachParts<Value, Result>, bell: Bell) {
    this.#parts = parts;
    this.#bell = bell;
  }

  sums(): Pick<EachSummary, "requests" | "pipelines"> {
    return { requests: this.#requests, pipelines: Object.fromEntries(this.#pipelines) };
  }

  send({ entries, isWhole }: Cutting<Value>): Flight<Result> {
    const flight = new Flight<Result>(entries.length);
    const fly = async (): Promise<void> => {
      const inputs: Placed<Value>[] = [];
      for (const [place, entry] of entries.entries()) {
        if (entry instanceof MillraceError) this.#put(flight, place, { error: entry.toWire() });
        else inputs.push({ place, value: entry });
      }
      if (inputs.length === 0) return;
      // The class is that of the whole source: its last, short request must not pass for somebody who waits.
      const { fields, bulkThreshold } = this.#parts;
      const isBulk = !isWhole || inputs.length >= bulkThreshold;
      await this.#ask(flight, inputs, isBulk ? { class: "bulk", ...fields } : fields);
    };
    void flight.run(fly, this.#bell);
    return flight;
  }

  /**
   * One request; where it is refused because of its inputs, its halves, until the one at fault stands alone. A server
   * may have tighter limits than ours, and a bad input must not fail a thousand.
   */
  async #ask(
    flight: Flight<Result>,
    asked: readonly Placed<Value>[],
    fields: RequestFields,
  ): Promise<void> {
    const { run, gathering, signal } = this.#parts;
    let field = "";
    try {
      const inputs = gathering.inputsOf(asked.map(({ value }) => value));
      field = inputs.field;
      const errand: Errand = { inputs, fields, signal, summaryNeeded: false };
      const onArrival = ({ index, outcome }: Arrival<Result>): void => {
        const placed = asked[index];
        if (placed !== undefined) this.#put(flight, placed.place, outcome);
      };
      this.#requests += 1;
      const { pipelines } = await collect(run, { errand, onArrival });
      for (const [id, items] of Object.entries(pipelines ?? {})) {
        this.#pipelines.set(id, (this.#pipelines.get(id) ?? 0) + items);
      }
    } catch (error) {
      // Without a field nothing was sent: what is no input was found here.
      if (!(error instanceof MillraceError) || !isForHalves(error, field)) throw error;
      const rest = asked.filter(({ place }) => flight.outcomes[place] === undefined);
      const [only] = rest;
      if (only === undefined) return;
      if (rest.length === 1) {
        this.#put(flight, only.place, { error: error.toWire() });
        return;
      }
      const middle = Math.ceil(rest.length / 2);
      await this.#ask(flight, rest.slice(0, middle), fields);
      await this.#ask(flight, rest.slice(middle), fields);
    }
  }

  #put(flight: Flight<Result>, place: number, outcome: Outcome<Result>): void {
    flight.outcomes[place] = outcome;
    this.#bell.ring();
    this.#parts.onArrival();
  }
}

/** An input of a request, and its place among what was cut. */
interface Placed<Value> {
  readonly place: number;
  readonly value: Value;
}

/** A refusal that names nothing may be about a setting, and would be the same for every half. */
function isForHalves(error: MillraceError, field: string): boolean {
  const isVague = error.param === undefined && error.code === "bad_request";
  return blamesInputs(error, field) && !isVague;
}
