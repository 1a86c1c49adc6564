/**
 * Learns ms ≈ fixed + perUnit × units from runs as they end; older runs count less and less. The scheduler has a line of
 * its own (service-time.ts), which believes otherwise where runs say nothing of a slope: this one cuts runs, and takes all
 * for proportional, so that it is never too bold.
 */
import { FadingSums } from "../work/fading-sums.js";

const keep = 0.98;

export class RunCost {
  readonly #runs = new FadingSums();
  readonly #priorMsPerUnit: number;

  /** `priorMsPerUnit` answers until the first run has ended. */
  constructor(priorMsPerUnit: number) {
    this.#priorMsPerUnit = priorMsPerUnit;
  }

  learn(units: number, ms: number): void {
    this.#runs.fade(keep);
    this.#runs.add(1, units, ms);
  }

  predictMs(units: number): number {
    if (this.#runs.weight === 0) return units * this.#priorMsPerUnit;
    const { fixedMs, msPerUnit } = this.#line();
    return fixedMs + msPerUnit * units;
  }

  /** What a run takes however little is in it. */
  get fixedMs(): number {
    return this.#runs.weight === 0 ? 0 : this.#line().fixedMs;
  }

  /** Most units whose predicted time stays within `ms`; at least one. */
  unitsWithin(ms: number): number {
    const { fixedMs, msPerUnit } =
      this.#runs.weight === 0 ? { fixedMs: 0, msPerUnit: this.#priorMsPerUnit } : this.#line();
    if (msPerUnit <= 0) return Number.POSITIVE_INFINITY;
    return Math.max(1, Math.floor((ms - fixedMs) / msPerUnit));
  }

  /** Never negative: where the fit says so, all cost is taken to be proportional. */
  #line(): { fixedMs: number; msPerUnit: number } {
    const { meanX: meanUnits, meanY: meanMs, spread, covariance } = this.#runs.moments;
    const slope = spread > 1e-9 * meanUnits ** 2 ? covariance / spread : 0;
    const proportional = meanUnits === 0 ? 0 : meanMs / meanUnits;
    const msPerUnit = slope <= 0 || slope > proportional ? proportional : slope;
    return { fixedMs: Math.max(0, meanMs - msPerUnit * meanUnits), msPerUnit };
  }
}
