/** Learns ms ≈ fixed + perUnit × units from runs as they end; older runs count less and less. */

const forget = 0.98;

export class RunCost {
  #weight = 0;
  #units = 0;
  #ms = 0;
  #unitsSquared = 0;
  #unitsMs = 0;
  readonly #priorMsPerUnit: number;

  /** `priorMsPerUnit` answers until the first run has ended. */
  constructor(priorMsPerUnit: number) {
    this.#priorMsPerUnit = priorMsPerUnit;
  }

  learn(units: number, ms: number): void {
    this.#weight = this.#weight * forget + 1;
    this.#units = this.#units * forget + units;
    this.#ms = this.#ms * forget + ms;
    this.#unitsSquared = this.#unitsSquared * forget + units * units;
    this.#unitsMs = this.#unitsMs * forget + units * ms;
  }

  predictMs(units: number): number {
    if (this.#weight === 0) return units * this.#priorMsPerUnit;
    const { fixedMs, msPerUnit } = this.#line();
    return fixedMs + msPerUnit * units;
  }

  /** What a run takes however little is in it. */
  get fixedMs(): number {
    return this.#weight === 0 ? 0 : this.#line().fixedMs;
  }

  /** Most units whose predicted time stays within `ms`; at least one. */
  unitsWithin(ms: number): number {
    const { fixedMs, msPerUnit } =
      this.#weight === 0 ? { fixedMs: 0, msPerUnit: this.#priorMsPerUnit } : this.#line();
    if (msPerUnit <= 0) return Number.POSITIVE_INFINITY;
    return Math.max(1, Math.floor((ms - fixedMs) / msPerUnit));
  }

  /** Never negative: where the fit says so, all cost is taken to be proportional. */
  #line(): { fixedMs: number; msPerUnit: number } {
    const meanUnits = this.#units / this.#weight;
    const meanMs = this.#ms / this.#weight;
    const variance = this.#unitsSquared / this.#weight - meanUnits ** 2;
    const covariance = this.#unitsMs / this.#weight - meanUnits * meanMs;
    const slope = variance > 1e-9 * meanUnits ** 2 ? covariance / variance : 0;
    const proportional = meanUnits === 0 ? 0 : meanMs / meanUnits;
    const msPerUnit = slope <= 0 || slope > proportional ? proportional : slope;
    return { fixedMs: Math.max(0, meanMs - msPerUnit * meanUnits), msPerUnit };
  }
}
