/**
 * Versions of a model side by side. A folder that is called `minilm@2` holds version 2 of what is in it, and its model is served as
 * `minilm@2`; `minilm` means one of them: the one that `defaults.json` beside the folders names (`{"minilm": "2"}`), or the only one there is.
 * Of folders that were fetched, whoever fetched them says which.
 */
import { basename, join } from "node:path";
import { z } from "zod";
import { unversioned } from "../work/model-names.js";
import { messageOf } from "../work/thrown.js";
import type { ModelManifest } from "./manifest.js";
import { checkShape, isMissing, readJsonFile } from "./read-json.js";

export const defaultsFileName = "defaults.json";
const defaultsBytesMax = 1024 * 1024;

/** Folders of versions that stand elsewhere than in the folder of models. */
export interface FetchedFolders {
  readonly folders: readonly string[];
  /** Name of a folder, without its version → the version that it means. */
  readonly defaults: ReadonlyMap<string, string>;
}

export interface FolderName {
  readonly name: string;
  readonly version: string;
}

/** Null: the folder's name has no version. */
export function folderVersionOf(dir: string): FolderName | null {
  const [, name, version] = /^([\w.-]{1,100})@([\w.-]{1,64})$/.exec(basename(dir)) ?? [];
  return name === undefined || version === undefined ? null : { name, version };
}

/** As the registry has those that it leaves out. */
interface LeftOut {
  readonly dir: string;
  readonly reason: string;
}

interface Meant {
  readonly aliases: ReadonlyMap<string, string>;
  readonly broken: readonly LeftOut[];
}

/** What names without a version mean. A model that has such a name by itself keeps it. */
export async function aliasesOf(
  models: readonly { readonly dir: string; readonly manifest: Pick<ModelManifest, "name"> }[],
  from: { readonly modelsDir: string | null; readonly fetched: FetchedFolders | null },
): Promise<Meant> {
  const broken: LeftOut[] = [];
  const elsewhere = new Set(from.fetched?.folders);
  const versions = models.flatMap(({ dir, manifest }) => {
    const of = folderVersionOf(dir);
    return of === null ? [] : [{ dir, of, name: manifest.name, isFetched: elsewhere.has(dir) }];
  });
  const local = versions.filter(({ isFetched }) => !isFetched);
  const said = local.length === 0 ? new Map() : await localDefaults(from.modelsDir, broken);
  for (const { of } of local) {
    const all = new Set(
      local.filter((each) => each.of.name === of.name).map((each) => each.of.version),
    );
    if (!said.has(of.name) && all.size === 1) said.set(of.name, of.version);
  }
  const own = new Map(models.map(({ dir, manifest }) => [manifest.name, dir]));
  const aliases = new Map<string, string>();
  for (const { dir, of, name, isFetched } of versions) {
    const meant = isFetched ? from.fetched?.defaults.get(of.name) : said.get(of.name);
    if (meant !== of.version) continue;
    const alias = unversioned(name);
    const other = own.get(alias) ?? aliases.get(alias);
    if (other === undefined) aliases.set(alias, name);
    else broken.push({ dir, reason: `${alias} does not mean ${name}: ${other} has that name` });
  }
  return { aliases, broken };
}

const schema: z.ZodType<Record<string, string>> = z.record(z.string(), z.string());

async function localDefaults(
  modelsDir: string | null,
  broken: LeftOut[],
): Promise<Map<string, string>> {
  if (modelsDir === null) return new Map();
  const path = join(modelsDir, defaultsFileName);
  try {
    const value = await readJsonFile(path, defaultsBytesMax);
    return new Map(Object.entries(checkShape(path, value, schema)));
  } catch (error) {
    if (!isMissing(causeOf(error))) broken.push({ dir: path, reason: messageOf(error) });
    return new Map();
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}
