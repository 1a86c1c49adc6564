import type { TranslationSummary } from "./reply.js";
import { abortFailure, Scope } from "./scope.js";
import type { IndexedItem, Inputs, TranslateCall, TranslateFields } from "./translation.js";
import { errorRegistry, MillraceError, type TranslateItem } from "./wire/index.js";

/** Which calls share one request. */
export interface BatchPolicy {
  /** How long a call waits for others, in milliseconds; 0: until the present turn of the event loop ends. Default: 1. */
  readonly windowMs: number;
  /** Texts in a shared request at most; a call with more goes alone. Default: 64. */
  readonly itemsMax: number;
  /** Characters (or token ids) in a shared request at most. Default: 65 536. */
  readonly charactersMax: number;
}

export const batchDefaults: BatchPolicy = { windowMs: 1, itemsMax: 64, charactersMax: 65_536 };

/** All results of a call in the order of its texts, and the summary of the request that brought them. */
export interface Collected {
  readonly results: readonly TranslateItem[];
  readonly summary: TranslationSummary;
}

export type Run = (
  call: TranslateCall,
) => AsyncGenerator<IndexedItem, TranslationSummary, undefined>;

/** A call, and who wants to hear of each item. */
export interface Rider {
  readonly call: TranslateCall;
  readonly onItem: (item: IndexedItem) => void;
}

/** Runs one call to its end. */
export async function collect(run: Run, rider: Rider): Promise<Collected> {
  const results: TranslateItem[] = [];
  const stream = run(rider.call);
  try {
    for (;;) {
      const next = await stream.next();
      if (next.done === true) return { results, summary: next.value };
      const { index, ...item } = next.value;
      results[index] = item;
      rider.onItem(next.value);
    }
  } finally {
    // Closes the connection where `onItem` threw.
    await stream.return(undefined as never);
  }
}

/**
 * Puts small calls that are made in the same short window, with the same fields, into one request and takes
 * the results apart again:
 *
 *     caller A  [a0 a1]   ┐                      ┌► A: 0 1
 *     caller B  [b0]      ├► [a0 a1 b0 c0 c1] ───┼► B: 2
 *     caller C  [c0 c1]   ┘                      └► C: 3 4
 *
 * A caller who aborts gets off at once; the request goes on for the others and is aborted with the last one.
 */
export class Batcher {
  readonly #policy: BatchPolicy;
  readonly #run: Run;
  readonly #open = new Map<string, Group>();

  constructor(policy: BatchPolicy, run: Run) {
    this.#policy = policy;
    this.#run = run;
  }

  collect(rider: Rider): Promise<Collected> {
    const { inputs, fields } = rider.call;
    const items = inputs.values.length;
    const characters = inputs.values.reduce((sum, value) => sum + value.length, 0);
    if (items >= this.#policy.itemsMax || characters >= this.#policy.charactersMax) {
      return collect(this.#run, rider);
    }
    const key = JSON.stringify([inputs.kind, sortedEntries(fields)]);
    const open = this.#open.get(key);
    if (
      open !== undefined &&
      (open.items + items > this.#policy.itemsMax ||
        open.characters + characters > this.#policy.charactersMax)
    ) {
      this.#depart(key, open);
    }
    const group = this.#open.get(key) ?? this.#begin(key);
    group.items += items;
    group.characters += characters;
    return new Promise((resolve, reject) => {
      group.seats.push(new Seat(rider, { resolve, reject }));
    });
  }

  #begin(key: string): Group {
    const timer = setTimeout(() => this.#depart(key, group), this.#policy.windowMs);
    const group: Group = { seats: [], items: 0, characters: 0, timer };
    this.#open.set(key, group);
    return group;
  }

  #depart(key: string, group: Group): void {
    clearTimeout(group.timer);
    this.#open.delete(key);
    const seats = group.seats.filter((seat) => !seat.left);
    const [only] = seats;
    if (only === undefined) return;
    if (seats.length === 1) only.settleBy(collect(this.#run, only.rider));
    else void this.#share(seats, only.rider.call.fields);
  }

  /** Settles every seat; never rejects. */
  async #share(seats: readonly Seat[], fields: TranslateFields): Promise<void> {
    const scope = new Scope([]);
    const aboard = new Set(seats);
    for (const seat of seats) {
      seat.onLeave = () => {
        aboard.delete(seat);
        if (aboard.size === 0) scope.abort(new MillraceError("cancelled", "All callers left."));
      };
    }
    const places = seats.flatMap((seat) =>
      [...seat.rider.call.inputs.values.keys()].map((index) => ({ seat, index })),
    );
    const inputs = join(seats.map((seat) => seat.rider.call.inputs));
    let arrived = 0;
    const onItem = ({ index: at, ...item }: IndexedItem): void => {
      arrived += 1;
      const place = places[at];
      if (place !== undefined) place.seat.take(place.index, item);
    };
    try {
      const call = { inputs, fields, signal: scope.signal };
      const { summary } = await collect(this.#run, { call, onItem });
      for (const seat of seats) seat.arrive(summary);
    } catch (error) {
      for (const seat of aboard) {
        // One caller's bad text must not fail its neighbours: each goes on alone and gets its own answer.
        if (arrived === 0 && blamesContent(error)) seat.settleBy(collect(this.#run, seat.rider));
        else seat.fail(error);
      }
    }
  }
}

interface Group {
  readonly seats: Seat[];
  readonly timer: ReturnType<typeof setTimeout>;
  items: number;
  characters: number;
}

interface Settle {
  readonly resolve: (value: Collected | Promise<Collected>) => void;
  readonly reject: (reason: unknown) => void;
}

/** One caller in a shared request. Settles once; what comes later is ignored, as promises do. */
class Seat {
  readonly rider: Rider;
  onLeave: () => void = () => undefined;
  left = false;
  readonly #settle: Settle;
  readonly #results: TranslateItem[] = [];
  readonly #onAbort = (): void => this.fail(abortFailure(this.rider.call.signal));

  constructor(rider: Rider, settle: Settle) {
    this.rider = rider;
    this.#settle = settle;
    rider.call.signal.addEventListener("abort", this.#onAbort, { once: true });
    if (rider.call.signal.aborted) this.#onAbort();
  }

  take(index: number, item: TranslateItem): void {
    if (this.left) return;
    this.#results[index] = item;
    try {
      this.rider.onItem({ ...item, index });
    } catch (error) {
      // The caller's own callback threw: that ends its call, and nobody else's.
      this.fail(error);
    }
  }

  arrive(summary: TranslationSummary): void {
    this.#release();
    this.#settle.resolve({ results: this.#results, summary });
  }

  settleBy(outcome: Promise<Collected>): void {
    this.#release();
    this.#settle.resolve(outcome);
  }

  fail(error: unknown): void {
    this.left = true;
    this.#release();
    this.#settle.reject(error);
    this.onLeave();
  }

  #release(): void {
    this.rider.call.signal.removeEventListener("abort", this.#onAbort);
  }
}

/** All of one kind: the kind is part of the group's key. */
function join(inputs: readonly Inputs[]): Inputs {
  const texts = inputs.flatMap((one) => (one.kind === "texts" ? one.values : []));
  if (texts.length > 0) return { kind: "texts", values: texts };
  const tokenIds = inputs.flatMap((one) => (one.kind === "tokenIds" ? one.values : []));
  return { kind: "tokenIds", values: tokenIds };
}

function sortedEntries(fields: TranslateFields): readonly (readonly [string, unknown])[] {
  return Object.entries(fields).sort(([left], [right]) => (left < right ? -1 : 1));
}

function blamesContent(error: unknown): boolean {
  if (!(error instanceof MillraceError)) return false;
  const { status } = errorRegistry[error.code];
  return status === 400 || status === 413 || status === 422;
}
