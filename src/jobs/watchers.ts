/** Whoever watches jobs: told of each change, not more often than some times a second, and always of the last one. */
import type { JobStore, StoredJob } from "./store.js";

const everyMs = 250;

interface Watcher {
  readonly onChange: (job: StoredJob) => void;
  timer: NodeJS.Timeout | null;
  toldAtMs: number;
}

export class Watchers implements Disposable {
  readonly #store: Pick<JobStore, "job" | "onJobChanged">;
  readonly #watchers = new Map<string, Set<Watcher>>();
  readonly #stop: () => void;

  constructor(store: Pick<JobStore, "job" | "onJobChanged">) {
    this.#store = store;
    this.#stop = store.onJobChanged((id) => {
      for (const watcher of this.#watchers.get(id) ?? []) this.#soon(id, watcher);
    });
  }

  watch(id: string, onChange: (job: StoredJob) => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    const watcher: Watcher = { onChange, timer: null, toldAtMs: Number.NEGATIVE_INFINITY };
    const all = this.#watchers.get(id) ?? new Set();
    all.add(watcher);
    this.#watchers.set(id, all);
    signal.addEventListener(
      "abort",
      () => {
        if (watcher.timer !== null) clearTimeout(watcher.timer);
        all.delete(watcher);
        if (all.size === 0 && this.#watchers.get(id) === all) this.#watchers.delete(id);
      },
      { once: true },
    );
  }

  [Symbol.dispose](): void {
    this.#stop();
    for (const all of this.#watchers.values())
      for (const { timer } of all) if (timer !== null) clearTimeout(timer);
    this.#watchers.clear();
  }

  #soon(id: string, watcher: Watcher): void {
    if (watcher.timer !== null) return;
    const inMs = Math.max(0, watcher.toldAtMs + everyMs - performance.now());
    watcher.timer = setTimeout(() => {
      watcher.timer = null;
      watcher.toldAtMs = performance.now();
      void this.#tell(id, watcher);
    }, inMs);
  }

  async #tell(id: string, watcher: Watcher): Promise<void> {
    // Where the store cannot be read there is nothing to tell: the next change comes.
    const job = await this.#store.job(id).catch(() => null);
    if (job !== null && this.#watchers.get(id)?.has(watcher) === true) watcher.onChange(job);
  }
}
