import { type Collected, collect, type Rider, type Run, sharedSummary } from "./collect.js";
import type { Errand } from "./courier.js";
import { blamesInputs } from "./reply.js";
import { abortFailure, Scope, timerMs } from "./scope.js";
import type { Arrival, Inputs, Outcome } from "./task.js";
import { noHead, type ReplyHead } from "./transport.js";
import { MillraceError, type RequestFields, type WorkClass } from "./wire/index.js";

/** Which calls share one request. */
export interface SharingPolicy {
  /** How long a call waits for others, in milliseconds; 0: until the present turn of the event loop ends. Default: 1. */
  readonly windowMs: number;
  /** Inputs in a shared request at most; a call with as many goes alone. Default: 64. */
  readonly inputsMax: number;
  /** Characters (or token ids) of a call that shares, at most: nobody waits beside a page. Default: 255. */
  readonly callCharactersMax: number;
  /** Characters (or token ids) in a shared request at most. Default: 4096. */
  readonly charactersMax: number;
}

export const sharingDefaults: SharingPolicy = {
  windowMs: 1,
  inputsMax: 64,
  callCharactersMax: 255,
  charactersMax: 4096,
};

/** When every caller has its results, the reply's last line gets this long before the connection is closed. */
const doneMsMax = 1_000;

/**
 * Puts small calls that are made in the same short window, with the same fields, into one request and takes the
 * outcomes apart again. A caller is answered when its own are there:
 *
 *     caller A  [a0 a1]   ┐                    ┌► A: 0 1   waits for a0 and a1
 *     caller B  [b0]      ├► [a0 a1 b0 c0 c1] ─┼► B: 2     waits for b0
 *     caller C  [c0 c1]   ┘                    └► C: 3 4   waits for c0 and c1
 *
 * Sharing changes nobody's class: the request names that of its callers, and a call that might be bulk by its size
 * alone goes alone. A caller who aborts gets off at once; the request goes on for the others and is aborted with the
 * last one.
 */
export class Sharing<Result extends object> {
  readonly #policy: SharingPolicy;
  readonly #bulkThreshold: number;
  readonly #run: Run<Result>;
  readonly #open = new Map<string, Group<Result>>();

  constructor(policy: SharingPolicy, bulkThreshold: number, run: Run<Result>) {
    this.#policy = policy;
    this.#bulkThreshold = bulkThreshold;
    this.#run = run;
  }

  collect(rider: Rider<Result>): Promise<Collected<Result>> {
    const { inputs, fields } = rider.errand;
    const workClass = this.#classOf(rider.errand);
    if (workClass === null || !this.#isSmall(inputs)) return collect(this.#run, rider);
    const shared: RequestFields = { ...fields, class: workClass };
    const key = JSON.stringify([inputs.field, sortedEntries(shared)]);
    const open = this.#open.get(key);
    if (open !== undefined && !this.#fits(open, inputs)) this.#depart(key, open);
    const group = this.#open.get(key) ?? this.#begin(key, shared);
    group.inputs += inputs.values.length;
    group.characters += inputs.characters;
    return new Promise((resolve, reject) => {
      group.seats.push(new Seat(rider, { resolve, reject }));
    });
  }

  /** The class that the call has when it goes alone; null: only the server can tell. */
  #classOf({ inputs, fields }: Errand): WorkClass | null {
    if (fields.class !== undefined) return fields.class;
    return inputs.itemsMax < this.#bulkThreshold ? "realtime" : null;
  }

  #isSmall({ values, characters }: Inputs): boolean {
    const { inputsMax, callCharactersMax, charactersMax } = this.#policy;
    return (
      values.length < inputsMax && characters <= callCharactersMax && characters < charactersMax
    );
  }

  #fits(group: Group<Result>, inputs: Inputs): boolean {
    return (
      group.inputs + inputs.values.length <= this.#policy.inputsMax &&
      group.characters + inputs.characters <= this.#policy.charactersMax
    );
  }

  #begin(key: string, fields: RequestFields): Group<Result> {
    const timer = setTimeout(() => this.#depart(key, group), timerMs(this.#policy.windowMs));
    const group: Group<Result> = { fields, seats: [], inputs: 0, characters: 0, timer };
    this.#open.set(key, group);
    return group;
  }

  #depart(key: string, group: Group<Result>): void {
    clearTimeout(group.timer);
    this.#open.delete(key);
    const seats = group.seats.filter((seat) => !seat.gone);
    const [only] = seats;
    if (only === undefined) return;
    if (seats.length === 1) only.goAlone(this.#run);
    else void this.#share(seats, group.fields);
  }

  /** Settles every seat; never rejects. */
  async #share(seats: readonly Seat<Result>[], fields: RequestFields): Promise<void> {
    const ride = new Ride(seats, fields);
    try {
      await collect(this.#run, ride);
    } catch (error) {
      for (const seat of ride.aboard) {
        // One caller's bad input must not fail its neighbours: each goes on alone and gets its own answer.
        if (blamesInputs(error, ride.errand.inputs.field)) seat.goAlone(this.#run);
        else seat.fail(error);
      }
    } finally {
      ride.end();
    }
  }
}

interface Group<Result extends object> {
  readonly fields: RequestFields;
  readonly seats: Seat<Result>[];
  readonly timer: ReturnType<typeof setTimeout>;
  inputs: number;
  characters: number;
}

/** A shared request on its way. */
class Ride<Result extends object> implements Rider<Result> {
  readonly errand: Errand;
  /** Who still waits for something. */
  readonly aboard: ReadonlySet<Seat<Result>>;
  readonly #scope = new Scope([]);
  readonly #places: readonly { readonly seat: Seat<Result>; readonly index: number }[];
  readonly #workClass: WorkClass;
  #head: ReplyHead = noHead;
  #pending: number;

  constructor(seats: readonly Seat<Result>[], fields: RequestFields) {
    const aboard = new Set(seats);
    this.aboard = aboard;
    for (const seat of seats) {
      seat.onGone = () => {
        if (aboard.delete(seat) && aboard.size === 0) this.#empty();
      };
    }
    this.#places = seats.flatMap((seat) =>
      [...seat.rider.errand.inputs.values.keys()].map((index) => ({ seat, index })),
    );
    this.#pending = this.#places.length;
    // Who shares has a class: see `Sharing.collect`.
    this.#workClass = fields.class ?? "realtime";
    this.errand = {
      inputs: join(seats.map((seat) => seat.rider.errand.inputs)),
      fields,
      signal: this.#scope.signal,
      summaryNeeded: false,
      onHead: (head) => {
        this.#head = head;
      },
    };
  }

  readonly onArrival = ({ index: at, outcome }: Arrival<Result>): void => {
    this.#pending -= 1;
    const place = this.#places[at];
    if (place === undefined || !this.aboard.has(place.seat)) return;
    const { seat, index } = place;
    seat.take({ index, outcome });
    if (seat.complete) {
      const { fields } = this.errand;
      const totalMs = performance.now() - seat.sinceMs;
      seat.arrive(sharedSummary(fields, this.#workClass, { head: this.#head, totalMs }));
    }
  };

  end(): void {
    this.#scope.end();
  }

  #empty(): void {
    if (this.#pending > 0) {
      this.#scope.abort(new MillraceError("cancelled", "All callers left."));
      return;
    }
    // Only the last line is missing: worth a moment, for the connection can then be used again.
    this.#scope.limit(
      doneMsMax,
      () => new MillraceError("cancelled", "All callers were answered."),
    );
  }
}

interface Settle<Result extends object> {
  readonly resolve: (value: Collected<Result> | Promise<Collected<Result>>) => void;
  readonly reject: (reason: unknown) => void;
}

/** One caller in a shared request. Settles once. */
class Seat<Result extends object> {
  readonly rider: Rider<Result>;
  readonly sinceMs: number = performance.now();
  /** Called when it waits for nothing any more: answered, failed, left or going on alone. */
  onGone: () => void = () => undefined;
  gone = false;
  readonly #settle: Settle<Result>;
  readonly #results: Outcome<Result>[] = [];
  readonly #missing: Set<number>;
  readonly #onAbort = (): void => this.fail(abortFailure(this.rider.errand.signal));

  constructor(rider: Rider<Result>, settle: Settle<Result>) {
    this.rider = rider;
    this.#settle = settle;
    const { signal, inputs } = rider.errand;
    this.#missing = new Set(inputs.values.keys());
    signal.addEventListener("abort", this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
  }

  /** All of its outcomes are there, and it was not gone before. */
  get complete(): boolean {
    return !this.gone && this.#missing.size === 0;
  }

  take(arrival: Arrival<Result>): void {
    this.#results[arrival.index] = arrival.outcome;
    this.#missing.delete(arrival.index);
    try {
      this.rider.onArrival(arrival);
    } catch (error) {
      // The caller's own callback threw: that ends its call, and nobody else's.
      this.fail(error);
    }
  }

  arrive(summary: ReturnType<typeof sharedSummary>): void {
    this.#leave();
    this.#settle.resolve({ ...summary, results: this.#results });
  }

  /** A request of its own for what it has not got yet. */
  goAlone(run: Run<Result>): void {
    this.#leave();
    const { errand, onArrival } = this.rider;
    const rest = { errand: { ...errand, wanted: [...this.#missing] }, onArrival };
    this.#settle.resolve(collect(run, rest, this.#results));
  }

  fail(error: unknown): void {
    this.#leave();
    this.#settle.reject(error);
  }

  #leave(): void {
    this.gone = true;
    this.rider.errand.signal.removeEventListener("abort", this.#onAbort);
    this.onGone();
  }
}

/** All have the same field: it is part of the group's key. */
function join(all: readonly Inputs[]): Inputs {
  return {
    field: all[0]?.field ?? "",
    values: all.flatMap(({ values }) => values),
    characters: all.reduce((sum, { characters }) => sum + characters, 0),
    itemsMax: all.reduce((sum, { itemsMax }) => sum + itemsMax, 0),
  };
}

function sortedEntries(fields: object): readonly (readonly [string, unknown])[] {
  return Object.entries(fields).sort(([left], [right]) => (left < right ? -1 : 1));
}
