/** A bar for each caller on a terminal; elsewhere a line for each quarter of the way. */
import { MultiBar, type SingleBar } from "cli-progress";
import type { Caller } from "./callers.js";

export interface Progress {
  /** So many more of this caller's sentences are translated. */
  add(name: string, sentences: number): void;
  stop(): void;
}

export function showProgress(callers: readonly Caller[], nameWidth: number): Progress {
  return process.stdout.isTTY ? new Bars(callers, nameWidth) : new Lines(callers);
}

class Bars implements Progress {
  readonly #multi: MultiBar;
  readonly #bars = new Map<string, SingleBar>();

  constructor(callers: readonly Caller[], nameWidth: number) {
    this.#multi = new MultiBar({
      stream: process.stdout,
      format: `  {name}  {bar}  {value} of {total}`,
      barCompleteChar: "█",
      barIncompleteChar: "░",
      barsize: Math.max(10, Math.min(50, (process.stdout.columns ?? 80) - nameWidth - 20)),
      hideCursor: true,
      // Ctrl-C is the demo's own.
      gracefulExit: false,
    });
    for (const { name, sentences } of callers) {
      const payload = { name: name.padEnd(nameWidth) };
      this.#bars.set(name, this.#multi.create(sentences.length, 0, payload));
    }
  }

  add(name: string, sentences: number): void {
    this.#bars.get(name)?.increment(sentences);
  }

  stop(): void {
    this.#multi.stop();
  }
}

class Lines implements Progress {
  readonly #done = new Map<string, number>();
  readonly #totals: ReadonlyMap<string, number>;

  constructor(callers: readonly Caller[]) {
    this.#totals = new Map(callers.map(({ name, sentences }) => [name, sentences.length]));
  }

  add(name: string, sentences: number): void {
    const total = this.#totals.get(name) ?? 0;
    const before = this.#done.get(name) ?? 0;
    const after = before + sentences;
    this.#done.set(name, after);
    if (Math.floor((4 * after) / total) === Math.floor((4 * before) / total)) return;
    process.stdout.write(`  ${name}: ${after} of ${total}\n`);
  }

  stop(): void {}
}
