/** A folder into the store of models: hashed, sent where it is not there yet, and shown when all of it is. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { MillraceError } from "millrace-client/wire";
import { messageOf } from "../work/thrown.js";
import type { ModelBucket } from "./model-bucket.js";
import {
  bytesOfFiles,
  filesSha256,
  type ModelFile,
  type ModelRecord,
  mayBePath,
  recordFilesMax,
} from "./model-record.js";

export interface PushedModel {
  readonly record: ModelRecord;
  /** False: this version was there already. */
  readonly isNew: boolean;
  readonly sentFiles: number;
  readonly sentBytes: number;
}

export interface PushOptions {
  readonly dir: string;
  readonly name: string;
  /** Null: the first digits of the hash over all files. */
  readonly version: string | null;
  readonly signal: AbortSignal;
  /** After each piece. */
  readonly onProgress?: (sentBytes: number, allBytes: number) => void;
}

const pieceBytes = 1024 * 1024;
const versionDigits = 12;
/** A file that is removed again and again while it is pushed has somebody against it. */
const roundsMax = 5;

/** @throws MillraceError as the bucket does; `model_folder_invalid` where the folder cannot be read or changes meanwhile */
export async function pushModel(bucket: ModelBucket, options: PushOptions): Promise<PushedModel> {
  const { dir, name, signal } = options;
  const files = await filesOf(dir, signal);
  const sha256 = filesSha256(files);
  const version = options.version ?? sha256.slice(0, versionDigits);
  const pushedAt = new Date().toISOString();
  const record: ModelRecord = { format: 1, name, version, sha256, files, pushedAt };
  const byHash = new Map(files.map((file) => [file.sha256, file]));
  const sent = await sendMissing(bucket, [...byHash.values()], options);
  signal.throwIfAborted();
  const isNew = await bucket.create(record);
  // From here on nobody removes what it names; what somebody removed just before is sent again.
  let { sentFiles, sentBytes } = sent;
  for (let round = 0; round < roundsMax; round += 1) {
    const again = await sendMissing(bucket, [...byHash.values()], options);
    if (again.sentFiles === 0) return { record, isNew, sentFiles, sentBytes };
    sentFiles += again.sentFiles;
    sentBytes += again.sentBytes;
  }
  const message = `${name}@${version}: its files are removed while they are sent; push it again`;
  throw new MillraceError("output_in_use", message);
}

async function sendMissing(
  bucket: ModelBucket,
  files: readonly ModelFile[],
  { dir, signal, onProgress }: PushOptions,
): Promise<Pick<PushedModel, "sentFiles" | "sentBytes">> {
  const missing: ModelFile[] = [];
  for (const file of files) if (!(await bucket.holds(file))) missing.push(file);
  const allBytes = bytesOfFiles(missing);
  let sentBytes = 0;
  for (const file of missing) {
    signal.throwIfAborted();
    const contents = createReadStream(join(dir, file.path), { highWaterMark: pieceBytes, signal });
    contents.on("data", (piece) => {
      sentBytes += piece.length;
      onProgress?.(sentBytes, allBytes);
    });
    contents.pause();
    await bucket.send(file, Readable.toWeb(contents) as ReadableStream<Uint8Array>);
  }
  return { sentFiles: missing.length, sentBytes: allBytes };
}

/** All files of the folder but hidden ones, in the order of their names. */
async function filesOf(dir: string, signal: AbortSignal): Promise<ModelFile[]> {
  const names = await namesIn(dir);
  if (names.length === 0) throw invalid(dir, "has no file");
  if (names.length > recordFilesMax) {
    throw invalid(dir, `has ${names.length} files, and ${recordFilesMax} are the most of a model`);
  }
  const files: ModelFile[] = [];
  for (const path of names) files.push({ path, ...(await hashOf(join(dir, path), signal)) });
  return files;
}

async function namesIn(dir: string, within = ""): Promise<string[]> {
  const entries = await readdir(join(dir, within)).catch((cause: unknown) => {
    throw invalid(join(dir, within), `cannot be read: ${messageOf(cause)}`, cause);
  });
  const names: string[] = [];
  for (const entry of entries.filter((each) => !each.startsWith(".")).sort()) {
    const path = within === "" ? entry : `${within}/${entry}`;
    if (!mayBePath(path))
      throw invalid(
        join(dir, path),
        "has a name that the store does not take: no backslash, 512 characters with its folders at most",
      );
    const found = await stat(join(dir, path)).catch((cause: unknown) => {
      throw invalid(join(dir, path), `cannot be read: ${messageOf(cause)}`, cause);
    });
    if (found.isDirectory()) {
      // A link to a folder above would never end.
      if (path.split("/").length > 7)
        throw invalid(join(dir, path), "is too deep for a model's folder");
      names.push(...(await namesIn(dir, path)));
    } else if (found.isFile()) names.push(path);
    else throw invalid(join(dir, path), "is no file");
    if (names.length > recordFilesMax) return names;
  }
  return names;
}

async function hashOf(
  path: string,
  signal: AbortSignal,
): Promise<Pick<ModelFile, "sha256" | "bytes">> {
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    for await (const piece of createReadStream(path, { highWaterMark: pieceBytes, signal })) {
      const read = piece as Buffer;
      hash.update(read);
      bytes += read.length;
    }
  } catch (cause) {
    signal.throwIfAborted();
    throw invalid(path, `cannot be read: ${messageOf(cause)}`, cause);
  }
  return { sha256: hash.digest("hex"), bytes };
}

function invalid(path: string, what: string, cause?: unknown): MillraceError {
  return new MillraceError("model_folder_invalid", `${path} ${what}`, { cause });
}
