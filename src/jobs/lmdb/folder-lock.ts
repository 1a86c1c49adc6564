/**
 * One store at a time in a folder. Who has it listens on a socket that lies in it: the system ends that with the process, however it
 * dies, in whatever container it ran, and no number of a process is ever taken for another one's. A socket that nobody listens on is
 * a dead one's, and is taken over. Where sockets are no files (Windows) its name is made of the folder's, and who can listen on it has it.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, open, readFile, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MillraceError } from "millrace-client/wire";
import { linkNew } from "../../platform/link.js";
import { move } from "../../platform/move.js";
import { platform } from "../../platform/platform.js";
import type { Platform } from "../../platform/system.js";
import { hasCode, messageOf } from "../../work/thrown.js";

/** As long as one that takes over may need between looking and moving. */
const settleMs = 50;
const attemptsMax = 5;
/** Of a socket's address, with its end. */
const addressBytesMax = 100;

/** What decides on the way; `socketName` is the system's name for a socket that is no file. */
export interface LockWay extends Pick<Platform, "hasSocketFiles" | "openFolderPath"> {
  readonly socketName?: (key: string) => string;
}

export class FolderLock implements AsyncDisposable {
  readonly #server: Server;
  readonly #paths: readonly string[];

  /** @throws MillraceError `data_in_use`, `data_invalid` where the folder cannot be written */
  static async take(dir: string, way: LockWay = platform): Promise<FolderLock> {
    return way.hasSocketFiles
      ? await FolderLock.#takeFile(dir, way)
      : await FolderLock.#takeName(dir, way.socketName ?? pipeName);
  }

  static async #takeFile(dir: string, way: LockWay): Promise<FolderLock> {
    const short = await shortName(dir, way);
    const own = `lock.${randomUUID().slice(0, 8)}`;
    const server = createServer((socket) => socket.destroy());
    try {
      await listening(server, join(short.dir, own));
      await replaced(join(dir, "lock"), { own: join(dir, own), short: short.dir, dir });
      await noteHolder(dir);
      // The server is open as long as the store is; it keeps no process.
      server.unref();
      return new FolderLock(server, [join(dir, own), join(dir, "lock"), join(dir, "lock.json")]);
    } catch (error) {
      server.close();
      await rm(join(dir, own), { force: true });
      if (error instanceof MillraceError) throw error;
      throw new MillraceError("data_invalid", `${dir} cannot be used: ${messageOf(error)}`);
    } finally {
      await short.close();
    }
  }

  static async #takeName(dir: string, socketName: (key: string) => string): Promise<FolderLock> {
    const server = createServer((socket) => socket.destroy());
    try {
      // However the folder is spelled. Systems without socket files do not tell capitals apart in a path.
      const path = (await realpath(dir)).toLowerCase();
      const key = createHash("sha256").update(path).digest("hex").slice(0, 32);
      await listening(server, socketName(key));
      await noteHolder(dir);
      server.unref();
      return new FolderLock(server, [join(dir, "lock.json")]);
    } catch (error) {
      server.close();
      if (hasCode(error, "EADDRINUSE") || hasCode(error, "EACCES")) throw await inUse(dir);
      throw new MillraceError("data_invalid", `${dir} cannot be used: ${messageOf(error)}`);
    }
  }

  private constructor(server: Server, paths: readonly string[]) {
    this.#server = server;
    this.#paths = paths;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.#paths) await rm(path, { force: true });
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

interface Taking {
  readonly own: string;
  readonly short: string;
  readonly dir: string;
}

/** `path` is our socket. @throws MillraceError `data_in_use` */
async function replaced(path: string, taking: Taking): Promise<void> {
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    if (await linkNew(taking.own, path)) {
      if (attempt > 0) await sleep(settleMs);
      if (await isSame(taking.own, path)) return;
      continue;
    }
    if (await isListening(join(taking.short, "lock"))) throw await inUse(taking.dir);
    await moveDead(path, taking);
  }
  throw await inUse(taking.dir);
}

/** Of several that found it dead, one may have its own there meanwhile: what was moved is looked at again. */
async function moveDead(path: string, { short, dir }: Taking): Promise<void> {
  const aside = `lock.${randomUUID().slice(0, 8)}`;
  try {
    await move(path, join(dir, aside));
  } catch (error) {
    if (hasCode(error, "ENOENT")) return;
    throw error;
  }
  try {
    if (await isListening(join(short, aside))) await linkNew(join(dir, aside), path);
  } finally {
    await rm(join(dir, aside), { force: true });
  }
}

async function isSame(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all(
    [one, other].map(async (path) => await stat(path).catch(() => null)),
  );
  return a?.ino !== undefined && a.ino === b?.ino;
}

/** Also where it is stopped or busy: the system takes the connection for it. */
async function isListening(path: string): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => {
      if (hasCode(error, "ECONNREFUSED") || hasCode(error, "ENOENT")) resolve(false);
      // Too many of them wait already: somebody listens.
      else if (hasCode(error, "EAGAIN")) resolve(true);
      // A file that is no socket, or somebody else's: it is not ours to remove.
      else reject(error);
    });
  });
}

async function listening(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(path, resolve);
  });
}

interface ShortName {
  readonly dir: string;
  close(): Promise<void>;
}

/**
 * The address of a socket is short: where the folder's name is long, the system's name of the open folder stands for it, or
 * a link among the temporary files.
 */
async function shortName(dir: string, { openFolderPath }: LockWay): Promise<ShortName> {
  if (Buffer.byteLength(join(dir, "lock.00000000")) <= addressBytesMax) {
    return { dir, close: async () => {} };
  }
  const handle = await open(dir);
  const path = openFolderPath(handle.fd);
  if (path !== null) return { dir: path, close: async () => await handle.close() };
  await handle.close();
  const folder = await mkdtemp(join(tmpdir(), "lock-"));
  const short = join(folder, "to");
  await symlink(dir, short);
  return { dir: short, close: async () => await rm(folder, { recursive: true }) };
}

/** Of a named pipe on Windows. It goes with the process that listens on it. */
function pipeName(key: string): string {
  return String.raw`\\.\pipe\millrace-` + key;
}

async function noteHolder(dir: string): Promise<void> {
  const holder = { pid: process.pid, host: hostname() };
  await writeFile(join(dir, "lock.json"), `${JSON.stringify(holder)}\n`);
}

async function inUse(dir: string): Promise<MillraceError> {
  const text = await readFile(join(dir, "lock.json"), "utf8").catch(() => "");
  const known = /"pid":(?<pid>\d+),"host":"(?<host>[^"]*)"/.exec(text)?.groups;
  const who =
    known === undefined ? "another process" : `process ${known["pid"]} on ${known["host"]}`;
  return new MillraceError("data_in_use", `${dir} is in use: ${who} keeps its jobs there`);
}
