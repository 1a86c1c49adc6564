/**
 * Weights in the layout that ONNX Runtime multiplies with, in files: every process maps the same pages instead of
 * packing a copy of its own. One entry is one graph for one kind of processor and one version of ONNX Runtime.
 *
 *   weights-v1/
 *     3f…e1/            an entry: its name is the hash of all that its bytes depend on
 *       graph.onnx      optimised for this processor, refers to weights.bin
 *       weights.bin     the weights, plain and packed
 *       made.json       length, time and hash of both; its own time is that of the last use
 *     3f…e1.lock        somebody makes it; others wait a while
 *     3f…e1.failed      it could not be made, and why; for an hour nobody tries again
 *     .new-…, .old-…    not an entry yet, or no longer
 *
 * An entry appears and goes by one rename, so that nobody ever sees half of one. The lock only saves work: two that make
 * the same entry do no harm. A process that has mapped an entry keeps it when the entry goes.
 */
import { createHash, randomUUID } from "node:crypto";
import { open, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { arch, cpus, hostname } from "node:os";
import { basename, join } from "node:path";
import { hashFile } from "../models/file-hash.js";
import { makeFolders } from "../platform/make-folders.js";
import { isFolderTaken, move } from "../platform/move.js";
import { platform } from "../platform/platform.js";
import { isAlive } from "../platform/processes.js";

export interface WeightsCache {
  /** Made when it is needed; for this user only. */
  readonly dir: string;
  /** What all entries may take; those that were used longest ago go. */
  readonly bytesMax: number;
  /** How long one may take to be made, or be waited for. */
  readonly makeMsMax: number;
}

/** How a pipeline's process is told of it. None where nothing may be kept. */
export function weightsCacheArguments(options: {
  readonly cacheDir: string;
  readonly weightsCacheBytesMax: number;
  readonly startTimeoutMs: number;
}): string[] {
  if (options.weightsCacheBytesMax === 0) return [];
  const cache: WeightsCache = {
    dir: options.cacheDir,
    bytesMax: options.weightsCacheBytesMax,
    // A pipeline with two graphs still has time to load as usual, if neither can be made.
    makeMsMax: Math.min(30_000, options.startTimeoutMs / 4),
  };
  return [argumentName, JSON.stringify(cache)];
}

/** What the arguments say that `weightsCacheArguments` made; the command line is the parent's, and trusted. */
export function weightsCacheFrom(argv: readonly string[]): WeightsCache | null {
  const index = argv.indexOf(argumentName);
  return index < 0 ? null : (JSON.parse(argv[index + 1] ?? "null") as WeightsCache | null);
}

const argumentName = "--weights-cache";

export const cachedGraphName = "graph.onnx";
export const cachedWeightsName = "weights.bin";
const madeName = "made.json";
const formatDir = "weights-v1";
const staleMs = 3_600_000;

interface MadeFile {
  readonly bytes: number;
  readonly modifiedAtMs: number;
  readonly sha256: string;
}

type Made = Readonly<Record<string, MadeFile>>;

/** `parts`: what the entry is of, and how it was made; the processor and the machine's kind are added here. */
export function entryDir(cache: WeightsCache, parts: readonly string[]): string {
  const text = JSON.stringify([...parts, platform.name, arch(), processorOf()]);
  return join(cache.dir, formatDir, createHash("sha256").update(text).digest("hex").slice(0, 32));
}

/** Its features decide on the layout. The model's name stands for them where the kernel does not list them. */
function processorOf(): string {
  return `${cpus()[0]?.model ?? "?"}: ${platform.processorFlags() ?? "?"}`;
}

/**
 * The path of the graph, where the entry is there and whole. One that is not whole is removed. Throws where somebody else may
 * have put it there: its name can be foretold, and nothing else says whose weights it has.
 */
export async function findEntry(dir: string): Promise<string | null> {
  await checkOwner(join(dir, ".."));
  const made = await readMade(dir);
  if (made === null) return null;
  for (const name of [cachedGraphName, cachedWeightsName]) {
    if (!(await isWhole(join(dir, name), made[name]))) {
      await removeEntry(dir);
      return null;
    }
  }
  const now = new Date();
  // Where it cannot be written it is not counted as used: it may go earlier than it should.
  await utimes(join(dir, madeName), now, now).catch(() => {});
  return join(dir, cachedGraphName);
}

/** Of the folder of all entries. Root may have made it for us. */
async function checkOwner(root: string): Promise<void> {
  const own = process.getuid?.();
  const found = await stat(root).catch(() => null);
  if (own === undefined || found === null) return;
  const { uid, mode } = found;
  if (uid !== own && uid !== 0) throw new Error(`${root} is another user's`);
  if ((mode & 0o002) !== 0) throw new Error(`${root} can be written by every user`);
}

/** Length and time as they were written are taken for the bytes; after a copy the times differ, and the hash decides. */
async function isWhole(path: string, made: MadeFile | undefined): Promise<boolean> {
  try {
    const { size, mtimeMs } = await stat(path);
    if (made === undefined || size !== made.bytes) return false;
    return mtimeMs === made.modifiedAtMs || (await hashFile(path)) === made.sha256;
  } catch {
    return false;
  }
}

async function readMade(dir: string): Promise<Made | null> {
  try {
    const value: unknown = JSON.parse(await readFile(join(dir, madeName), "utf8"));
    return isMade(value) ? value : null;
  } catch {
    return null;
  }
}

function isMade(value: unknown): value is Made {
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).every((file: Partial<MadeFile> | null) => {
    const { bytes, modifiedAtMs, sha256 } = file ?? {};
    return (
      typeof bytes === "number" && typeof modifiedAtMs === "number" && typeof sha256 === "string"
    );
  });
}

/** Has `make` fill a new folder, and makes an entry of it; false where somebody else's came first. */
export async function publishEntry(
  dir: string,
  make: (newDir: string) => Promise<void>,
): Promise<boolean> {
  const newDir = join(dir, "..", `${newPrefix(dir)}${randomUUID()}`);
  await makeFolders(newDir, { mode: 0o700 });
  try {
    await make(newDir);
    const made: Record<string, MadeFile> = {};
    for (const name of [cachedGraphName, cachedWeightsName]) {
      made[name] = await describe(join(newDir, name));
    }
    await writeFile(join(newDir, madeName), JSON.stringify(made));
    await move(newDir, dir);
    return true;
  } catch (error) {
    await rm(newDir, { recursive: true, force: true });
    if (isFolderTaken(error)) return false;
    throw error;
  }
}

function newPrefix(dir: string): string {
  return `.new-${basename(dir)}-`;
}

/** What was begun of it and is not finished; for who has the lock. A process that is killed while it makes gigabytes leaves them. */
export async function removeUnfinished(dir: string): Promise<void> {
  const root = join(dir, "..");
  for (const name of await readdir(root).catch(() => []))
    if (name.startsWith(newPrefix(dir)))
      await rm(join(root, name), { recursive: true, force: true }).catch(() => {});
}

async function describe(path: string): Promise<MadeFile> {
  const handle = await open(path, "r+");
  try {
    await handle.sync();
    const { size, mtimeMs } = await handle.stat();
    return { bytes: size, modifiedAtMs: mtimeMs, sha256: await hashFile(path) };
  } finally {
    await handle.close();
  }
}

export async function removeEntry(dir: string): Promise<void> {
  const oldDir = join(dir, "..", `.old-${randomUUID()}`);
  try {
    await move(dir, oldDir);
  } catch {
    // Somebody else was faster, or nothing here can be written: nothing is lost but room.
    return;
  }
  await rm(oldDir, { recursive: true, force: true });
}

/** Removes what was used longest ago until the rest fits, never `kept`; and what others began and left. */
export async function pruneEntries(cache: WeightsCache, kept: string): Promise<void> {
  const root = join(cache.dir, formatDir);
  const entries: { readonly dir: string; readonly bytes: number; readonly usedAtMs: number }[] = [];
  for (const name of await readdir(root)) {
    const path = join(root, name);
    if (/^[0-9a-f]{32}$/.test(name)) entries.push({ dir: path, ...(await useOf(path)) });
    else if (await isStale(path)) await rm(path, { recursive: true, force: true });
  }
  entries.sort((left, right) => left.usedAtMs - right.usedAtMs);
  let bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  for (const entry of entries) {
    if (bytes <= cache.bytesMax) return;
    if (entry.dir === kept) continue;
    await removeEntry(entry.dir);
    bytes -= entry.bytes;
  }
}

async function useOf(dir: string): Promise<{ bytes: number; usedAtMs: number }> {
  const made = (await readMade(dir)) ?? {};
  const bytes = Object.values(made).reduce((sum, file) => sum + file.bytes, 0);
  const usedAtMs = await stat(join(dir, madeName)).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
  return { bytes, usedAtMs };
}

async function isStale(path: string): Promise<boolean> {
  return await stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs > staleMs,
    () => false,
  );
}

/** Null: somebody else has it. What it throws says that nothing can be written there. */
export async function lockEntry(dir: string): Promise<AsyncDisposable | null> {
  const path = `${dir}.lock`;
  await makeFolders(join(dir, ".."), { mode: 0o700 });
  try {
    await writeFile(path, lockText(process.pid), { flag: "wx" });
  } catch (error) {
    if (codeOf(error) === "EEXIST") return null;
    throw error;
  }
  return { [Symbol.asyncDispose]: async () => await rm(path, { force: true }) };
}

/** Whether the lock is held, by one who may still be alive. What a dead process left is taken away. */
export async function isLocked(dir: string, cache: WeightsCache): Promise<boolean> {
  const path = `${dir}.lock`;
  try {
    const ageMs = Date.now() - (await stat(path)).mtimeMs;
    const text = await readFile(path, "utf8");
    if (ageMs < 2 * cache.makeMsMax && !isOfDead(text)) return true;
  } catch {
    return false;
  }
  await rm(path, { force: true });
  return false;
}

function lockText(pid: number): string {
  return `${pid} ${hostname()} ${platform.processAt(pid)?.begun ?? ""}`.trim();
}

/** Only of processes of this machine can it be told; whoever is of another, or cannot be asked, may live. */
function isOfDead(text: string): boolean {
  const [digits = "", host, start] = text.split(" ");
  const pid = Number(digits);
  if (!(Number.isInteger(pid) && pid > 0) || host !== hostname()) return false;
  if (!isAlive(pid)) return true;
  const found = platform.processAt(pid);
  if (found === null) return false;
  // In a container whose first process reaps nobody, whoever lost its parent stays as a number for good.
  if (found.isDead) return true;
  // A container that starts again has the same few numbers for its processes: another one has it now.
  return start !== undefined && start !== found.begun;
}

export async function noteFailure(dir: string, reason: string): Promise<void> {
  await writeFile(`${dir}.failed`, reason).catch(() => {});
}

/** Why it could not be made, where that is not long ago. */
export async function recentFailure(dir: string): Promise<string | null> {
  const path = `${dir}.failed`;
  try {
    return (await isStale(path)) ? null : await readFile(path, "utf8");
  } catch {
    return null;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
