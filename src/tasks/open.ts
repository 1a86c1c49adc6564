/** Opens each model's folder for its task: on the event loop and, again, in the prepare thread. */
import { MillraceError } from "millrace-client/wire";
import type { BrokenFolder, ModelFolder } from "../models/registry.js";
import type { PrepareThreadOptions } from "../prepare/thread/prepare-thread.js";
import { taskOf } from "./table.js";
import type { PrepareLimits, TaskModel } from "./task.js";

export interface OpenedModels {
  /** By the names that are served. */
  readonly models: ReadonlyMap<string, TaskModel>;
  /** Folders that are left out because nothing can be prepared for them, each with the reason. */
  readonly broken: readonly BrokenFolder[];
}

export async function openTaskModels(
  folders: readonly ModelFolder[],
  limits: PrepareLimits,
): Promise<OpenedModels> {
  const models = new Map<string, TaskModel>();
  const broken: BrokenFolder[] = [];
  for (const folder of folders) {
    try {
      models.set(folder.manifest.name, await taskOf(folder.manifest).open(folder, limits));
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      broken.push({ dir: folder.dir, reason: error.message });
    }
  }
  return { models, broken };
}

/** What prepare-thread-entry.ts opens again in the thread. */
export interface PrepareThreadData {
  readonly folders: readonly ModelFolder[];
  readonly limits: PrepareLimits;
}

/** For the preparer. */
export function prepareThreadOf(
  folders: readonly ModelFolder[],
  limits: PrepareLimits,
): Pick<PrepareThreadOptions, "entry" | "data"> {
  const data: PrepareThreadData = { folders, limits };
  return { entry: new URL("prepare-thread-entry.js", import.meta.url), data };
}
