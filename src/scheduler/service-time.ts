import { FadingSums } from "../work/fading-sums.js";

/** One report of a pipeline: `runs` runs over `paddedUnits` in all took `ms`. */
export interface Measurement {
  readonly stage: string;
  readonly runs: number;
  readonly paddedUnits: number;
  readonly ms: number;
}

/** ms = perRunMs · runs + perUnitMs · padded units. */
export interface ServiceFit {
  readonly perRunMs: number;
  readonly perUnitMs: number;
}

/** What is believed before anything was measured: a small encoder on two cores, 8 rows of 32 in about 9 ms. */
const prior: ServiceFit = { perRunMs: 2, perUnitMs: 0.03 };
/** Share of the past that each report leaves standing: about the last fifty count. */
const keep = 0.98;
/** A report of many runs counts more than one of a single run, but not without bound. */
const weightMax = 16;

/**
 * Expected service of a model: for each stage a least-squares line that forgets. The sums of squares decay, and the
 * prior is two made-up points that decay with them, so the fit is never singular.
 * An engine has a line of its own for each kind of run (run-cost.ts): that one knows single runs, and cuts the next by them.
 */
export class ServiceTime {
  readonly #stages = new Map<string, StageFit>();
  /** Of all stages together. */
  #fit: ServiceFit = prior;

  learn(measured: Measurement): void {
    if (measured.runs <= 0 || measured.paddedUnits < 0 || !(measured.ms >= 0)) return;
    let stage = this.#stages.get(measured.stage);
    if (stage === undefined) {
      stage = new StageFit();
      this.#stages.set(measured.stage, stage);
    }
    stage.learn(measured);
    let [perRunMs, perUnitMs] = [0, 0];
    for (const { fit } of this.#stages.values()) {
      perRunMs += fit.perRunMs;
      perUnitMs += fit.perUnitMs;
    }
    this.#fit = { perRunMs, perUnitMs };
  }

  /** Expected milliseconds of one run over so many padded units, all stages together. */
  expectedMs(paddedUnits: number): number {
    return this.#fit.perRunMs + this.#fit.perUnitMs * paddedUnits;
  }

  /** Learned lines by stage, for status. */
  get stages(): Readonly<Record<string, ServiceFit>> {
    return Object.fromEntries([...this.#stages].map(([name, { fit }]) => [name, fit]));
  }
}

/** Of reports: x = padded units a run, y = ms a run. */
class StageFit {
  readonly #reports = new FadingSums();
  fit: ServiceFit = prior;

  constructor() {
    for (const x of [64, 1024]) this.#reports.add(1, x, prior.perRunMs + prior.perUnitMs * x);
  }

  learn({ runs, paddedUnits, ms }: Measurement): void {
    this.#reports.fade(keep);
    this.#reports.add(Math.min(runs, weightMax), paddedUnits / runs, ms / runs);
    this.fit = this.#solve();
  }

  #solve(): ServiceFit {
    const { meanX, meanY, spread, covariance } = this.#reports.moments;
    // Where all reports have one length, only their mean is known: share it as the last fit did.
    if (spread < 1e-6 * (1 + meanX * meanX)) {
      const believed = this.fit.perRunMs + this.fit.perUnitMs * meanX;
      const scale = believed > 0 ? meanY / believed : 1;
      return { perRunMs: this.fit.perRunMs * scale, perUnitMs: this.fit.perUnitMs * scale };
    }
    const slope = covariance / spread;
    // Neither part of a time is negative: what one would take below zero belongs to the other.
    if (slope < 0) return { perRunMs: meanY, perUnitMs: 0 };
    const perRunMs = meanY - slope * meanX;
    if (perRunMs >= 0) return { perRunMs, perUnitMs: slope };
    return { perRunMs: 0, perUnitMs: meanX > 0 ? meanY / meanX : 0 };
  }
}
