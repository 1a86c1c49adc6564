/**
 * Notices that a folder of models changed, by looking: a stat for each file of a model's folder every so often: convert writes
 * `millrace.json` last, but whoever copies a folder does not. Events of a file system are no promise, and say nothing on network disks.
 */
import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { defaultsFileName } from "./model-versions.js";
import { findModels } from "./registry.js";

export interface ModelsWatchOptions {
  readonly modelsDir: string;
  readonly everyMs: number;
  /** From before the folder was read: what changed since then is news. */
  readonly seen: string;
  readonly onChange: () => Promise<void>;
}

export class ModelsWatch implements Disposable {
  readonly #options: ModelsWatchOptions;
  #seen: string;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(options: ModelsWatchOptions) {
    this.#options = options;
    this.#seen = options.seen;
    void this.#look();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  /** One after the other, however long what follows takes. */
  async #look(): Promise<void> {
    const { modelsDir, everyMs, onChange } = this.#options;
    const found = await fingerprintOf(modelsDir);
    const isChanged = found !== this.#seen;
    this.#seen = found;
    if (isChanged && !this.#isOver) await onChange();
    if (this.#isOver) return;
    this.#timer = setTimeout(() => void this.#look(), everyMs);
    // It keeps no process alive.
    this.#timer.unref();
  }
}

/** Of a folder; more are not looked at. A model has a dozen. */
const filesMax = 1_000;

/** The same as long as nothing was written, added or taken away. */
export async function fingerprintOf(modelsDir: string): Promise<string> {
  try {
    const places = await findModels(modelsDir);
    // A graph among the folders may have its weights beside it.
    const folders = new Set([...places, ...places.map((place) => dirname(place))]);
    const paths = await Promise.all([...folders].map(filesOf));
    const defaults = join(modelsDir, defaultsFileName);
    return (await Promise.all([...places, ...paths.flat(), defaults].map(stampOf))).join("\n");
  } catch (error) {
    return String(error);
  }
}

/** None where it is no folder that can be read. */
async function filesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  const shown = names.filter((name) => !name.startsWith(".")).sort();
  return shown.slice(0, filesMax).map((name) => join(folder, name));
}

/** Of a folder only that it is there: its own times change with whatever is written in it. */
async function stampOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  if (found === null || found.isDirectory()) return path;
  return `${path} ${found.ino} ${found.size} ${found.mtimeMs}`;
}
