/** The machine that was found, and the defaults that follow from it. The one place to tune them. */
import { availableParallelism, hostname, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ContainerLimits } from "../platform/container-limits.js";
import { platform } from "../platform/platform.js";

export interface Machine {
  /** What this process may use: the machine's processors, or fewer where a container's quota says so. */
  readonly cores: number;
  /** In words, for people: where `cores` is from. */
  readonly coresFrom: string;
  readonly memoryBytes: number;
  readonly memoryFrom: string;
  /** Files and connections that this process may have open; null: unknown. */
  readonly openFilesMax: number | null;
  /** Reduced to the characters that a header may carry. */
  readonly hostName: string;
  readonly bundledModelsDir: string;
  /** Where this user's programs keep what they can make again. */
  readonly cacheDir: string;
}

/** What was asked for explicitly, from any source; null: not asked for. */
export interface Layout {
  readonly pipelines: number | null;
  readonly realtimePipelines: number | null;
  readonly bulkPipelines: number | null;
  readonly threads: number | null;
}

export function findMachine(): Machine {
  return {
    ...resourcesOf({
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      limits: platform.containerLimits(),
    }),
    openFilesMax: platform.openFilesMax(),
    hostName:
      hostname()
        .replace(/[^A-Za-z0-9._-]/g, "-")
        .slice(0, 64) || "unknown",
    // dist/options/machine.js → the package's own folder of models.
    bundledModelsDir: fileURLToPath(new URL("../../models", import.meta.url)),
    cacheDir: join(platform.cacheHome, "millrace"),
  };
}

export interface HostResources {
  /** As Node sees them: the whole machine's, less what an affinity mask takes. */
  readonly cores: number;
  readonly memoryBytes: number;
  readonly limits: ContainerLimits;
}

/**
 * A quota of 1.5 processors is one core: with two threads the group would have spent its share of each period
 * before the period is over, and then all of it stands still, the server's own process too. The half that is left
 * is what that process works with.
 */
export function resourcesOf({
  cores,
  memoryBytes,
  limits,
}: HostResources): Pick<Machine, "cores" | "coresFrom" | "memoryBytes" | "memoryFrom"> {
  const quota = limits.cpus;
  const quotaCores = quota === null ? Infinity : Math.max(1, Math.floor(quota.value));
  const memory = limits.memoryBytes;
  return {
    ...(quota === null || quotaCores >= cores
      ? { cores, coresFrom: "the machine's processors" }
      : { cores: quotaCores, coresFrom: `a quota of ${rounded(quota.value)} in ${quota.from}` }),
    ...(memory === null || memory.value >= memoryBytes
      ? { memoryBytes, memoryFrom: "the machine's memory" }
      : { memoryBytes: memory.value, memoryFrom: memory.from }),
  };
}

function rounded(value: number): string {
  return String(Number(value.toFixed(2)));
}

/** What a pipeline takes with two or three models of 100 MB and their caches, of beams too (docs/inside/engine.md#memory); the system and the server's own process have the rest. */
const pipelineBytes = 1.5 * 1024 ** 3;
/** More than that is for who has measured it. */
export const pipelinesMax = 64;

/**
 * One for each core: a second thread of a pipeline brings much less than a second pipeline (docs/benchmarks.md), since most
 * of a step is too small to be divided. Where memory is short there are fewer, of as many threads as leave no core idle.
 */
export function defaultPipelines(machine: Machine, layout: Layout): number {
  if (isDedicated(layout)) return 0;
  const ofMemory = Math.max(1, Math.floor(machine.memoryBytes / pipelineBytes));
  const most = Math.min(machine.cores, ofMemory, pipelinesMax);
  const threads = layout.threads ?? Math.ceil(machine.cores / most);
  return Math.max(1, Math.min(most, Math.floor(machine.cores / threads)));
}

export function defaultThreads(machine: Machine, layout: Layout): number {
  const pipelines = isDedicated(layout)
    ? (layout.realtimePipelines ?? 0) + (layout.bulkPipelines ?? 0)
    : (layout.pipelines ?? defaultPipelines(machine, layout));
  return Math.max(1, Math.floor(machine.cores / Math.max(1, pipelines)));
}

/**
 * Half: the other one is for the system, the queue, and what runs take, 40 to 60 MB in each pipeline beside its models, twice that of a large one with beams. It
 * keeps a dozen models of 100 MB on every pipeline of a machine of 4 GiB, since weights that are mapped count once for all
 * pipelines (models/folder-bytes.ts). However models are spread, what is each pipeline's own is no more than this, and the rest
 * of it is mapped from files, which the kernel drops before it kills anybody.
 */
export function defaultModelMemory(machine: Machine): number {
  return Math.max(1024 ** 2, Math.floor(machine.memoryBytes / 2));
}

export function isDedicated(layout: Layout): boolean {
  return (layout.realtimePipelines ?? 0) > 0 || (layout.bulkPipelines ?? 0) > 0;
}
