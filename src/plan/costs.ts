/**
 * What runs of a model take on the machine that was recorded: by stage a line of padded units, and where runs of a number of rows were
 * seen often, how far those are off it. What is not a run, the way there and back and what a process does in between, is a time for each run.
 */
import type { RecordedModel, RecordedRuns } from "millrace-client/wire";
import type { RunMs } from "../simulation/simulated-engine.js";
import { FadingSums } from "../work/fading-sums.js";

export type RecordedStage = RecordedRuns["stages"][number];

/** Runs of a number of rows that are believed as much as the line is. */
const believedRuns = 20;
/** Neighbours in rows, as a power of two, that say something of each other. */
const nearBy = 0.5;

export interface StageLine {
  readonly perRunMs: number;
  readonly perUnitMs: number;
}

export class ModelCosts {
  readonly #stages: ReadonlyMap<string, StageCost>;

  constructor(model: RecordedModel, reports: readonly RecordedStage[]) {
    const names = [
      ...new Set([...Object.keys(model.learned), ...reports.map((each) => each.stage)]),
    ];
    const stages = names.map((name): [string, StageCost] => {
      const own = reports.filter(({ stage }) => stage === name);
      return [name, new StageCost(own, model.learned[name] ?? null)];
    });
    this.#stages = new Map(stages);
  }

  /** Nothing is known of any run: none was recorded, and none was before. */
  get isUnknown(): boolean {
    return this.#stages.size === 0;
  }

  /** In the order in which they were seen first. */
  get stages(): readonly string[] {
    return [...this.#stages.keys()];
  }

  readonly runMs: RunMs = (stage, { rows, paddedUnits }) => {
    const cost = this.#stages.get(stage);
    if (cost === undefined) throw new Error(`nothing is known of the stage ${stage}`);
    return cost.ms(rows, paddedUnits);
  };
}

interface SizeRatio {
  readonly rows: number;
  readonly runs: number;
  readonly ratio: number;
}

class StageCost {
  readonly #line: StageLine;
  /** By rows: how often, and the time beside what the line says. */
  readonly #ratios: readonly SizeRatio[];
  readonly #known = new Map<number, number>();

  constructor(reports: readonly RecordedStage[], learned: StageLine | null) {
    this.#line = lineOf(reports) ?? learned ?? { perRunMs: 0, perUnitMs: 0 };
    this.#ratios = ratiosOf(reports, this.#line);
  }

  ms(rows: number, paddedUnits: number): number {
    const { perRunMs, perUnitMs } = this.#line;
    return (perRunMs + perUnitMs * paddedUnits) * this.#ratioAt(rows);
  }

  #ratioAt(rows: number): number {
    const known = this.#known.get(rows);
    if (known !== undefined) return known;
    let [weight, sum] = [believedRuns, believedRuns];
    for (const near of this.#ratios) {
      const away = Math.abs(Math.log2(near.rows / rows));
      if (away >= nearBy) continue;
      const counts = near.runs * (1 - away / nearBy);
      weight += counts;
      sum += counts * near.ratio;
    }
    const ratio = sum / weight;
    this.#known.set(rows, ratio);
    return ratio;
  }
}

/** The least squares of what a run took, each report weighing as many as it has. Null: no run was seen. */
function lineOf(reports: readonly RecordedStage[]): StageLine | null {
  const sums = new FadingSums();
  for (const { runs, paddedUnits, ms } of reports)
    if (runs > 0) sums.add(runs, paddedUnits / runs, ms / runs);
  if (sums.weight === 0) return null;
  const { meanX, meanY, spread, covariance } = sums.moments;
  const slope = spread > 1e-6 * (1 + meanX * meanX) ? covariance / spread : -1;
  const perRunMs = meanY - slope * meanX;
  if (slope >= 0 && perRunMs >= 0) return { perRunMs, perUnitMs: slope };
  // Where all were of one size, or larger ones took less: what a run takes by itself cannot be told from its units.
  return { perRunMs: 0, perUnitMs: meanX > 0 ? meanY / meanX : 0 };
}

/** Of a stage whose runs have as many units as rows: then what a run of so many takes is known, and not only what the line says. */
function ratiosOf(
  reports: readonly RecordedStage[],
  { perRunMs, perUnitMs }: StageLine,
): readonly SizeRatio[] {
  if (reports.some(({ rows, paddedUnits }) => rows !== paddedUnits)) return [];
  const sums = new Map<number, { runs: number; ms: number }>();
  for (const { sizes } of reports) {
    for (const [rows, runs, ms] of sizes) {
      const sum = sums.get(rows) ?? { runs: 0, ms: 0 };
      sums.set(rows, { runs: sum.runs + runs, ms: sum.ms + ms });
    }
  }
  return [...sums].flatMap(([rows, { runs, ms }]) => {
    const expectedMs = runs * (perRunMs + perUnitMs * rows);
    return expectedMs > 0 ? [{ rows, runs, ratio: ms / expectedMs }] : [];
  });
}

/** Milliseconds beside each run, of all pipelines and models. */
export function betweenRunsMs(lines: readonly RecordedRuns[]): number {
  let [runs, busyMs, ms] = [0, 0, 0];
  for (const line of lines) {
    if (line.busyMs === 0) continue;
    busyMs += line.busyMs;
    for (const stage of line.stages) {
      runs += stage.runs;
      ms += stage.ms;
    }
  }
  return runs === 0 ? 0 : Math.max(0, (busyMs - ms) / runs);
}
