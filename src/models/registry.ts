/** Which models a folder holds now. Whoever wants to know of changes reads it again (watch-models.ts says when). */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { hasCode, messageOf } from "../work/thrown.js";
import { type FolderVersion, folderVersion } from "./folder-version.js";
import type { ModelManifest } from "./manifest.js";
import { manifestFileName } from "./manifest-base.js";
import { aliasesOf, type FetchedFolders } from "./model-versions.js";
import { graphEnding } from "./programs/complete-tensors.js";
import { isMissing } from "./read-json.js";
import { exists, furtherManifestsIn, graphsIn, readModel, verifyFiles } from "./read-manifest.js";

export interface ModelFolder {
  /** Where its files are. */
  readonly dir: string;
  /** What `readModel` reads it from, here and in its pipelines, where that is a file of the folder. Default: the folder. */
  readonly path?: string;
  readonly manifest: ModelManifest;
  /** Of its files when they were read; whoever opens them later compares. Left out: whatever is there. */
  readonly version?: FolderVersion;
}

/** A folder that is not served, and why; shown wherever the models are listed. */
export interface BrokenFolder {
  readonly dir: string;
  readonly reason: string;
}

export class ModelRegistry {
  /** Folders that were left out because something is wrong with them. */
  readonly broken: readonly BrokenFolder[];
  /** Folders beside the models that are none: they have neither a millrace.json nor an ONNX file. */
  readonly strays: readonly string[];
  /** Name → the version that it means: `minilm` → `minilm@2`. */
  readonly aliases: ReadonlyMap<string, string>;
  readonly #models: ReadonlyMap<string, ModelFolder>;

  private constructor(
    models: ReadonlyMap<string, ModelFolder>,
    others: {
      readonly broken: readonly BrokenFolder[];
      readonly strays: readonly string[];
      readonly aliases: ReadonlyMap<string, string>;
    },
  ) {
    this.#models = models;
    this.broken = others.broken;
    this.strays = others.strays;
    this.aliases = others.aliases;
  }

  /**
   * `modelsDir` is a folder of model folders and ONNX files, or a model folder itself, which is then the only one served.
   * The files of each are compared with their hashes; one that is wrong in any way refuses no other. Throws
   * `model_folder_invalid` where no model is left, with the reason of each folder. Of `known` ones, read before, no file is
   * hashed again that nobody has touched. Beside the folder there may be `fetched` ones, and then there need be no model.
   */
  static async open(
    modelsDir: string | null,
    known: readonly ModelFolder[] = [],
    fetched: FetchedFolders | null = null,
  ): Promise<ModelRegistry> {
    const before = new Map(known.map((folder) => [folder.path ?? folder.dir, folder]));
    const models = new Map<string, ModelFolder>();
    const broken: BrokenFolder[] = [];
    const strays: string[] = [];
    const local = modelsDir === null ? [] : await findPlaces(modelsDir);
    for (const place of [...local, ...(fetched?.folders ?? [])]) {
      const paths = await modelsIn(place);
      if (paths.length === 0) strays.push(place);
      for (const path of paths) {
        try {
          const folder = await readFolder(path, before.get(path));
          const { manifest } = folder;
          const { name } = manifest;
          const other = models.get(name);
          // A copy of a folder that is served, put beside it, takes nothing from it.
          const isOlder = before.get(path)?.manifest.name === name;
          if (other === undefined || isOlder) models.set(name, folder);
          if (other !== undefined)
            broken.push(isOlder ? sameName(other, folder) : sameName(folder, other));
        } catch (error) {
          broken.push({
            dir: path,
            reason: messageOf(error),
          });
        }
      }
    }
    if (models.size > 0 || fetched !== null) {
      const meant = await aliasesOf([...models.values()], { modelsDir, fetched });
      const { aliases, broken: wrong } = meant;
      return new ModelRegistry(models, { broken: [...broken, ...wrong], strays, aliases });
    }
    const none = strays.map((dir) => ({
      dir,
      reason: `${manifestFileName} is missing, and there is no ONNX file`,
    }));
    const reasons = [...broken, ...none].map(({ dir, reason }) => `\n  ${dir}: ${reason}`).join("");
    const message = `${modelsDir ?? ""} holds no model that can be served${reasons}`;
    throw new MillraceError("model_folder_invalid", message);
  }

  /** In the order of their folders' names. */
  list(): readonly ModelFolder[] {
    return [...this.#models.values()];
  }
}

/**
 * Where models may stand: `modelsDir` itself, which may be an ONNX file, or the folders and the ONNX files in it. Throws
 * `model_folder_invalid` where it cannot be read.
 */
async function findPlaces(modelsDir: string): Promise<string[]> {
  try {
    if (await exists(join(modelsDir, manifestFileName))) return [modelsDir];
    const found = await readdir(modelsDir, { withFileTypes: true });
    return found
      .filter((entry) => !entry.name.startsWith("."))
      .filter((entry) => !entry.isFile() || entry.name.endsWith(graphEnding))
      .map((entry) => join(modelsDir, entry.name))
      .sort();
  } catch (cause) {
    const isNoFolder = hasCode(cause, "ENOTDIR");
    if (isNoFolder && modelsDir.endsWith(graphEnding)) return [modelsDir];
    const what = isMissing(cause) ? "does not exist" : "is not a folder that can be read";
    throw new MillraceError("model_folder_invalid", `${modelsDir} ${what}`, { cause });
  }
}

/** What `readModel` takes of each model; throws as `findPlaces`. */
export async function findModels(modelsDir: string): Promise<string[]> {
  const places = await findPlaces(modelsDir);
  return (await Promise.all(places.map(modelsIn))).flat();
}

/** What `readModel` takes of the models at a place: none, one, or several of one folder. */
async function modelsIn(place: string): Promise<string[]> {
  if (place.endsWith(graphEnding)) return [place];
  if (await exists(join(place, manifestFileName))) {
    return [place, ...(await furtherManifestsIn(place))];
  }
  return (await graphsIn(place)).length > 0 ? [place] : [];
}

function sameName(folder: ModelFolder, { dir, path = dir, manifest }: ModelFolder): BrokenFolder {
  const reason = `${path} has the name ${manifest.name} already`;
  return { dir: folder.path ?? folder.dir, reason };
}

/** A backup that links files, or a copy, touches each of them: what is read meanwhile is read once more. */
const readsMax = 4;

async function readFolder(path: string, known: ModelFolder | undefined): Promise<ModelFolder> {
  for (let reads = 1; ; reads += 1) {
    const { dir, manifest } = await readModel(path);
    const version = await folderVersion(dir, manifest);
    if (known?.version?.version === version.version && known.version.seen === version.seen) {
      return known;
    }
    await verifyFiles(dir, manifest);
    // Whoever copies a folder may be at it: what was compared is not what is there then.
    if ((await folderVersion(dir, manifest)).seen === version.seen) {
      return { dir, path, manifest, version };
    }
    if (reads < readsMax) continue;
    throw new MillraceError("model_folder_invalid", `${dir} changed while it was read`);
  }
}
