/** Sums what the runs of each stage did, until somebody takes the sums. */
import { type RunsOfSize, runSizesMax, type StageReport } from "../frames/messages.js";
import { noRuns, type RunSums, runsTogether } from "../work/run-sums.js";

/** What one run did. */
export type MeasuredRun = Omit<RunSums, "runs">;

interface MeasuredStage {
  readonly sums: RunSums;
  readonly sizes: Map<number, RunsOfSize>;
}

export class StageMeter {
  #stages = new Map<string, MeasuredStage>();

  add(stage: string, run: MeasuredRun): void {
    const { sums, sizes } = this.#stages.get(stage) ?? { sums: noRuns, sizes: new Map() };
    const rows = Math.min(runSizesMax, Math.max(1, run.rows));
    const { runs, ms } = sizes.get(rows) ?? { runs: 0, ms: 0 };
    sizes.set(rows, { rows, runs: runs + 1, ms: ms + run.ms });
    this.#stages.set(stage, { sums: runsTogether(sums, { ...run, runs: 1 }), sizes });
  }

  take(): readonly StageReport[] {
    const taken = [...this.#stages];
    this.#stages = new Map();
    return taken.map(([stage, { sums, sizes }]) => ({
      stage,
      ...sums,
      sizes: [...sizes.values()],
    }));
  }
}
