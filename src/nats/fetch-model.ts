/**
 * A version out of the store into a folder, which has its name when every file in it was found right, and not before:
 *
 *   .NAME.new-PID-RANDOM   while it is fetched; a crash leaves it, and whoever fetches there later removes it
 *   NAME                   the folder
 */
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rm, stat, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { makeFolders } from "../platform/make-folders.js";
import { isFolderTaken, move } from "../platform/move.js";
import { isAlive } from "../platform/processes.js";
import { hasCode, messageOf } from "../work/thrown.js";
import type { ModelBucket } from "./model-bucket.js";
import { bytesOfFiles, fullName, type ModelFile, type ModelRecord } from "./model-record.js";

export interface FetchOptions {
  /** Where it should lie; nothing may be there. */
  readonly target: string;
  readonly signal: AbortSignal;
  readonly onProgress?: (fetchedBytes: number, allBytes: number) => void;
}

/** What others on the disk need meanwhile. */
const spareBytes = 64 * 1024 * 1024;
const pieceBytes = 1024 * 1024;

/** @throws MillraceError `output_exists`, `output_failed` (no room), `model_folder_invalid` (a file that is damaged, by name), `connection_failed` */
export async function fetchModel(
  bucket: ModelBucket,
  record: ModelRecord,
  { target, signal, onProgress }: FetchOptions,
): Promise<void> {
  const parent = dirname(target);
  const dir = join(parent, `.${basename(target)}.new-${process.pid}-${randomUUID().slice(0, 8)}`);
  const allBytes = bytesOfFiles(record.files);
  let fetchedBytes = 0;
  const onBytes = (bytes: number): void => {
    fetchedBytes += bytes;
    onProgress?.(fetchedBytes, allBytes);
  };
  try {
    await assertFree(target);
    await makeFolders(parent);
    await removeLeftovers(parent, basename(target));
    await checkRoom(parent, record);
    await mkdir(dir);
    for (const file of record.files) {
      signal.throwIfAborted();
      await makeFolders(dirname(join(dir, file.path)));
      await using handle = await open(join(dir, file.path), "wx");
      await fetchFile(bucket, file, { handle, signal, onBytes });
    }
    await move(dir, target);
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw outputError(target, error);
  }
}

/** Null: each file is there and is what the record says; else what is wrong. */
export async function whatIsWrong(record: ModelRecord, dir: string): Promise<string | null> {
  for (const { path, bytes, sha256 } of record.files) {
    const found = await stat(join(dir, path)).catch(() => null);
    if (found === null || !found.isFile()) return `${path} is missing`;
    if (found.size !== bytes) return `${path} has ${found.size} bytes and should have ${bytes}`;
    const hash = createHash("sha256");
    for await (const piece of createReadStream(join(dir, path), { highWaterMark: pieceBytes })) {
      hash.update(piece as Buffer);
    }
    if (hash.digest("hex") !== sha256) return `${path} was changed`;
  }
  return null;
}

async function fetchFile(
  bucket: ModelBucket,
  file: ModelFile,
  {
    handle,
    signal,
    onBytes,
  }: {
    readonly handle: FileHandle;
    readonly signal: AbortSignal;
    readonly onBytes: (bytes: number) => void;
  },
): Promise<void> {
  const hash = createHash("sha256");
  for await (const piece of bucket.read(file, signal)) {
    hash.update(piece);
    await handle.writeFile(piece);
    onBytes(piece.length);
  }
  if (hash.digest("hex") !== file.sha256) {
    const message = `${file.path} is damaged in the store: what came has another SHA-256 than ${file.sha256}`;
    throw new MillraceError("model_folder_invalid", `${message}: push the model again`);
  }
  // Its name says that it is whole, also after the machine lost its power.
  await handle.sync();
}

/** Before gigabytes come for it; `move` has the last word. An empty folder is nobody's. */
async function assertFree(target: string): Promise<void> {
  const names = await readdir(target).catch((error: unknown) => {
    if (hasCode(error, "ENOENT")) return [];
    throw hasCode(error, "ENOTDIR") ? isThere(target, error) : error;
  });
  if (names.length > 0) throw isThere(target);
}

function isThere(target: string, cause?: unknown): MillraceError {
  return new MillraceError("output_exists", `${target} is there already`, { cause });
}

async function checkRoom(parent: string, record: ModelRecord): Promise<void> {
  const { bavail, bsize } = await statfs(parent);
  const needed = bytesOfFiles(record.files) + spareBytes;
  const free = bavail * bsize;
  if (free >= needed) return;
  const message = `${fullName(record)} needs ${needed} bytes in ${parent}, and ${free} are free`;
  throw new MillraceError("output_failed", message);
}

/** Of processes that are gone; one that fetches the same at this moment goes on. */
async function removeLeftovers(parent: string, name: string): Promise<void> {
  const prefix = `.${name}.new-`;
  for (const entry of await readdir(parent)) {
    if (!entry.startsWith(prefix)) continue;
    // What somebody else calls so is none of ours.
    const [, pid] = /^(\d+)-[0-9a-f]{8}$/.exec(entry.slice(prefix.length)) ?? [];
    if (pid !== undefined && !isAlive(Number(pid)))
      await rm(join(parent, entry), { recursive: true, force: true });
  }
}

function outputError(target: string, error: unknown): unknown {
  if (isFolderTaken(error)) return isThere(target, error);
  if (!(error instanceof Error) || !("syscall" in error)) return error;
  const message = `${target} could not be written: ${messageOf(error)}`;
  return new MillraceError("output_failed", message, { cause: error });
}
