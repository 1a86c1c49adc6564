/**
 * The folder that a repository is pulled into: what stands there already, and whose it is. Nothing is written over but what an
 * earlier pull of the same has put there, unless `replace` says so.
 *
 *   no record, and empty              ours
 *   no record, and something in it    somebody's: refused
 *   record of the same                a file as it was pulled is ours; one that was changed since is somebody's: refused
 *   record of another                 refused
 */
import { readdir, rm, stat } from "node:fs/promises";
import { basename } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { messageOf } from "../work/thrown.js";
import type { Hub } from "./ask-hub.js";
import { partOf, placeOf } from "./fetch-file.js";
import { type PullRecord, readPullRecord, writePullRecord } from "./pull-record.js";
import type { HubFile, HubRepository } from "./repository.js";
import { isSameFile } from "./same-file.js";

export interface Target {
  readonly dir: string;
  readonly hub: Pick<Hub, "endpoint">;
  readonly repository: HubRepository;
  /** As it was asked for. */
  readonly revision: string;
  /** Of the repository, those that are wanted. */
  readonly files: readonly HubFile[];
  /** Whatever stands in the way is written over. */
  readonly replace: boolean;
  readonly signal: AbortSignal;
}

export interface TakenFolder {
  /** Of the wanted ones, those that are not there as they should be. */
  readonly missing: readonly HubFile[];
  /** Once they are: takes away what only the former version had, and records what is there now. */
  readonly finish: () => Promise<void>;
}

/** Records that the folder is this repository's from now on. @throws MillraceError `output_exists`, and then nothing was touched; `output_failed` */
export async function takeFolder(target: Target): Promise<TakenFolder> {
  const { dir, repository, files, replace, signal } = target;
  const before = await readPullRecord(dir);
  const goesOn = before !== null && isOfSame(before, target);
  if (!replace && !goesOn) await assertFree(before, target);
  const former = before?.files ?? [];
  const missing: HubFile[] = [];
  for (const file of files) {
    const path = placeOf(dir, file);
    const found = await isThere(path);
    if (found && (await isSameFile(path, file, signal))) continue;
    missing.push(file);
    if (replace || !found) continue;
    const versions = former.filter(({ name }) => name === file.name);
    if (await isOneOf(path, versions, signal)) continue;
    throw taken(`${path} is not as it was pulled: somebody has changed it`);
  }
  const record: PullRecord = {
    endpoint: target.hub.endpoint,
    repository: repository.name,
    revision: target.revision,
    commit: repository.commit,
    files,
  };
  const others = former.filter((old) => !files.some((file) => isEqual(file, old)));
  await writePullRecord(dir, { ...record, files: [...files, ...others] });
  const finish = async (): Promise<void> => {
    const stays = new Set((goesOn ? repository.files : files).map(({ name }) => name));
    for (const old of others.filter(({ name }) => !stays.has(name))) {
      if (await isSameFile(placeOf(dir, old), old, signal)) await rm(placeOf(dir, old));
    }
    // Of an earlier run with --all, say: it is still what was pulled.
    const named = new Set(files.map(({ name }) => name));
    const kept = others.filter(({ name }) => stays.has(name) && !named.has(name));
    await writePullRecord(dir, { ...record, files: [...files, ...kept] });
  };
  return { missing, finish };
}

/** The same place, whatever it has by now; or the very same files of a mirror, or by the name of a tag. */
function isOfSame(
  { endpoint, repository: name, revision, commit, files }: PullRecord,
  { hub, repository, revision: asked }: Target,
): boolean {
  if (endpoint === hub.endpoint && name === repository.name && revision === asked) return true;
  if (commit !== repository.commit) return false;
  return files.every((old) => repository.files.some((file) => isEqual(file, old)));
}

/** @throws MillraceError `output_exists`, `output_failed` */
async function assertFree(before: PullRecord | null, { dir, files }: Target): Promise<void> {
  if (before !== null) {
    const { repository, revision, endpoint } = before;
    throw taken(`${dir} holds ${repository} at ${revision} of ${endpoint}`);
  }
  const parts = new Set(files.map((file) => basename(partOf(dir, file))));
  const isSomebodys = (name: string): boolean => !name.startsWith(".") && !parts.has(name);
  const names = (await namesIn(dir)).filter(isSomebodys).toSorted();
  if (names.length === 0) return;
  const rest = names.length > 3 ? ", …" : "";
  throw taken(`${dir} holds what no pull has put there: ${names.slice(0, 3).join(", ")}${rest}`);
}

function taken(message: string): MillraceError {
  return new MillraceError("output_exists", message);
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (cause) {
    if (!(await isThere(dir))) return [];
    throw new MillraceError("output_failed", `cannot read ${dir}: ${messageOf(cause)}`, { cause });
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

async function isOneOf(
  path: string,
  versions: readonly HubFile[],
  signal: AbortSignal,
): Promise<boolean> {
  for (const version of versions) {
    if (await isSameFile(path, version, signal)) return true;
  }
  return false;
}

function isEqual(left: HubFile, right: HubFile): boolean {
  return left.name === right.name && left.hash.hex === right.hash.hex;
}
