/** What runs took, added up: of a stage, of a model, of a pipeline, and from one report to another. */
import type { PipelineWork } from "millrace-client/wire";

/** Milliseconds, and units as `StageTime` has them. */
export type RunSums = Omit<PipelineWork, "model">;

export const noRuns: RunSums = { runs: 0, rows: 0, units: 0, paddedUnits: 0, ms: 0 };

/** These fields only: what either has beside them is left out. */
export function runsTogether(one: RunSums, other: RunSums): RunSums {
  return {
    runs: one.runs + other.runs,
    rows: one.rows + other.rows,
    units: one.units + other.units,
    paddedUnits: one.paddedUnits + other.paddedUnits,
    ms: one.ms + other.ms,
  };
}
