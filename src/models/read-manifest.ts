/**
 * READ FIRST: from where a model stands to its manifest, and holds the folder to that. A model stands in a folder with a
 * `millrace.json`, in a folder with one ONNX file and none, or is such a file itself. Further models of a folder, which share
 * its files, stand in a `millrace.PART.json` each. In a folder `NAME@VERSION` all of them are of that version: `minilm@2`.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { show } from "../work/fields.js";
import { hasCode } from "../work/thrown.js";
import { engineTable } from "./engine-table.js";
import { hashFile } from "./file-hash.js";
import type { ModelManifest } from "./manifest.js";
import { manifestFileName, manifestVersion } from "./manifest-base.js";
import { nameOfPath } from "./manifest-fields.js";
import { folderVersionOf } from "./model-versions.js";
import { withDataFiles } from "./programs/complete-data-files.js";
import {
  completeTensors,
  graphEnding,
  isDeclaration,
  plainManifest,
  plainName,
} from "./programs/complete-tensors.js";
import { checkShape, isMissing, readJsonFile } from "./read-json.js";

/** Some kilobytes are usual; a thousand layers take a few hundred. */
const manifestBytesMax = 4 * 1024 * 1024;

export interface ReadModel {
  /** Where its files are. */
  readonly dir: string;
  readonly manifest: ModelManifest;
}

/**
 * Of a folder, of a further manifest in it, or of an ONNX file. Throws `model_folder_invalid`, which names the field or the
 * file that is wrong.
 */
export async function readModel(path: string): Promise<ReadModel> {
  if (furtherManifest.test(basename(path)) && (await isFile(path))) {
    const dir = dirname(path);
    const value = await withDataFiles(dir, await readJsonFile(path, manifestBytesMax));
    const manifest = parseManifest(path, value);
    return { dir, manifest: versioned(dir, manifest, manifest.name) };
  }
  if (!path.endsWith(graphEnding) || !(await isFile(path))) {
    const manifest = await readManifest(path);
    return {
      dir: path,
      manifest: versioned(path, manifest, folderVersionOf(path)?.name ?? manifest.name),
    };
  }
  const plain = await plainManifest(path, nameOfPath(plainName(path), path));
  return { dir: dirname(path), manifest: parseManifest(path, plain) };
}

/** Of a folder. Throws `model_folder_invalid`, which names the field, where it has no manifest or a wrong one. */
export async function readManifest(dir: string): Promise<ModelManifest> {
  const path = join(dir, manifestFileName);
  const graphs = await graphsIn(dir);
  const hasNone = graphs.length > 0 && !(await exists(path));
  // Nothing is declared: what a graph says is all that is known of it.
  const value = hasNone ? { manifestVersion } : await readJsonFile(path, manifestBytesMax);
  if (!isDeclaration(value)) return parseManifest(path, await withDataFiles(dir, value));
  return parseManifest(path, await completeTensors(dir, { path, value, graphs }));
}

/**
 * Everybody who reads a folder reads the same: its version is a part of what its models are called. Its own model, which was made under
 * another name maybe, has that of the folder; those beside it have theirs.
 */
function versioned(dir: string, manifest: ModelManifest, name: string): ModelManifest {
  const version = folderVersionOf(dir)?.version;
  return version === undefined ? manifest : { ...manifest, name: `${name}@${version}` };
}

const furtherManifest = /^millrace\.[\w-]{1,64}\.json$/;

/** Paths of the manifests that stand in the folder beside its own; none where it is no folder that can be read. */
export async function furtherManifestsIn(dir: string): Promise<string[]> {
  const names = await readdir(dir).catch(() => []);
  return names
    .filter((name) => furtherManifest.test(name))
    .sort()
    .map((name) => join(dir, name));
}

/** Names of the ONNX files of the folder, hidden ones left out; none where it is no folder that can be read. */
export async function graphsIn(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir);
    return entries.filter((name) => name.endsWith(graphEnding) && !name.startsWith(".")).sort();
  } catch {
    // Reading the manifest will say why.
    return [];
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** One that cannot be looked at counts: reading it will say why. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    const isNoFolder = hasCode(error, "ENOTDIR");
    return !isMissing(error) && !isNoFolder;
  }
}

/** The same of what was read from `path`, or will be written there. */
export function parseManifest(path: string, value: unknown): ModelManifest {
  const version = versionOf(value);
  if (version !== manifestVersion) throw unknownVersion(path, version);
  const current = named(value, dirname(path));
  const { engine } = checkShape(path, current, engineSchema);
  return engineTable[engine].read(path, current);
}

/** Throws `model_folder_invalid`, which names the file, where one is missing or is not what convert wrote. */
export async function verifyFiles(dir: string, manifest: ModelManifest): Promise<void> {
  for (const [name, expected] of Object.entries(manifest.fileSha256)) {
    const found = await hashOf(dir, name);
    if (found === expected) continue;
    const hashes = `its SHA-256 is ${found}, ${manifestFileName} says ${expected}`;
    throw new MillraceError("model_folder_invalid", `${join(dir, name)} was changed: ${hashes}`);
  }
}

const engineSchema: z.ZodType<{ readonly engine: ModelManifest["engine"] }> = z.looseObject({
  engine: z.enum(Object.keys(engineTable) as ModelManifest["engine"][]),
});

/** What a person wrote need not say what the folder says. */
function named(value: unknown, dir: string): unknown {
  if (typeof value !== "object" || value === null || "name" in value) return value;
  const name = folderVersionOf(dir)?.name ?? basename(dir);
  return { name: nameOfPath(name, dir), ...value };
}

function versionOf(value: unknown): unknown {
  const found = z.looseObject({ manifestVersion: z.unknown() }).safeParse(value);
  return found.success ? found.data.manifestVersion : undefined;
}

function unknownVersion(path: string, version: unknown): MillraceError {
  const reads = `this Millrace reads ${manifestVersion}`;
  const shown = version === undefined ? "undefined" : show(version);
  const versions = `manifestVersion ${shown}; ${reads}`;
  const cure = "convert the model again with this version, or run the Millrace that wrote it";
  return new MillraceError("model_folder_invalid", `${path} has ${versions}: ${cure}`);
}

async function hashOf(dir: string, name: string): Promise<string> {
  try {
    return await hashFile(join(dir, name));
  } catch (cause) {
    const what = isMissing(cause) ? "is missing" : "cannot be read";
    throw new MillraceError("model_folder_invalid", `${join(dir, name)} ${what}`, { cause });
  }
}
