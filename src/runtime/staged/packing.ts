/**
 * Who shares a run with the input that waits longest: neighbours in width, so that little of the run is padding.
 *
 *   widths in order   3  5 [8 9 ‹9› 10 10] 24 31      ‹ › leads; each side grows while limits and padding allow
 *
 * Pure. In a run everything is as wide as the widest, so an input's units are stretched by widest / width.
 */
import type { Cost } from "../../work/cost.js";

export interface PackingLimits {
  readonly rowsMax: number;
  readonly paddedUnitsMax: number;
}

export interface Packed<Input> {
  /** The leader first. */
  readonly chunk: readonly Input[];
  readonly rows: number;
  readonly width: number;
  readonly paddedUnits: number;
  /** Another like these would not have fitted, so nothing is gained by waiting for it. */
  readonly full: boolean;
}

/** Padded units for each unit that is not: more is not worth the start of a run that it saves. */
const paddingMax = 1.25;

/** The leader by itself, whatever its size. `candidates` may hold the leader; who comes first is taken first. */
export function pack<Input extends { readonly cost: Cost }>(
  leader: Input,
  candidates: readonly Input[],
  limits: PackingLimits,
): Packed<Input> {
  const sums = new Sums(leader.cost);
  const chunk = [leader];
  let full = !sums.mayGrow(leader.cost, limits);
  const { narrower, wider } = neighbours(leader, candidates);
  let [below, above] = [0, 0];
  for (;;) {
    const nextBelow = narrower[below];
    const nextAbove = wider[above];
    if (nextBelow === undefined && nextAbove === undefined) break;
    const isBelow = isNearer(nextBelow, nextAbove, leader.cost.width);
    const next = isBelow ? nextBelow : nextAbove;
    if (next === undefined) break;
    const joins = sums.joins(next.cost, limits);
    if (joins === "yes") {
      sums.add(next.cost);
      chunk.push(next);
    }
    full ||= joins === "full";
    // Whoever is further off on this side would be padded more, or has too many rows as well.
    if (isBelow) below = joins === "padding" ? narrower.length : below + 1;
    else above = joins === "yes" ? above + 1 : wider.length;
    if (full) break;
  }
  full ||= !sums.mayGrow(leader.cost, limits);
  const { rows, width, paddedUnits } = sums;
  return { chunk, rows, width, paddedUnits, full };
}

/** The nearest first; of the same width in the order in which they came. */
function neighbours<Input extends { readonly cost: Cost }>(
  leader: Input,
  candidates: readonly Input[],
): { readonly narrower: readonly Input[]; readonly wider: readonly Input[] } {
  const { width, batchKey } = leader.cost;
  const narrower: Input[] = [];
  const wider: Input[] = [];
  for (const input of candidates) {
    if (input === leader || input.cost.batchKey !== batchKey) continue;
    (input.cost.width <= width ? narrower : wider).push(input);
  }
  narrower.sort((a, b) => b.cost.width - a.cost.width);
  wider.sort((a, b) => a.cost.width - b.cost.width);
  return { narrower, wider };
}

function isNearer<Input extends { readonly cost: Cost }>(
  below: Input | undefined,
  above: Input | undefined,
  width: number,
): boolean {
  if (below === undefined || above === undefined) return below !== undefined;
  return width - below.cost.width <= above.cost.width - width;
}

class Sums {
  rows: number;
  width: number;
  /** Units for each unit of width, over all inputs. */
  #density: number;
  #units: number;

  constructor(leader: Cost) {
    this.rows = leader.rows;
    this.width = leader.width;
    this.#density = densityOf(leader);
    this.#units = leader.units;
  }

  get paddedUnits(): number {
    return this.#density * this.width;
  }

  add(cost: Cost): void {
    this.rows += cost.rows;
    this.width = Math.max(this.width, cost.width);
    this.#density += densityOf(cost);
    this.#units += cost.units;
  }

  joins(cost: Cost, limits: PackingLimits): "yes" | "full" | "padding" {
    const padded = (this.#density + densityOf(cost)) * Math.max(this.width, cost.width);
    const isTooMany = this.rows + cost.rows > limits.rowsMax || padded > limits.paddedUnitsMax;
    // Wider ones stretch all that are there: without them there may still be room for others.
    if (isTooMany) return this.mayGrow(cost, limits) ? "padding" : "full";
    return padded > paddingMax * (this.#units + cost.units) ? "padding" : "yes";
  }

  /** One more of that size, and no wider than what is there, is within the limits. */
  mayGrow(cost: Cost, limits: PackingLimits): boolean {
    const padded = (this.#density + densityOf(cost)) * this.width;
    return this.rows + cost.rows <= limits.rowsMax && padded <= limits.paddedUnitsMax;
  }
}

function densityOf({ units, width }: Cost): number {
  return units / Math.max(1, width);
}
