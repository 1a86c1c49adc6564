/** The published files of an OCR model, copied to where the manifest has them; weights beside a graph go with it. */
import { chmod, copyFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { hashFile } from "../../models/file-hash.js";
import { manifestFileName } from "../../models/manifest-base.js";
import { fileName } from "../../models/manifest-fields.js";
import { readGraph } from "../../models/onnx/read-graph.js";
import type { OcrManifest } from "../../models/programs/manifest-ocr.js";
import { messageOf } from "../../work/thrown.js";

export const fileNames = {
  detector: "detector.onnx",
  recogniser: "recogniser.onnx",
  keys: "keys.txt",
  direction: "direction.onnx",
} as const;

type Part = keyof typeof fileNames;

export type PartFiles = Readonly<Partial<Record<Part, string>>>;

/** By its name in the folder. */
type Plan = ReadonlyMap<string, string>;

/**
 * Where each file of the folder comes from. A graph names its data files, so these keep their names.
 * @throws MillraceError `model_folder_invalid`
 */
export async function planCopies(files: PartFiles): Promise<Plan> {
  const plan = new Map<string, string>();
  const graphs: [Part, string][] = [];
  for (const [part, file] of Object.entries(files) as [Part, string][]) {
    await checkFile(file);
    plan.set(fileNames[part], resolve(file));
    if (part !== "keys") graphs.push([part, file]);
  }
  for (const [part, file] of graphs) {
    for (const name of await dataFilesOf(part, file)) {
      const from = resolve(dirname(file), name);
      await checkFile(from);
      const other = name === manifestFileName ? "the manifest" : plan.get(name);
      if (other !== undefined && other !== from) {
        const message = `${file} has weights in a file called ${name}, and so is ${other}, which goes to the same folder`;
        throw new MillraceError("model_folder_invalid", message);
      }
      plan.set(name, from);
    }
  }
  return plan;
}

async function dataFilesOf(part: Part, file: string): Promise<readonly string[]> {
  const { dataFiles } = await readGraph(file).catch((cause: unknown) => {
    const why = messageOf(cause);
    const message = `the ${part} cannot be run: ${why}`;
    throw new MillraceError("model_folder_invalid", message, { cause });
  });
  const outside = dataFiles.find((name) => !fileName.safeParse(name).success);
  if (outside === undefined) return dataFiles;
  const message = `${file} has weights in ${JSON.stringify(outside)}, which is no file of its folder`;
  throw new MillraceError("model_folder_invalid", message);
}

export async function copyAll(
  plan: Plan,
  { dir, signal }: { readonly dir: string; readonly signal: AbortSignal },
): Promise<Pick<OcrManifest, "files" | "fileSha256">> {
  const fileSha256: Record<string, string> = {};
  for (const [name, from] of plan) {
    signal.throwIfAborted();
    const path = join(dir, name);
    await copyFile(from, path);
    // copyFile brings the permissions along, and a downloaded file may be read-only.
    await chmod(path, 0o644);
    fileSha256[name] = await hashFile(path);
  }
  const parts = Object.values<string>(fileNames);
  const data = [...plan.keys()].filter((name) => !parts.includes(name));
  const { detector, recogniser, keys, direction } = fileNames;
  return {
    files: {
      detector,
      recogniser,
      keys,
      ...(plan.has(direction) ? { direction } : {}),
      ...(data.length === 0 ? {} : { data }),
    },
    fileSha256,
  };
}

async function checkFile(path: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (found?.isFile() === true) return;
  throw new MillraceError("model_folder_invalid", `${path} is not there, or no file`);
}
