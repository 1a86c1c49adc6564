/** Which models are served. Read once at the start; a folder that changes later is not noticed. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { type ModelManifest, manifestFileName } from "./manifest.js";
import { isMissing } from "./read-json.js";
import { readManifest, verifyFiles } from "./read-manifest.js";

export interface ModelFolder {
  readonly dir: string;
  readonly manifest: ModelManifest;
}

/** A folder that is not served, and why; shown wherever the models are listed. */
export interface BrokenFolder {
  readonly dir: string;
  readonly reason: string;
}

export class ModelRegistry {
  /** Folders that were left out because something is wrong with them. */
  readonly broken: readonly BrokenFolder[];
  readonly #models: ReadonlyMap<string, ModelFolder>;

  private constructor(models: ReadonlyMap<string, ModelFolder>, broken: readonly BrokenFolder[]) {
    this.#models = models;
    this.broken = broken;
  }

  /**
   * `modelsDir` is a folder of model folders, or a model folder itself, which is then the only one served.
   * The files of each are compared with their hashes. Throws `model_folder_invalid` where no model is left,
   * with the reason of each folder.
   */
  static async open(modelsDir: string): Promise<ModelRegistry> {
    const models = new Map<string, ModelFolder>();
    const broken: BrokenFolder[] = [];
    for (const dir of await findFolders(modelsDir)) {
      try {
        const manifest = await readManifest(dir);
        await verifyFiles(dir, manifest);
        const other = models.get(manifest.name);
        if (other === undefined) models.set(manifest.name, { dir, manifest });
        else broken.push({ dir, reason: `${other.dir} has the name ${manifest.name} already` });
      } catch (error) {
        if (!(error instanceof MillraceError)) throw error;
        broken.push({ dir, reason: error.message });
      }
    }
    if (models.size > 0) return new ModelRegistry(models, broken);
    const reasons = broken.map(({ dir, reason }) => `\n  ${dir}: ${reason}`).join("");
    const message = `${modelsDir} holds no model that can be served${reasons}`;
    throw new MillraceError("model_folder_invalid", message);
  }

  /** In the order of their folders' names. */
  list(): readonly ModelFolder[] {
    return [...this.#models.values()];
  }

  /** Null means the only model. Throws `model_not_found`, which names what is served. */
  get(name: string | null): ModelFolder {
    const [first, ...others] = this.list();
    const found = name === null && others.length === 0 ? first : this.#models.get(name ?? "");
    if (found !== undefined) return found;
    const what =
      name === null ? "the request must name a model" : `there is no model ${JSON.stringify(name)}`;
    const served = `served are ${[...this.#models.keys()].join(", ")}`;
    throw new MillraceError("model_not_found", `${what}; ${served}`, { param: "model" });
  }
}

/** `modelsDir` itself, or the folders in it. Throws `model_folder_invalid` where it cannot be read. */
export async function findFolders(modelsDir: string): Promise<string[]> {
  if (existsSync(join(modelsDir, manifestFileName))) return [modelsDir];
  try {
    const found = await readdir(modelsDir, { withFileTypes: true });
    return found
      .filter((entry) => !entry.isFile() && !entry.name.startsWith("."))
      .map((entry) => join(modelsDir, entry.name))
      .sort();
  } catch (cause) {
    const what = isMissing(cause) ? "does not exist" : "is not a folder that can be read";
    throw new MillraceError("model_folder_invalid", `${modelsDir} ${what}`, { cause });
  }
}
