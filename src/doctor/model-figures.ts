import type { ModelStatus } from "millrace-client/wire";
import { noRuns, type RunSums, runsTogether } from "../work/run-sums.js";
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
  readonly work: RunSums;
  /** Queued at the end. */
  readonly queuedItems: number;
}

export function modelFiguresOf({
  before,
  after,
  pipelines,
}: Pick<Figures, "before" | "after" | "pipelines">): readonly ModelFigures[] {
  const known = new Map(before.models.map((each) => [each.model, each]));
  return after.models.map((is) => {
    const was = known.get(is.model);
    const work = pipelines
      .flatMap((pipeline) => pipeline.work.filter(({ model }) => model === is.model))
      .reduce<RunSums>(runsTogether, noRuns);
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
