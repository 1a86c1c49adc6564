/**
 * Which texts were there before: 64 bits of each in a table of numbers, 8 bytes a place and half of the places free. Of a million
 * texts two that differ are taken for the same one with a probability of one in thirty million.
 */
import { createHash } from "node:crypto";

const placesMin = 1_024;

export class HashTable {
  readonly #seed: Uint8Array;
  /** Two numbers a place, both 0 where it is free. */
  #places = new Uint32Array(2 * placesMin);
  #texts = 0;

  /** `seed`: that nobody makes texts of which all want the same place. */
  constructor(seed: Uint8Array) {
    this.#seed = seed;
  }

  /** False: it was there already. */
  add(text: string): boolean {
    const digest = createHash("sha256").update(this.#seed).update(text).digest();
    // Never both 0.
    const isNew = put(this.#places, digest.readUInt32LE(0), digest.readUInt32LE(4) || 1);
    if (!isNew) return false;
    this.#texts += 1;
    if (4 * this.#texts > this.#places.length) this.#grow();
    return true;
  }

  #grow(): void {
    const grown = new Uint32Array(2 * this.#places.length);
    for (let at = 0; at < this.#places.length; at += 2) {
      const high = this.#places[at + 1] ?? 0;
      if (high !== 0) put(grown, this.#places[at] ?? 0, high);
    }
    this.#places = grown;
  }
}

function put(places: Uint32Array, low: number, high: number): boolean {
  const mask = places.length / 2 - 1;
  for (let place = low & mask; ; place = (place + 1) & mask) {
    const at = 2 * place;
    if (places[at + 1] === 0) {
      places[at] = low;
      places[at + 1] = high;
      return true;
    }
    if (places[at] === low && places[at + 1] === high) return false;
  }
}
