/** What a Hugging Face hub answers where it is asked for the files of a repository. */
import { createHash } from "node:crypto";

/** Large ones are told by their SHA-256, as a hub does. */
export function hubListing(commit: string, files: Readonly<Record<string, Buffer>>): string {
  const siblings = Object.entries(files).map(([rfilename, bytes]) => {
    const entry = { rfilename, size: bytes.length, blobId: gitHash(bytes) };
    if (!/\.(?:safetensors|bin)$/.test(rfilename)) return entry;
    return { ...entry, lfs: { sha256: createHash("sha256").update(bytes).digest("hex") } };
  });
  return JSON.stringify({ sha: commit, siblings });
}

function gitHash(bytes: Buffer): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}
