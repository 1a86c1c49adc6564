/** Model folders that tests change while they are served: made of the bundled one, without copying its weights. */
import { link, mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ModelManifest } from "#src/models/manifest.js";
import type { GenerationManifest, GenerationRules } from "#src/models/manifest-generation.js";
import { bundledModels } from "./real-server.js";

/** The bundled translator under another name: its own manifest, with other rules where they are given, and links to the rest. */
export async function copyModel(
  dir: string,
  name: string,
  rules: Partial<GenerationRules> = {},
): Promise<void> {
  const manifest = (await linkFiles(dir, "millrace.json")) as GenerationManifest;
  const generation = { ...manifest.generation, ...rules };
  await writeManifest(dir, { ...manifest, name, generation });
}

/** The same with the bundled encoder, which serves embeddings. */
export async function copyEncoder(dir: string, name: string): Promise<void> {
  await writeManifest(dir, { ...(await linkFiles(dir, "millrace.embeddings.json")), name });
}

/** In one move, as convert does it: nobody reads half of one. */
export async function writeManifest(dir: string, manifest: object): Promise<void> {
  await replaceFile(join(dir, "millrace.json"), JSON.stringify(manifest));
}

export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  await writeFile(`${path}.next`, content);
  await rename(`${path}.next`, path);
}

/** All but manifests; gives the one that is named. */
async function linkFiles(dir: string, manifest: string): Promise<ModelManifest> {
  const from = join(bundledModels, "en-zh");
  await mkdir(dir, { recursive: true });
  for (const file of await readdir(from))
    if (!file.startsWith("millrace.")) await link(join(from, file), join(dir, file));
  return JSON.parse(await readFile(join(from, manifest), "utf8")) as ModelManifest;
}
