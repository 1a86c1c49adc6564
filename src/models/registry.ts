/** Which models are served. Read once at the start; a folder that changes later is not noticed. */
import { readdir, stat } from "node:fs/promises";
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
  /** Folders beside the models that are none: they have no millrace.json. */
  readonly strays: readonly string[];
  readonly #models: ReadonlyMap<string, ModelFolder>;

  private constructor(
    models: ReadonlyMap<string, ModelFolder>,
    leftOut: { readonly broken: readonly BrokenFolder[]; readonly strays: readonly string[] },
  ) {
    this.#models = models;
    this.broken = leftOut.broken;
    this.strays = leftOut.strays;
  }

  /**
   * `modelsDir` is a folder of model folders, or a model folder itself, which is then the only one served.
   * The files of each are compared with their hashes; one that is wrong in any way refuses no other. Throws
   * `model_folder_invalid` where no model is left, with the reason of each folder.
   */
  static async open(modelsDir: string): Promise<ModelRegistry> {
    const models = new Map<string, ModelFolder>();
    const broken: BrokenFolder[] = [];
    const strays: string[] = [];
    for (const dir of await findFolders(modelsDir)) {
      try {
        if (!(await hasManifest(dir))) {
          strays.push(dir);
          continue;
        }
        const manifest = await readManifest(dir);
        await verifyFiles(dir, manifest);
        const other = models.get(manifest.name);
        if (other === undefined) models.set(manifest.name, { dir, manifest });
        else broken.push({ dir, reason: `${other.dir} has the name ${manifest.name} already` });
      } catch (error) {
        broken.push({ dir, reason: error instanceof Error ? error.message : String(error) });
      }
    }
    if (models.size > 0) return new ModelRegistry(models, { broken, strays });
    const none = strays.map((dir) => ({ dir, reason: `${manifestFileName} is missing` }));
    const reasons = [...broken, ...none].map(({ dir, reason }) => `\n  ${dir}: ${reason}`).join("");
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
  try {
    if (await hasManifest(modelsDir)) return [modelsDir];
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

/** One that cannot be looked at counts: reading it will say why. */
async function hasManifest(dir: string): Promise<boolean> {
  try {
    await stat(join(dir, manifestFileName));
    return true;
  } catch (error) {
    const isNoFolder = error instanceof Error && "code" in error && error.code === "ENOTDIR";
    return !isMissing(error) && !isNoFolder;
  }
}
