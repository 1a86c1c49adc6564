/** Sums what the runs of each stage did, until somebody takes the sums. */
import { type RunsOfSize, runSizesMax, type StageReport } from "../frames/messages.js";

type Sums = Omit<StageReport, "sizes">;

/** What one run did. */
export type MeasuredRun = Omit<Sums, "stage" | "runs">;

export class StageMeter {
  #stages = new Map<string, { sums: Sums; readonly sizes: Map<number, RunsOfSize> }>();

  add(stage: string, run: MeasuredRun): void {
    const { sums, sizes } = this.#stages.get(stage) ?? { sums: null, sizes: new Map() };
    const all = {
      stage,
      runs: (sums?.runs ?? 0) + 1,
      rows: (sums?.rows ?? 0) + run.rows,
      units: (sums?.units ?? 0) + run.units,
      paddedUnits: (sums?.paddedUnits ?? 0) + run.paddedUnits,
      ms: (sums?.ms ?? 0) + run.ms,
    };
    const rows = Math.min(runSizesMax, Math.max(1, run.rows));
    const { runs, ms } = sizes.get(rows) ?? { runs: 0, ms: 0 };
    sizes.set(rows, { rows, runs: runs + 1, ms: ms + run.ms });
    this.#stages.set(stage, { sums: all, sizes });
  }

  take(): readonly StageReport[] {
    const taken = [...this.#stages.values()];
    this.#stages = new Map();
    return taken.map(({ sums, sizes }) => ({ ...sums, sizes: [...sizes.values()] }));
  }
}
