/**
 * What the store of models says of one version of a model: its files, each with its size and SHA-256. It is written last, so that who can
 * read it can read the files; and it is held to itself, for whoever may write to NATS wrote it.
 */
import { createHash } from "node:crypto";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";

export interface ModelFile {
  /** Within the folder, with `/` between: no part of it leads out of the folder. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface ModelRecord {
  readonly format: 1;
  readonly name: string;
  readonly version: string;
  /** Over all files: two versions with the same have the same contents. */
  readonly sha256: string;
  readonly files: readonly ModelFile[];
  readonly pushedAt: string;
}

export interface VersionName {
  readonly name: string;
  readonly version: string;
}

export const recordFilesMax = 1_000;
/** NATS takes messages of a megabyte. */
const recordBytesMax = 768 * 1024;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
/** As folders of models and keys of NATS may both be called. */
const name = z.string().regex(/^(?!.*\.\.)(?!\.)[\w.-]{1,100}(?<!\.)$/);
const version = z.string().regex(/^(?!.*\.\.)(?!\.)[\w.-]{1,64}(?<!\.)$/);
/** Parts that are hidden, or lead upwards, are none. */
const path = z
  .string()
  .max(512)
  .regex(/^(?!\.)[^/\\\0]+(\/(?!\.)[^/\\\0]+){0,7}$/);

const schema: z.ZodType<ModelRecord> = z.strictObject({
  format: z.literal(1),
  name,
  version,
  sha256,
  files: z
    .array(
      z.strictObject({
        path,
        bytes: z
          .int()
          .nonnegative()
          .max(2 ** 44),
        sha256,
      }),
    )
    .min(1)
    .max(recordFilesMax),
  pushedAt: z.iso.datetime(),
});

/** @throws MillraceError `model_folder_invalid`, which names the record */
export function parseRecord(of: VersionName, text: string): ModelRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged(of, "is no JSON", cause);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw damaged(of, `is none: ${z.prettifyError(parsed.error)}`);
  const { data } = parsed;
  if (data.name !== of.name || data.version !== of.version)
    throw damaged(of, "is that of another model");
  if (data.sha256 !== filesSha256(data.files))
    throw damaged(of, "and its list of files do not fit together");
  if (new Set(data.files.map((file) => file.path)).size < data.files.length)
    throw damaged(of, "names a file twice");
  return data;
}

/** @throws MillraceError `model_folder_invalid` */
export function recordText(record: ModelRecord): string {
  const text = JSON.stringify(record);
  parseRecord(record, text);
  if (Buffer.byteLength(text) <= recordBytesMax) return text;
  const message = `${fullName(record)} has too many files: what is said of them has ${text.length} bytes, and ${recordBytesMax} are the most`;
  throw new MillraceError("model_folder_invalid", message);
}

export function filesSha256(files: readonly ModelFile[]): string {
  const lines = files.map((file) => `${file.sha256} ${file.bytes} ${file.path}\n`);
  return createHash("sha256").update(lines.toSorted().join("")).digest("hex");
}

export function fullName(of: VersionName): string {
  return `${of.name}@${of.version}`;
}

/** Of a file within a model's folder, or a folder within it. */
export function mayBePath(text: string): boolean {
  return path.safeParse(text).success;
}

/** `name@version`, or a name alone. @throws MillraceError `option_invalid` */
export function parseName(text: string): {
  readonly name: string;
  readonly version: string | null;
} {
  const [called = "", wanted, ...more] = text.split("@");
  const isRight =
    name.safeParse(called).success &&
    (wanted === undefined || version.safeParse(wanted).success) &&
    more.length === 0;
  if (isRight) return { name: called, version: wanted ?? null };
  const message = `${JSON.stringify(text)} is no name of a model: name or name@version, of letters, digits, '.', '_' and '-'`;
  throw new MillraceError("option_invalid", message);
}

export function bytesOfFiles(files: readonly ModelFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

function damaged(of: VersionName, what: string, cause?: unknown): MillraceError {
  const message = `the store's record of ${fullName(of)} ${what}: remove that version and push it again`;
  return new MillraceError("model_folder_invalid", message, { cause });
}
