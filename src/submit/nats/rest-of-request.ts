/** What of a large request no node has: the places that were never given out, and those that came back. */
export interface LotPlaces {
  /** Rising. */
  readonly places: readonly number[];
  /** How often a node was lost that had them. */
  readonly losses: number;
}

export class RestOfRequest {
  readonly #inputs: number;
  /** From here on nobody had any. */
  #next = 0;
  /** What came back goes out first: the caller has waited for it. */
  readonly #again: LotPlaces[] = [];
  #items: number;

  constructor(inputs: number) {
    this.#inputs = inputs;
    this.#items = inputs;
  }

  get items(): number {
    return this.#items;
  }

  /** So many at the most, all of them lost equally often; at least one where there is any. */
  take(items: number): LotPlaces {
    const [again] = this.#again;
    const taken = again === undefined ? this.#fresh(items) : this.#ofAgain(again, items);
    this.#items -= taken.places.length;
    return taken;
  }

  giveBack(places: LotPlaces): void {
    if (places.places.length === 0) return;
    this.#again.push(places);
    this.#items += places.places.length;
  }

  #fresh(items: number): LotPlaces {
    const from = this.#next;
    this.#next = Math.min(this.#inputs, from + items);
    return { places: Array.from({ length: this.#next - from }, (_, at) => from + at), losses: 0 };
  }

  #ofAgain({ places, losses }: LotPlaces, items: number): LotPlaces {
    this.#again.shift();
    const left = places.slice(items);
    if (left.length > 0) this.#again.unshift({ places: left, losses });
    return { places: places.slice(0, items), losses };
  }
}
