/** A file with one key, as `millrace keys` writes it. */
import { changeKeyFile, newKey } from "#src/access/key-file.js";

export async function makeKeys(
  file: string,
): Promise<{ readonly file: string; readonly key: string }> {
  const { key, sha256 } = newKey();
  const record = { name: "conformance", sha256, createdAt: new Date().toISOString() };
  await changeKeyFile(file, () => [record], "create");
  return { file, key };
}
