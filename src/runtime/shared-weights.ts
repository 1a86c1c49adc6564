/**
 * Opens a graph so that its weights are in memory once, however many processes have it: from the cache of
 * weights-cache.ts, which is filled first where it must be. Whatever stands in the way of that, the graph is opened as
 * it is, with a copy of its own, and a line on standard error says why.
 */
import { spawn } from "node:child_process";
import { realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { areSharable } from "../models/folder-bytes.js";
import { messageOf } from "../work/thrown.js";
import { runtimeVersion } from "./native/ort-api.js";
import type { SessionOptions } from "./session-settings.js";
import {
  entryDir,
  findEntry,
  isLocked,
  lockEntry,
  noteFailure,
  recentFailure,
  removeEntry,
  removeUnfinished,
  type WeightsCache,
} from "./weights-cache.js";
import { type WeightsSource, weightsSource } from "./weights-sources.js";
import type { InputShapes } from "./write-packed.js";

/** What of a graph can be shared, and where. */
export interface SharedWeights {
  readonly cache: WeightsCache;
  /** What tells the graph and the files that it refers to from all others, such as their hash. */
  readonly identity: string;
  /** Those files. */
  readonly sources: readonly WeightsSource[];
  /** Of those files. */
  readonly bytes: number;
  /** Of a graph that is not ours: what it may take, and is tried with before anybody uses what was made. */
  readonly probes?: readonly InputShapes[];
}

/** What the maker's process is told, as JSON. */
export interface MakeRequest {
  readonly graph: string;
  readonly options: SessionOptions;
  readonly dir: string;
  readonly cache: WeightsCache;
  readonly sources: readonly WeightsSource[];
  readonly probes: readonly InputShapes[] | null;
}

/** Of the maker's process: its sources changed under it. */
export const changedExitCode = 3;

const makerPath = fileURLToPath(new URL("./weights-maker.js", import.meta.url));
const pollMs = 25;

/**
 * Of a graph that is as somebody else made it. Its files are told by place and time and not by a hash: graphs of gigabytes are
 * not read once more for that, and what a folder says of them may be of what it held before.
 */
export async function sharedFiles(
  cache: WeightsCache | null,
  {
    dir,
    files,
    probes,
  }: {
    readonly dir: string;
    readonly files: readonly string[];
    readonly probes: readonly InputShapes[];
  },
): Promise<SharedWeights | null> {
  if (cache === null) return null;
  const paths = await Promise.all(files.map((file) => realpath(join(dir, file))));
  const sources = await Promise.all(paths.map((path) => weightsSource(path)));
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  const identity = sources.map(({ path, stamp }) => `${path} ${stamp}`).join("\n");
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  return { cache, identity, sources, bytes, probes };
}

/** Of a graph whose folder has hashes of its files. */
export async function sharedHashed(
  cache: WeightsCache | null,
  {
    dir,
    graph,
    weights,
    fileSha256,
  }: {
    readonly dir: string;
    readonly graph: string;
    readonly weights: string;
    readonly fileSha256: Readonly<Record<string, string>>;
  },
): Promise<SharedWeights | null> {
  if (cache === null) return null;
  const sources = await Promise.all(
    [graph, weights].map((name) => weightsSource(join(dir, name), fileSha256[name])),
  );
  const identity = `${fileSha256[graph]} ${fileSha256[weights]}`;
  const { size: bytes } = await stat(join(dir, weights));
  return { cache, identity, sources, bytes };
}

/** Opens a session of either kind. */
export type OpenSession<Opened> = (path: string, options: SessionOptions) => Promise<Opened>;

export async function openSharedBy<Opened>(
  open: OpenSession<Opened>,
  {
    graph,
    options,
    shared,
  }: {
    readonly graph: string;
    readonly options: SessionOptions;
    readonly shared: SharedWeights | null;
  },
): Promise<Opened> {
  if (shared === null || !areSharable(shared.bytes, shared.cache.bytesMax))
    return await open(graph, options);
  const { cache, identity, sources, probes = null } = shared;
  const dir = entryDir(cache, [
    identity,
    runtimeVersion(),
    options.wideSums === true ? "wide sums" : "",
  ]);
  try {
    const cached = await findOrMake({ graph, options, dir, cache, sources, probes });
    return await open(cached, { ...options, packed: true }).catch(async (error: unknown) => {
      // Somebody's pruning was faster, or it is not what was written; the next one makes a new one.
      await removeEntry(dir);
      throw error;
    });
  } catch (error) {
    const reason = messageOf(error);
    process.stderr.write(`${basename(graph)}: its weights are not shared: ${reason}\n`);
    return await open(graph, options);
  }
}

/** Throws why there is none. */
async function findOrMake(request: MakeRequest): Promise<string> {
  const { dir, cache } = request;
  const endsAtMs = performance.now() + cache.makeMsMax;
  for (;;) {
    const found = await findEntry(dir);
    if (found !== null) return found;
    const failure = await recentFailure(dir);
    if (failure !== null) throw new Error(failure);
    if (performance.now() > endsAtMs) {
      const reason = "another process makes them, for too long";
      // Or the next load would wait as long.
      await noteFailure(dir, reason);
      throw new Error(reason);
    }
    await using lock = await lockEntry(dir);
    if (lock !== null) return await make(request, endsAtMs - performance.now());
    // Also where it is said to be free: what stands there may be no lock that can be read or taken away.
    do await sleep(pollMs);
    while (performance.now() < endsAtMs && (await isLocked(dir, cache)));
  }
}

async function make(request: MakeRequest, timeoutMs: number): Promise<string> {
  await removeUnfinished(request.dir);
  const problem = await runMaker(request, timeoutMs);
  if (problem !== null) await removeUnfinished(request.dir);
  const found = problem === null ? await findEntry(request.dir) : null;
  if (found !== null) return found;
  const { reason, isPassing } = problem ?? {
    reason: "what was made is not there",
    isPassing: false,
  };
  if (!isPassing) await noteFailure(request.dir, reason);
  throw new Error(reason);
}

interface MakerProblem {
  readonly reason: string;
  /** It says nothing of the next try. */
  readonly isPassing: boolean;
}

/**
 * In a process of its own: packing takes memory that the allocator would not give back, and blocks its thread. It ends
 * with this one, by parent-watch.ts. Resolves with what went wrong, or null.
 */
async function runMaker(request: MakeRequest, timeoutMs: number): Promise<MakerProblem | null> {
  const maker = spawn(process.execPath, [makerPath, JSON.stringify(request)], {
    stdio: ["ignore", "ignore", "pipe", "ignore", "overlapped"],
    timeout: Math.max(1, Math.ceil(timeoutMs)),
    killSignal: "SIGKILL",
  });
  let said = "";
  maker.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = `${said}${text}`.slice(0, 1_000);
  });
  return await new Promise((resolve) => {
    maker.on("error", (error) => resolve({ reason: error.message, isPassing: false }));
    maker.on("close", (code, signal) => {
      if (code === 0) return resolve(null);
      const reason = said.trim() || `their making ended with ${signal ?? code}`;
      resolve({ reason, isPassing: code === changedExitCode });
    });
  });
}
