/** SHA-256 of files of any size, read piece by piece: a piece is small enough not to hold the event loop. */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";

const pieceBytes = 1024 * 1024;

/** Called after each piece with the bytes read so far. */
export type HashProgress = (doneBytes: number) => void;

/** Hashes everything in the files, one behind the other, wherever their handles stand; leaves them open. */
export async function hashHandles(
  handles: readonly FileHandle[],
  onProgress?: HashProgress,
): Promise<string> {
  const hash = createHash("sha256");
  const piece = Buffer.allocUnsafe(pieceBytes);
  let doneBytes = 0;
  for (const handle of handles) {
    for (let position = 0; ; ) {
      const { bytesRead } = await handle.read(piece, 0, pieceBytes, position);
      if (bytesRead === 0) break;
      hash.update(piece.subarray(0, bytesRead));
      position += bytesRead;
      doneBytes += bytesRead;
      onProgress?.(doneBytes);
    }
  }
  return hash.digest("hex");
}

export async function hashFile(path: string, onProgress?: HashProgress): Promise<string> {
  await using handle = await open(path, "r");
  return await hashHandles([handle], onProgress);
}
