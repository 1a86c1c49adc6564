/** What a recording says of this server before anything arrives: by what it decides, and what it has learned. */
import type { RecordedModel, RecordHead } from "millrace-client/wire";
import type { Configuration } from "../options/resolve.js";
import type { SchedulerSnapshot } from "../scheduler/snapshot.js";
import { version } from "../version.js";
import type { PipelineSpec } from "../worker/pipeline.js";
import type { HostedFolder } from "./served-models.js";

export interface RecordedParts {
  readonly configuration: Configuration;
  readonly specs: readonly PipelineSpec[];
  readonly served: readonly HostedFolder[];
  readonly snapshot: SchedulerSnapshot;
  readonly pipelines: readonly {
    readonly pipelineId: string;
    readonly models: readonly { readonly model: string; readonly state: string }[];
  }[];
  /** As callers have it. */
  readonly nameOf: (key: string) => string;
  readonly openRequests: number;
}

export function recordedServer(
  parts: RecordedParts,
): Omit<RecordHead, "type" | "format" | "version" | "startedAtMs"> {
  const { configuration, specs, pipelines, nameOf, openRequests } = parts;
  const { options, machine } = configuration;
  const { policy, realtimeTargetMs, ageLimitMs, prefetchRows } = options;
  const { queuedItemsMax, queuedBytesMax, bulkThreshold, threads } = options;
  const decided = { policy, realtimeTargetMs, ageLimitMs, prefetchRows };
  return {
    millrace: version,
    machine: { cores: machine.cores, threads, memoryBytes: machine.memoryBytes },
    options: { ...decided, queuedItemsMax, queuedBytesMax, bulkThreshold },
    pipelines: specs.map(({ pipelineId, kind, modelMemoryBytesMax }) => {
      const its = pipelines.find((each) => each.pipelineId === pipelineId)?.models ?? [];
      const resident = its.filter(({ state }) => state === "resident");
      const names = resident.map(({ model }) => nameOf(model));
      return { pipelineId, kind, modelMemoryBytesMax, resident: names };
    }),
    models: parts.served.map((each) => recordedModel(each, parts.snapshot)),
    openRequests,
  };
}

function recordedModel(
  { folder, hosted }: HostedFolder,
  { models }: SchedulerSnapshot,
): RecordedModel {
  const { name, key, mode, keep, rowsMax, runRowsMax = null } = hosted;
  const known = models.find(({ model }) => model === key);
  const { bytes = hosted.bytes, loadMs = 0 } = known?.place ?? {};
  const { engine } = folder.manifest;
  const learned = known?.service ?? {};
  return { model: name, engine, mode, keep, bytes, loadMs, rowsMax, runRowsMax, learned };
}
