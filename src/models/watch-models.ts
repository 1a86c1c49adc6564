/**
 * Notices that a folder of models changed, by looking: a stat for each `millrace.json` and ONNX file every so often. convert writes
 * that file last, so a folder is complete when it is new. Events of a file system are no promise, and say nothing on network disks.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { manifestFileName } from "./manifest-base.js";
import { graphsIn } from "./read-manifest.js";
import { findModels } from "./registry.js";

export interface ModelsWatchOptions {
  readonly modelsDir: string;
  readonly everyMs: number;
  readonly onChange: () => Promise<void>;
}

export class ModelsWatch implements Disposable {
  readonly #options: ModelsWatchOptions;
  #seen: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(options: ModelsWatchOptions) {
    this.#options = options;
    void this.#look();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  /** One after the other, however long what follows takes. */
  async #look(): Promise<void> {
    const { modelsDir, everyMs, onChange } = this.#options;
    const found = await fingerprint(modelsDir);
    const isChanged = this.#seen !== null && found !== this.#seen;
    this.#seen = found;
    if (isChanged && !this.#isOver) await onChange();
    if (this.#isOver) return;
    this.#timer = setTimeout(() => void this.#look(), everyMs);
    // It keeps no process alive.
    this.#timer.unref();
  }
}

async function fingerprint(modelsDir: string): Promise<string> {
  try {
    const models = await findModels(modelsDir);
    const paths = await Promise.all(
      models.map(async (path) => {
        const inside = [manifestFileName, ...(await graphsIn(path))];
        return [path, ...inside.map((name) => join(path, name))];
      }),
    );
    return (await Promise.all(paths.flat().map(stampOf))).join("\n");
  } catch (error) {
    return String(error);
  }
}

/** Of a folder only that it is there: its own times change with whatever is written in it. */
async function stampOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  if (found === null || found.isDirectory()) return path;
  return `${path} ${found.ino} ${found.size} ${found.mtimeMs}`;
}
