/**
 * Looks at the folder before LMDB does, which takes what it finds for true: what a truncated or damaged file points to would end the
 * process. The heads are read here; a file that was not closed by us is walked by a process of its own first (probe.ts).
 */
import { spawn } from "node:child_process";
import { type FileHandle, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { endianness } from "node:os";
import { fileURLToPath } from "node:url";
import { MillraceError } from "millrace-client";
import { hasCode, messageOf } from "../../work/thrown.js";

/** Of LMDB's data format 2: where the two heads have what. */
const at = { magic: 24, version: 28, pageBytes: 48, lastPage: 144, transaction: 152, end: 168 };
const magic = 0xbeefc0de;
const dataVersion = 2;

const probeMsMax = 600_000;

/** @throws MillraceError `data_invalid` */
export async function checkFile(path: string): Promise<void> {
  const file = await open(path).catch((error: unknown) => {
    if (hasCode(error, "ENOENT")) return null;
    throw invalid(path, messageOf(error));
  });
  if (file === null) return;
  try {
    const { size } = await file.stat();
    // Made and not written yet when its process ended.
    if (size === 0) return;
    const first = await headAt(file, 0, path);
    const second = await headAt(file, first.pageBytes, path);
    const newest = second.transaction > first.transaction ? second : first;
    // Free pages at its end may be missing rightly; then all of it is read once, also what is large.
    const isShort = (newest.lastPage + 1) * newest.pageBytes > size;
    if (isShort || !(await isAsClosed(path))) await probed(path, isShort ? "deep" : "keys");
  } finally {
    await file.close();
  }
}

/** Beside the file when it is closed: a file that is still the same needs no looking through. */
export async function noteClosed(path: string): Promise<void> {
  const { size, mtimeMs } = await stat(path);
  await writeFile(closedNote(path), JSON.stringify({ size, mtimeMs }));
}

async function isAsClosed(path: string): Promise<boolean> {
  const note = await readFile(closedNote(path), "utf8").catch(() => null);
  if (note === null) return false;
  await rm(closedNote(path), { force: true });
  const { size, mtimeMs } = await stat(path);
  return note === JSON.stringify({ size, mtimeMs });
}

function closedNote(path: string): string {
  return `${path}-closed`;
}

interface Head {
  readonly pageBytes: number;
  readonly lastPage: number;
  readonly transaction: number;
}

async function headAt(file: FileHandle, offset: number, path: string): Promise<Head> {
  const head = Buffer.alloc(at.end);
  await file.read(head, 0, at.end, offset);
  const little = endianness() === "LE";
  const word = (from: number): number =>
    little ? head.readUInt32LE(from) : head.readUInt32BE(from);
  const long = (from: number): number =>
    Number(little ? head.readBigUInt64LE(from) : head.readBigUInt64BE(from));
  if (word(at.magic) !== magic)
    throw invalid(path, "it is no file of LMDB, or its head is damaged");
  const version = word(at.version) & 0xffff;
  if (version !== dataVersion)
    throw invalid(path, `its LMDB format is ${version}, not ${dataVersion}`);
  const pageBytes = word(at.pageBytes);
  if (pageBytes < 512 || pageBytes > 65_536 || (pageBytes & (pageBytes - 1)) !== 0) {
    throw invalid(path, "its head is damaged");
  }
  return { pageBytes, lastPage: long(at.lastPage), transaction: long(at.transaction) };
}

/** What would end a process ends that one. */
async function probed(path: string, depth: "keys" | "deep"): Promise<void> {
  const script = fileURLToPath(new URL("./probe.js", import.meta.url));
  const child = spawn(process.execPath, [script, path, depth], {
    stdio: ["ignore", "ignore", "pipe"],
    timeout: probeMsMax,
    killSignal: "SIGKILL",
  });
  let told = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    told = (told + text).slice(0, 2_000);
  });
  const ended = await new Promise<string | null>((resolve) => {
    child.once("error", (error) => resolve(messageOf(error)));
    child.once("close", (code, signal) => {
      if (code === 0) resolve(null);
      else resolve(signal === null ? told.trim() : `reading it ends with ${signal}`);
    });
  });
  if (ended !== null) throw invalid(path, `it is damaged: ${ended}`);
}

function invalid(path: string, reason: string): MillraceError {
  return new MillraceError("data_invalid", `${path}: ${reason}`);
}
