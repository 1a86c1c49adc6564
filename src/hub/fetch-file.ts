/**
 * One file of a hub, whole or not at all. What has come stands in a part beside it, named by the hash of the whole, so a later run
 * goes on with it, and never with the part of another version.
 *
 *   FILE.<hash>.part ◄── Range: bytes=n- ── hub            again, with a pause, while it passes
 *        └─ bytes and hash are right ─► FILE
 */
import { type FileHandle, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { makeFolders } from "../platform/make-folders.js";
import { move } from "../platform/move.js";
import { writeProblem } from "../work/file-problem.js";
import { hasCode, messageOf } from "../work/thrown.js";
import { askHub, attemptsMax, bodyPieces, type Hub, Passing, pauseBehind } from "./ask-hub.js";
import type { HubFile, HubRepository } from "./repository.js";
import { isSameFile } from "./same-file.js";

export interface HubParts {
  readonly hub: Hub;
  readonly repository: HubRepository;
  readonly dir: string;
  readonly signal: AbortSignal;
  /** Hears of each piece, and of what was there already; less than nothing where a part was thrown away. */
  readonly onBytes: (bytes: number) => void;
  /** Before the first repetition; doubled with each. */
  readonly pauseMs: number;
}

export function placeOf(dir: string, { name }: Pick<HubFile, "name">): string {
  return join(dir, ...name.split("/"));
}

/** Until it is whole. */
export function partOf(dir: string, file: HubFile): string {
  return `${placeOf(dir, file)}.${file.hash.hex.slice(0, 12)}.part`;
}

/**
 * Over what has its name.
 *
 * @throws MillraceError as `askHub`; `weights_invalid` where it is not what the hub says; `output_failed` of the disk.
 */
export async function fetchFile(file: HubFile, parts: HubParts): Promise<void> {
  const path = placeOf(parts.dir, file);
  const part = partOf(parts.dir, file);
  try {
    await makeFolders(dirname(path));
    for (let isFirst = true; ; isFirst = false) {
      await fetchPart(file, part, parts);
      if (await isSameFile(part, file, parts.signal)) break;
      await rm(part, { force: true });
      parts.onBytes(-file.bytes);
      // A part of an earlier run may have been damaged on the disk: once anew.
      if (isFirst) continue;
      const message = `${file.name}: what came is not what the hub's hash says, twice`;
      throw new MillraceError("weights_invalid", message);
    }
    await move(part, path);
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error instanceof MillraceError)
      throw error;
    parts.signal.throwIfAborted();
    const kept = hasCode(error, "ENOSPC")
      ? "the disk is full; what has come is kept"
      : writeProblem(error);
    throw new MillraceError("output_failed", `cannot write ${part}: ${kept}`, { cause: error });
  }
}

async function fetchPart(file: HubFile, part: string, parts: HubParts): Promise<void> {
  const { signal, onBytes, pauseMs } = parts;
  await using handle = await open(part, "a+");
  let bytes = (await handle.stat()).size;
  if (bytes > file.bytes) {
    await handle.truncate(0);
    bytes = 0;
  }
  onBytes(bytes);
  // A hub that knows no ranges begins anew each time: what it has brought before brings nobody further.
  let furthest = bytes;
  for (let failures = 0; bytes < file.bytes; ) {
    try {
      bytes = await append(file, { handle, from: bytes }, parts);
      if (bytes === file.bytes) return;
      throw new Passing(`${file.name}: the body ended after ${bytes} of ${file.bytes} bytes`);
    } catch (error) {
      if (!(error instanceof Passing)) throw error;
      bytes = (await handle.stat()).size;
      failures = bytes > furthest ? 0 : failures + 1;
      furthest = Math.max(furthest, bytes);
      if (failures >= attemptsMax) throw error;
      await pauseBehind(error, { failures, pauseMs, signal });
    }
  }
}

/** Bytes that there are then. */
async function append(
  file: HubFile,
  { handle, from }: { readonly handle: FileHandle; readonly from: number },
  { hub, repository, signal, onBytes }: HubParts,
): Promise<number> {
  const path = `/${repository.name}/resolve/${repository.commit}/${file.name.split("/").map(encodeURIComponent).join("/")}`;
  const headers: Record<string, string> = {
    "accept-encoding": "identity",
    ...(from > 0 && { range: `bytes=${from}-` }),
  };
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const reply = await askHub(hub, { path, what: file.name, headers }, both);
  let bytes = from;
  if (from > 0 && !goesOn(reply, from)) {
    // It knows no ranges: all of it comes again.
    await handle.truncate(0);
    onBytes(-from);
    bytes = 0;
  }
  try {
    for await (const piece of bodyPieces(reply, stop, hub)) {
      if (bytes + piece.length > file.bytes) {
        throw new MillraceError(
          "response_invalid",
          `${file.name}: more comes than the hub says it has`,
        );
      }
      // All of it, or the error of the disk.
      await handle.appendFile(piece);
      bytes += piece.length;
      onBytes(piece.length);
    }
    return bytes;
  } catch (error) {
    signal.throwIfAborted();
    const isOfDisk = error instanceof Error && "syscall" in error && error.syscall === "write";
    if (error instanceof MillraceError || isOfDisk) throw error;
    throw new Passing(`${file.name}: the connection broke: ${messageOf(error)}`, { cause: error });
  }
}

function goesOn(reply: Response, from: number): boolean {
  const [, start] = /^bytes (\d+)-/.exec(reply.headers.get("content-range") ?? "") ?? [];
  return reply.status === 206 && Number(start) === from;
}
