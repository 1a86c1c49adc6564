/** Reads the JSON files of a model folder, which come from strangers: bounded, and with errors that name the file. */
import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import { MillraceError } from "millrace-client/wire";
import type { z } from "zod";
import { hasCode } from "../work/thrown.js";

/** Far over a tokenizer.json with a vocabulary of a million. */
const jsonBytesMax = 256 * 1024 * 1024;

/** Throws `model_folder_invalid` where the file is missing, is not a file, is too large or is not JSON. */
export async function readJsonFile(
  path: string,
  bytesMax: number = jsonBytesMax,
): Promise<unknown> {
  const text = await readTextFile(path, bytesMax);
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new MillraceError("model_folder_invalid", `${path} is not JSON`, { cause });
  }
}

/** Throws `model_folder_invalid` where the file is missing, is not a file or is too large. */
export async function readTextFile(path: string, bytesMax: number): Promise<string> {
  return (await readBoundedFile(path, bytesMax)).toString("utf8");
}

/** Likewise, its bytes. */
export async function readBoundedFile(path: string, bytesMax: number): Promise<Buffer> {
  try {
    const stats = await stat(path);
    if (!stats.isFile()) throw new MillraceError("model_folder_invalid", `${path} is not a file`);
    if (stats.size > bytesMax) {
      const sizes = `${stats.size} bytes; the limit is ${bytesMax}`;
      throw new MillraceError("model_folder_invalid", `${path} has ${sizes}`);
    }
    return await readFile(path);
  } catch (cause) {
    if (cause instanceof MillraceError) throw cause;
    const what = isMissing(cause) ? "is missing" : "cannot be read";
    throw new MillraceError("model_folder_invalid", `${path} ${what}`, { cause });
  }
}

/** Whether a file system call failed because there is nothing at the path. */
export function isMissing(error: unknown): boolean {
  return hasCode(error, "ENOENT");
}

/** Checks what a file said against a schema; the error names the file and each field that is wrong. */
export function checkShape<Value>(path: string, value: unknown, schema: z.ZodType<Value>): Value {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    (issue) => `${issue.path.length === 0 ? "the whole" : issue.path.join(".")}: ${issue.message}`,
  );
  throw new MillraceError("model_folder_invalid", `${basename(path)}: ${problems.join("; ")}`);
}
