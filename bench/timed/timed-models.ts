/** A folder of the bundled translation model alone: timed workers run no other kind. */
import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const bundled = fileURLToPath(new URL("../../../models/en-zh", import.meta.url));

export async function makeTimedModels(dir: string): Promise<string> {
  const to = join(dir, "en-zh");
  await mkdir(to, { recursive: true });
  for (const name of await readdir(bundled)) {
    if (name !== "millrace.embeddings.json") await symlink(join(bundled, name), join(to, name));
  }
  return dir;
}
