/**
 * Notices that files were written, by looking: events of a file system are no promise, and say nothing where a folder is mounted
 * into a container. What was seen to change is told once it has stayed the same for a look: nobody reads half a file.
 */
import { stat } from "node:fs/promises";

export interface FileWatchOptions {
  readonly paths: readonly string[];
  /** Of before the files were read: what changed since then is news. */
  readonly seen: string;
  /** Default: 250. A change is told after twice this at the latest. */
  readonly everyMs?: number;
  readonly onChange: () => Promise<void>;
}

const everyMsDefault = 250;

export class FileWatch implements Disposable {
  readonly #options: FileWatchOptions;
  #told: string;
  #last: string;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(options: FileWatchOptions) {
    this.#options = options;
    this.#told = options.seen;
    this.#last = options.seen;
    this.#wait();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  #wait(): void {
    if (this.#isOver) return;
    this.#timer = setTimeout(() => void this.#look(), this.#options.everyMs ?? everyMsDefault);
    // It keeps no process alive.
    this.#timer.unref();
  }

  /** One after the other, however long what follows takes. */
  async #look(): Promise<void> {
    const found = await stampOf(this.#options.paths);
    const isSettled = found === this.#last;
    this.#last = found;
    if (isSettled && found !== this.#told && !this.#isOver) {
      this.#told = found;
      await this.#options.onChange();
    }
    this.#wait();
  }
}

/** The same as long as nobody wrote, replaced or removed any of them, nor changed who may. */
export async function stampOf(paths: readonly string[]): Promise<string> {
  const stamps = await Promise.all(
    paths.map(async (path) => {
      const found = await stat(path, { bigint: true }).catch(() => null);
      if (found === null) return "none";
      return [found.ino, found.size, found.mtimeNs, found.ctimeNs, found.mode].join(" ");
    }),
  );
  return stamps.join("\n");
}
