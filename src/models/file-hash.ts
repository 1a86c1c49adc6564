/** SHA-256 of files of any size, read piece by piece: a piece is small enough not to hold the event loop. */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";

const pieceBytes = 1024 * 1024;

/** Called after each piece with the bytes read so far. */
export type HashProgress = (doneBytes: number) => void;

/** Hashes everything from the start of the file to its end, wherever the handle stands; leaves it open. */
export async function hashHandle(handle: FileHandle, onProgress?: HashProgress): Promise<string> {
  const hash = createHash("sha256");
  const piece = Buffer.allocUnsafe(pieceBytes);
  for (let doneBytes = 0; ; ) {
    const { bytesRead } = await handle.read(piece, 0, pieceBytes, doneBytes);
    if (bytesRead === 0) return hash.digest("hex");
    hash.update(piece.subarray(0, bytesRead));
    doneBytes += bytesRead;
    onProgress?.(doneBytes);
  }
}

export async function hashFile(path: string, onProgress?: HashProgress): Promise<string> {
  await using handle = await open(path, "r");
  return await hashHandle(handle, onProgress);
}
