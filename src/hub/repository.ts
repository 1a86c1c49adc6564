/** READ FIRST: models of a Hugging Face hub, or of a mirror that speaks its API. What a repository has, at one commit. */
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { messageOf } from "../work/thrown.js";
import { askHub, attemptsMax, bodyPieces, type Hub, Passing, pauseBehind } from "./ask-hub.js";

export interface HubFile {
  /** With `/` between folders; checked to stay within the folder that it is put into. */
  readonly name: string;
  readonly bytes: number;
  /** What it must be: of large files the hub knows the SHA-256, of others the hash that git gives them. */
  readonly hash: { readonly kind: "sha256" | "git"; readonly hex: string };
}

export interface HubRepository {
  readonly name: string;
  /** All files are asked for at it, whatever is pushed meanwhile. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/** What a pull keeps in the folder for itself begins so: no file of a hub does. */
export const ownPrefix = ".millrace-pull";

const listBytesMax = 32 * 1024 * 1024;

const siblingShape = z.object({
  rfilename: z.string(),
  size: z.number().int().min(0),
  blobId: z.string().regex(/^[0-9a-f]{40}$/),
  lfs: z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/) }).nullish(),
});

const repositoryShape = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(siblingShape),
});

/** `ORG/NAME`, or `NAME` of those that have no owner. @throws MillraceError `option_invalid` */
function checkRepositoryName(name: string): void {
  const part = "[A-Za-z0-9_-][A-Za-z0-9._-]{0,95}";
  if (new RegExp(`^(?:${part}/)?${part}$`).test(name)) return;
  throw new MillraceError(
    "option_invalid",
    `${name} is no repository: ORG/NAME, as its page has it`,
  );
}

export interface RepositoryQuestion {
  readonly name: string;
  readonly revision: string;
  /** Before the first repetition; doubled with each. */
  readonly pauseMs: number;
}

/**
 * Asked again where the hub is busy, or its reply breaks off; not where nobody is there.
 *
 * @throws MillraceError as `askHub`; `response_invalid` where the reply is none of a hub, or names files outside of the folder.
 */
export async function readRepository(
  hub: Hub,
  { name, revision, pauseMs }: RepositoryQuestion,
  signal: AbortSignal,
): Promise<HubRepository> {
  checkRepositoryName(name);
  const path = `/api/models/${name}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const question = { path, what: `${name} at ${revision}` };
  for (let failures = 0; ; failures += 1) {
    try {
      const text = await readList(hub, question, signal);
      return repositoryOf(text, { hub, name });
    } catch (error) {
      const isLast = failures + 1 >= attemptsMax;
      if (!(error instanceof Passing) || !error.isAnswered || isLast) throw error;
      await pauseBehind(error, { failures, pauseMs, signal });
    }
  }
}

function repositoryOf(
  text: string,
  { hub, name }: { readonly hub: Hub; readonly name: string },
): HubRepository {
  const found = repositoryShape.safeParse(jsonOf(text));
  if (!found.success) {
    const shown = JSON.stringify(text.slice(0, 120));
    const message = `${hub.endpoint} does not answer as a hub does: ${shown}`;
    throw new MillraceError("response_invalid", message);
  }
  const { sha: commit, siblings } = found.data;
  const files = siblings.map(({ rfilename, size: bytes, blobId, lfs }): HubFile => {
    checkFileName(rfilename);
    const hash =
      lfs == null
        ? ({ kind: "git", hex: blobId } as const)
        : ({ kind: "sha256", hex: lfs.sha256 } as const);
    return { name: rfilename, bytes, hash };
  });
  // Two of one name would be written into each other.
  if (new Set(files.map((file) => file.name)).size < files.length) {
    throw new MillraceError("response_invalid", `${hub.endpoint} names a file of ${name} twice`);
  }
  return { name, commit, files };
}

/** A hub may be anybody's: what it names is written below one folder and onto a terminal, and does nothing else to either. */
function checkFileName(name: string): void {
  const parts = name.split("/");
  const isBad = (part: string): boolean =>
    part === "" || part === "." || part === ".." || /[\\:\p{Cc}]/u.test(part) || part.length > 255;
  if (!parts.some(isBad) && !name.startsWith(ownPrefix)) return;
  const message = `the hub names a file that has no place in a folder: ${JSON.stringify(name.slice(0, 200))}`;
  throw new MillraceError("response_invalid", message);
}

/** @throws MillraceError as `askHub`, `Passing` where it breaks off */
async function readList(
  hub: Hub,
  question: { readonly path: string; readonly what: string },
  signal: AbortSignal,
): Promise<string> {
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const reply = await askHub(hub, { ...question, headers: {} }, both);
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const piece of bodyPieces(reply, stop, hub)) {
      bytes += piece.length;
      if (bytes > listBytesMax) throw tooLong();
      pieces.push(piece);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof MillraceError) throw error;
    const message = `${question.what}: the list of files broke off: ${messageOf(error)}`;
    throw new Passing(message, { cause: error });
  }
  return Buffer.concat(pieces).toString("utf8");
}

function tooLong(): MillraceError {
  const message = `a list of files of more than ${listBytesMax} bytes`;
  return new MillraceError("response_invalid", message);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
