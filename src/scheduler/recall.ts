import type { FedPipeline, HeldBatch } from "./fed-pipeline.js";
import type { ModelState } from "./model-state.js";

/**
 * The waiting bulk batch that is to be asked back because realtime finds every place of a one-shot model taken: that of
 * the pipeline which is through soonest, and one at a time. Null: there is a free place, one that is being freed, or
 * nothing to ask for.
 */
export function batchToRecall(
  model: ModelState,
  nowMs: number,
): { readonly pipeline: FedPipeline; readonly batch: HeldBatch } | null {
  if (model.queuedOf("realtime") === 0) return null;
  let soonest: { readonly pipeline: FedPipeline; readonly batch: HeldBatch } | null = null;
  for (const pipeline of model.pipelines) {
    if (pipeline.isClosed || pipeline.capacity.mode !== "one-shot") continue;
    if (!model.serves(pipeline, "realtime")) continue;
    const batch = pipeline.batches[1];
    if (batch === undefined || batch.recalled) return null;
    if (!batch.recallable) continue;
    if (soonest === null || isSooner(pipeline, soonest.pipeline, nowMs))
      soonest = { pipeline, batch };
  }
  return soonest;
}

function isSooner(a: FedPipeline, b: FedPipeline, nowMs: number): boolean {
  const ms = a.host.busyMs(nowMs) - b.host.busyMs(nowMs);
  return ms < 0 || (ms === 0 && a.effortBeside("bulk") < b.effortBeside("bulk"));
}
