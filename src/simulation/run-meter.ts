import type { StageReport } from "../frames/messages.js";
import type { EngineRun } from "./simulated-engine.js";

/** Sums of what was run since they were taken last. */
export class RunMeter {
  readonly #stages = new Map<string, Omit<StageReport, "sizes">>();

  add({ stage, runs, rows, units, paddedUnits }: EngineRun, ms: number): void {
    const so = this.#stages.get(stage);
    this.#stages.set(stage, {
      stage,
      runs: runs + (so?.runs ?? 0),
      rows: rows + (so?.rows ?? 0),
      units: units + (so?.units ?? 0),
      paddedUnits: paddedUnits + (so?.paddedUnits ?? 0),
      ms: ms + (so?.ms ?? 0),
    });
  }

  take(): StageReport[] {
    const stages = [...this.#stages.values()];
    this.#stages.clear();
    // Nobody here looks at them.
    return stages.map((sums) => ({ ...sums, sizes: [] }));
  }
}
