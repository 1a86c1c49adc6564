import type { LiveSample, PipelineFault, PipelineStatus, PipelineWork } from "millrace-client/wire";
import { noRuns } from "../work/run-sums.js";
import type { Figures } from "./figures.js";
import { grownBy, grownSums } from "./window.js";

export interface PipelineFigures {
  readonly pipelineId: string;
  readonly kind: PipelineStatus["kind"];
  readonly state: PipelineStatus["state"];
  /** Why it is not ready, or how its last process ended; null: nothing was told of it. */
  readonly reason: string | null;
  /** The same for programs; null of an older server's too. */
  readonly fault: PipelineFault | null;
  /** In the window, as all below. */
  readonly restarts: number;
  /** What it ran, by model. */
  readonly work: readonly PipelineWork[];
  /** Share of the time that it computed, 0 to 1; it tells about once a second, so that a short window knows it roughly. */
  readonly busyShare: number;
  /** Share of the looks in which it had items, 0 to 1. */
  readonly occupiedShare: number;
  readonly doing: PipelineStatus["doing"];
}

export function pipelineFiguresOf({
  before,
  after,
  samples,
  windowMs,
}: Pick<Figures, "before" | "after" | "samples" | "windowMs">): readonly PipelineFigures[] {
  const known = new Map(before.pipelines.map((each) => [each.pipelineId, each]));
  return after.pipelines.map((pipeline) => {
    const { pipelineId, kind, state, doing, lastEnd } = pipeline;
    const was = known.get(pipelineId);
    const work = workBetween(was?.work ?? [], pipeline.work ?? []);
    const ms = work.reduce((sum, each) => sum + each.ms, 0);
    return {
      pipelineId,
      kind,
      state,
      reason: pipeline.reason ?? lastEnd?.reason ?? null,
      fault: pipeline.code ?? lastEnd?.code ?? null,
      restarts: grownBy(was?.restarts ?? 0, pipeline.restarts),
      work,
      busyShare: Math.min(1, ms / windowMs),
      occupiedShare: occupiedShareOf(pipelineId, samples),
      doing,
    };
  });
}

function workBetween(
  before: readonly PipelineWork[],
  after: readonly PipelineWork[],
): readonly PipelineWork[] {
  const known = new Map(before.map((each) => [each.model, each]));
  const between = after.map((is): PipelineWork => {
    const was = known.get(is.model) ?? noRuns;
    const sums = grownSums(was, is, ["runs", "rows", "units", "paddedUnits", "ms"]);
    return { model: is.model, ...sums };
  });
  return between.filter(({ runs }) => runs > 0);
}

function occupiedShareOf(id: string, samples: readonly LiveSample[]): number {
  const looks = samples.flatMap(({ pipelines }) =>
    pipelines.filter(({ pipelineId }) => pipelineId === id),
  );
  const occupied = looks.filter(({ inFlight }) => inFlight > 0);
  return looks.length === 0 ? 0 : occupied.length / looks.length;
}
