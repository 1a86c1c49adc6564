/**
 * Who goes next, among all the requests that are being prepared: on the event loop and in the thread alike.
 *
 *   class     realtime first; where both wait, every 8th choice is bulk's, so that it never starves
 *   tenant    in turn, whoever has how much: three hundred pages of one delay another's one by one
 *   weight    the light first, for a person's sentence is over sooner than a page; every 8th choice is the heaviest's
 *   arrival   then in turn
 */
import type { WorkClass } from "millrace-client/wire";

export interface InLine {
  /** It may change with each of its steps; asked whenever it is put into the line. */
  readonly class: () => WorkClass;
  readonly tenant: string;
  /** About how much there is to do, in characters. */
  readonly weight: number;
}

/** Of so many choices, one goes to whom the order would make wait. */
const choicesOfTheRest = 8;
/** Upper bounds of what counts as equally light. */
const weightBands: readonly number[] = [512, 4_096, 16_384, 262_144];

/** More than the last of them. */
export function isHeavy({ weight }: Pick<InLine, "weight">): boolean {
  return weight > (weightBands.at(-1) ?? 0);
}

/** Nobody is in it while his work is being done: `next` takes out, `add` puts back. */
export class Line<Work extends InLine> {
  readonly #classes: Readonly<Record<WorkClass, TenantsInLine<Work>>> = {
    realtime: new TenantsInLine<Work>(),
    bulk: new TenantsInLine<Work>(),
  };
  readonly #places = new Map<Work, TenantsInLine<Work>>();
  #realtimeInRow = 0;

  get size(): number {
    return this.#places.size;
  }

  /** Behind its equals. */
  add(work: Work): void {
    const tenants = this.#classes[work.class()];
    tenants.add(work);
    this.#places.set(work, tenants);
  }

  /** Does nothing where it is not in the line. */
  remove(work: Work): void {
    this.#places.get(work)?.remove(work);
    this.#places.delete(work);
  }

  next(): Work | undefined {
    return this.#next(true);
  }

  /** As if the heavy ones were not there. */
  nextLight(): Work | undefined {
    return this.#next(false);
  }

  #next(heavy: boolean): Work | undefined {
    const { realtime, bulk } = this.#classes;
    const isBulksTurn = bulk.size > 0 && this.#realtimeInRow >= choicesOfTheRest - 1;
    const bulkFirst = isBulksTurn ? bulk.next(heavy) : undefined;
    const work = bulkFirst ?? realtime.next(heavy) ?? bulk.next(heavy);
    if (work === undefined) return undefined;
    const isRealtime = this.#places.get(work) === realtime;
    this.#realtimeInRow = isRealtime && bulk.size > 0 ? this.#realtimeInRow + 1 : 0;
    this.#places.delete(work);
    return work;
  }
}

class TenantsInLine<Work extends InLine> {
  /** In the order of their turns. */
  readonly #byName = new Map<string, Bands<Work>>();

  get size(): number {
    return this.#byName.size;
  }

  add(work: Work): void {
    const bands = this.#byName.get(work.tenant) ?? new Bands<Work>();
    bands.add(work);
    this.#byName.set(work.tenant, bands);
  }

  remove(work: Work): void {
    const bands = this.#byName.get(work.tenant);
    bands?.remove(work);
    if (bands?.isEmpty === true) this.#byName.delete(work.tenant);
  }

  next(heavy: boolean): Work | undefined {
    for (const [tenant, bands] of this.#byName) {
      const work = bands.next(heavy);
      if (work === undefined) continue;
      this.#byName.delete(tenant);
      if (!bands.isEmpty) this.#byName.set(tenant, bands);
      return work;
    }
    return undefined;
  }
}

/** The works of one tenant, from the lightest band to the heaviest. */
class Bands<Work extends InLine> {
  readonly #bands: readonly Set<Work>[] = Array.from(
    { length: weightBands.length + 1 },
    () => new Set<Work>(),
  );
  #choices = 0;

  get isEmpty(): boolean {
    return this.#bands.every((band) => band.size === 0);
  }

  add(work: Work): void {
    this.#bandOf(work)?.add(work);
  }

  remove(work: Work): void {
    this.#bandOf(work)?.delete(work);
  }

  next(heavy: boolean): Work | undefined {
    const bands = heavy ? this.#bands : this.#bands.slice(0, -1);
    const isHeaviestsTurn = (this.#choices + 1) % choicesOfTheRest === 0;
    const isWaiting = (band: Set<Work>): boolean => band.size > 0;
    const band = isHeaviestsTurn ? bands.findLast(isWaiting) : bands.find(isWaiting);
    if (band !== undefined) this.#choices += 1;
    for (const work of band ?? []) {
      band?.delete(work);
      return work;
    }
    return undefined;
  }

  #bandOf({ weight }: Work): Set<Work> | undefined {
    // None is found for the heaviest: -1, the last band.
    return this.#bands.at(weightBands.findIndex((bound) => weight <= bound));
  }
}
