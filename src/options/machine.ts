/** The machine that was found, and the defaults that follow from it. The one place to tune them. */
import { availableParallelism, hostname, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

export interface Machine {
  readonly cores: number;
  readonly memoryBytes: number;
  /** Reduced to the characters that a header may carry. */
  readonly hostName: string;
  readonly bundledModelsDir: string;
}

/** What was asked for explicitly, from any source; null: not asked for. */
export interface Layout {
  readonly pipelines: number | null;
  readonly realtimePipelines: number | null;
  readonly batchPipelines: number | null;
}

export function findMachine(): Machine {
  return {
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    hostName:
      hostname()
        .replace(/[^A-Za-z0-9._-]/g, "-")
        .slice(0, 64) || "unknown",
    // dist/options/machine.js → the package's own folder of models.
    bundledModelsDir: fileURLToPath(new URL("../../models", import.meta.url)),
  };
}

export function defaultPipelines(machine: Machine, layout: Layout): number {
  if (isDedicated(layout)) return 0;
  return Math.max(1, Math.floor(machine.cores / 2));
}

export function defaultThreads(machine: Machine, layout: Layout): number {
  const pipelines = isDedicated(layout)
    ? (layout.realtimePipelines ?? 0) + (layout.batchPipelines ?? 0)
    : (layout.pipelines ?? defaultPipelines(machine, layout));
  return Math.max(1, Math.floor(machine.cores / Math.max(1, pipelines)));
}

export function isDedicated(layout: Layout): boolean {
  return (layout.realtimePipelines ?? 0) > 0 || (layout.batchPipelines ?? 0) > 0;
}
