/**
 * The file of keys: JSON, with the SHA-256 of each key and never the key itself. A key is 32 random bytes, which nobody can guess
 * at any speed: a slow hash, as passwords need, would protect nothing more, and would cost every request.
 */
import { createHash, randomBytes } from "node:crypto";
import { type FileHandle, open, realpath, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { apiLimits, MillraceError, type WorkClass, workClasses } from "millrace-client/wire";
import { z } from "zod";
import { move } from "../platform/move.js";
import { platform } from "../platform/platform.js";
import { readProblem } from "../work/file-problem.js";
import { hasCode } from "../work/thrown.js";

/** With each request every key is compared (key-ring.ts): 10,000 of them take 2 ms. */
const keysMax = 10_000;
const fileBytesMax = 16 * 1024 * 1024;
/** How long another run that writes is waited for. */
const lockedMsMax = 2_000;
const lookAgainMs = 20;

/** What is known of a key; inputs are what is counted. */
export interface KeyRecord {
  readonly name: string;
  /** In lower case. */
  readonly sha256: string;
  readonly createdAt: string;
  /** Absent: the key's name; `*`: whatever the request says. */
  readonly tenant?: string | undefined;
  /** Absent: all. */
  readonly classes?: readonly WorkClass[] | undefined;
  /** Absent: all. */
  readonly models?: readonly string[] | undefined;
  readonly admin?: boolean | undefined;
  readonly ratePerSecond?: number | undefined;
  /** Absent: what one second allows. */
  readonly burst?: number | undefined;
  readonly quotaPerMonth?: number | undefined;
}

const name: z.ZodString = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, {
  message: "is not 1 to 64 letters, digits, dots, dashes or underscores",
});
const some = z.number().int().min(1).max(1_000_000_000);

const keyRecord: z.ZodType<KeyRecord> = z.strictObject({
  name,
  sha256: z.string().regex(/^[0-9a-f]{64}$/, { message: "is no SHA-256 in lower case" }),
  createdAt: z.iso.datetime(),
  tenant: z.string().min(1).max(apiLimits.tenantCharactersMax).optional(),
  classes: z.array(z.enum(workClasses)).min(1).optional(),
  models: z.array(z.string().min(1).max(256)).min(1).optional(),
  admin: z.boolean().optional(),
  ratePerSecond: some.optional(),
  burst: some.optional(),
  quotaPerMonth: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
});

const keyFile = z.strictObject({ version: z.literal(1), keys: z.array(keyRecord).max(keysMax) });

/** Visible, so that whoever finds one in a log or a repository knows what it is. */
const prefix = "mr_";

/** A key that nobody has yet, to be shown once; and what is kept of it. */
export function newKey(): { readonly key: string; readonly sha256: string } {
  const key = `${prefix}${randomBytes(32).toString("base64url")}`;
  return { key, sha256: hashOfKey(key).toString("hex") };
}

export function hashOfKey(credential: string): Buffer {
  return createHash("sha256").update(credential).digest();
}

/** @throws MillraceError `key_file_invalid` */
export async function readKeyFile(path: string): Promise<readonly KeyRecord[]> {
  try {
    await using handle = await open(path, "r");
    return parseKeyFile(path, await readChecked(path, handle));
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/**
 * Changes the file and leaves it whole: the new one takes the old one's place at once, for the user alone or as the old one was
 * owned. One writer at a time, over all processes.
 *
 * @throws MillraceError `key_file_invalid`, or whatever `change` throws; then nothing was written
 */
export async function changeKeyFile(
  path: string,
  change: (keys: readonly KeyRecord[]) => readonly KeyRecord[],
  whereMissing: "create" | "refuse",
): Promise<void> {
  // The file that a link points to is what is replaced, and not the link.
  const target = await realpath(path).catch(() => path);
  const draft = `${target}.new`;
  const writer = await openDraft(draft);
  try {
    const found = await openIfThere(target);
    await using old = found;
    if (old === null && whereMissing === "refuse") throw new Error("there is no such file");
    const keys = old === null ? [] : parseKeyFile(path, await readChecked(path, old));
    const content = { version: 1, keys: change(keys) };
    // What would be refused as it is read must not be written.
    keyFile.parse(content);
    await writer.writeFile(`${JSON.stringify(content, null, 2)}\n`);
    if (old !== null) await ownAs(writer, old);
    await writer.sync();
    await writer.close();
    await move(draft, target);
  } catch (cause) {
    await writer.close().catch(() => {});
    await rm(draft, { force: true });
    throw unreadable(path, cause);
  }
}

/** It is the lock as well. */
async function openDraft(draft: string): Promise<FileHandle> {
  const endsAtMs = performance.now() + lockedMsMax;
  for (;;) {
    try {
      return await open(draft, "wx", 0o600);
    } catch (cause) {
      const isThere = hasCode(cause, "EEXIST");
      if (!isThere) throw unreadable(draft, cause);
      if (performance.now() > endsAtMs) {
        const message = `${draft} is there: another \`millrace keys\` is writing, or one was killed; where none runs, remove it`;
        throw new MillraceError("key_file_invalid", message, { cause });
      }
      await sleep(lookAgainMs);
    }
  }
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, "r");
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return null;
    throw cause;
  }
}

/** A server that runs as another user must still be able to read it: owner and the group's right to read stay. */
async function ownAs(writer: FileHandle, old: FileHandle): Promise<void> {
  const { uid, gid, mode } = await old.stat();
  const own = await writer.stat();
  if (own.uid !== uid || own.gid !== gid) await writer.chown(uid, gid);
  await writer.chmod(0o600 | (mode & 0o040));
}

async function readChecked(path: string, handle: FileHandle): Promise<string> {
  const stats = await handle.stat();
  if (!stats.isFile()) throw new Error("it is no file");
  if (stats.size > fileBytesMax) {
    throw new Error(`it has ${stats.size} bytes; the limit is ${fileBytesMax}`);
  }
  if (platform.hasFileModes && (stats.mode & 0o002) !== 0) {
    throw new Error(`whoever is on this machine may write into it: chmod 600 ${path}`);
  }
  return await handle.readFile("utf8");
}

function parseKeyFile(path: string, text: string): readonly KeyRecord[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new Error("it is not JSON", { cause });
  }
  const result = keyFile.safeParse(parsed);
  if (!result.success) {
    const [first] = result.error.issues;
    throw new Error(`${first?.path.join(".") ?? "the whole"}: ${first?.message ?? "is wrong"}`);
  }
  const { keys } = result.data;
  for (const field of ["name", "sha256"] as const) {
    const seen = new Set(keys.map((key) => key[field]));
    if (seen.size < keys.length) throw new Error(`two keys have the same ${field} in ${path}`);
  }
  return keys;
}

function unreadable(path: string, cause: unknown): MillraceError {
  if (cause instanceof MillraceError) return cause;
  const message = `the file of keys cannot be used: ${path}: ${readProblem(cause)}`;
  return new MillraceError("key_file_invalid", message, { cause });
}
