/** A file with one key, as `millrace keys` writes it. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";

/** The command that makes keys. */
export const keysAreThere: boolean = existsSync("dist/cli/keys.js");

export async function makeKeys(
  file: string,
): Promise<{ readonly file: string; readonly key: string }> {
  const args = ["dist/cli/main.js", "keys", "add", "conformance", "--keys", file];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const key = stdout.trim().split(/\s+/).at(-1);
  assert.ok(key !== undefined && key.length >= 16, "the key is the last word that it prints");
  return { file, key };
}
