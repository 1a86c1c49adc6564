/** Sums what the runs of each stage did, until somebody takes the sums. */
import type { StageReport } from "../frames/messages.js";

export class StageMeter {
  #stages = new Map<string, StageReport>();

  add(stage: string, run: Omit<StageReport, "stage" | "runs">): void {
    const sum = this.#stages.get(stage);
    this.#stages.set(stage, {
      stage,
      runs: (sum?.runs ?? 0) + 1,
      rows: (sum?.rows ?? 0) + run.rows,
      units: (sum?.units ?? 0) + run.units,
      paddedUnits: (sum?.paddedUnits ?? 0) + run.paddedUnits,
      ms: (sum?.ms ?? 0) + run.ms,
    });
  }

  take(): readonly StageReport[] {
    const taken = [...this.#stages.values()];
    this.#stages = new Map();
    return taken;
  }
}
