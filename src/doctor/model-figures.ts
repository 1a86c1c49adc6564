import type { ModelStatus, PipelineWork } from "millrace-client/wire";
import type { Figures } from "./figures.js";
import { grownBy } from "./window.js";

export interface ModelFigures
  extends Pick<
    ModelStatus,
    "model" | "state" | "reason" | "bytes" | "loadMs" | "loadFailures" | "recommended"
  > {
  /** In the window. */
  readonly loads: number;
  readonly evictions: number;
  /** Over all pipelines, in the window; zeros where nothing ran. */
  readonly work: Omit<PipelineWork, "model">;
  /** Queued at the end. */
  readonly queuedItems: number;
}

const nothing = { runs: 0, rows: 0, units: 0, paddedUnits: 0, ms: 0 };

export function modelFiguresOf({
  before,
  after,
  pipelines,
}: Pick<Figures, "before" | "after" | "pipelines" | "windowMs">): readonly ModelFigures[] {
  const known = new Map(before.models.map((each) => [each.model, each]));
  return after.models.map((is) => {
    const was = known.get(is.model);
    const work = pipelines
      .flatMap((pipeline) => pipeline.work.filter(({ model }) => model === is.model))
      .reduce(plus, nothing);
    const queues = after.queues.filter(({ model }) => model === is.model);
    return {
      ...is,
      loads: grownBy(was?.loads ?? 0, is.loads),
      evictions: grownBy(was?.evictions ?? 0, is.evictions),
      work,
      queuedItems: queues.reduce((sum, { items }) => sum + items, 0),
    };
  });
}

type Sums = ModelFigures["work"];

function plus(sums: Sums, more: Sums): Sums {
  return {
    runs: sums.runs + more.runs,
    rows: sums.rows + more.rows,
    units: sums.units + more.units,
    paddedUnits: sums.paddedUnits + more.paddedUnits,
    ms: sums.ms + more.ms,
  };
}
