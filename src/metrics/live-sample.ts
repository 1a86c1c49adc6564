import {
  type LiveClass,
  type LivePipeline,
  type LiveSample,
  type PipelineStatus,
  type StatusResponse,
  type WorkClass,
  workClasses,
} from "millrace-client/wire";

/** `atMs`: Unix time in milliseconds. */
export function liveSampleOf(status: StatusResponse, atMs: number): LiveSample {
  const { items, requests, pipelines, process: own } = status;
  const { rssBytes, queuedBytes, eventLoopDelayP99Ms } = own;
  const classes = Object.fromEntries(workClasses.map((each) => [each, classOf(status, each)]));
  return {
    atMs,
    classes: classes as LiveSample["classes"],
    items,
    requests,
    pipelines: pipelines.map(livePipelineOf),
    rssBytes,
    queuedBytes,
    eventLoopDelayP99Ms,
  };
}

function classOf({ queues, finished }: StatusResponse, workClass: WorkClass): LiveClass {
  const { count = 0, p50Ms = 0, p99Ms = 0 } = finished?.[workClass] ?? {};
  let queuedItems = 0;
  let oldestWaitMs = 0;
  for (const queue of queues) {
    if (queue.class !== workClass) continue;
    queuedItems += queue.items;
    oldestWaitMs = Math.max(oldestWaitMs, queue.oldestWaitMs);
  }
  return { finished: count, p50Ms, p99Ms, queuedItems, oldestWaitMs };
}

function livePipelineOf(pipeline: PipelineStatus): LivePipeline {
  const { pipelineId, state, restarts, items, memoryBytes, cacheBytes, work = [] } = pipeline;
  return { pipelineId, state, restarts, inFlight: items.inFlight, memoryBytes, cacheBytes, work };
}
