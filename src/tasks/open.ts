/** Opens each model's folder for its task: on the event loop and, again, in the prepare thread. */
import { MillraceError } from "millrace-client/wire";
import { checkVersion } from "../models/folder-version.js";
import type { BrokenFolder, ModelFolder } from "../models/registry.js";
import type { PrepareThreadOptions } from "../prepare/thread/prepare-thread.js";
import { lentTasks, taskOf } from "./table.js";
import type { PrepareLimits, TaskModel } from "./task.js";

export interface OpenedModels {
  /** By the names that are served. */
  readonly models: ReadonlyMap<string, TaskModel>;
  /** Folders that are left out because nothing can be prepared for them, each with the reason. */
  readonly broken: readonly BrokenFolder[];
}

/** Those that `isOpen` gives are open already: the same version is not opened twice. */
export async function openTaskModels(
  folders: readonly ModelFolder[],
  limits: PrepareLimits,
  isOpen: (folder: ModelFolder) => TaskModel | undefined = () => undefined,
): Promise<OpenedModels> {
  const models = new Map<string, TaskModel>();
  const broken: BrokenFolder[] = [];
  for (const folder of folders) {
    try {
      const model = isOpen(folder) ?? (await openTaskModel(folder, limits));
      models.set(folder.manifest.name, model);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      broken.push({ dir: folder.path ?? folder.dir, reason: error.message });
    }
  }
  return { models, broken };
}

/** @throws MillraceError `model_folder_invalid` where it cannot be prepared for, `not_ready` where it is of another version now. */
export async function openTaskModel(
  folder: ModelFolder,
  limits: PrepareLimits,
): Promise<TaskModel> {
  const model = await taskOf(folder.manifest).open(folder, limits);
  const { dir, manifest, version } = folder;
  if (version !== undefined) await checkVersion(dir, manifest, version);
  return Object.assign(model, { lent: lentTasks(model) });
}

/** For the preparer; prepare-thread-entry.ts gets it in the thread. The folders are those of the models, by the models' keys. */
export function prepareThreadOf(
  folders: ReadonlyMap<string, ModelFolder>,
  limits: PrepareLimits,
): Pick<PrepareThreadOptions, "entry" | "data" | "models"> {
  const entry = new URL("prepare-thread-entry.js", import.meta.url);
  return { entry, data: limits, models: folders };
}
