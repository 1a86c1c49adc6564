/** A bar on standard error, for a person at a terminal. */
import { SingleBar } from "cli-progress";
import { draw, tell } from "../print.js";
import type { BulkFlags } from "./flags.js";

export interface ProgressOptions {
  /** What is counted: `texts`. */
  readonly unit: string;
  /** Done by an earlier run. */
  readonly before: number;
}

/** How far a run is. Nothing is drawn where nobody would see it. */
export class ProgressBar {
  readonly #bar: SingleBar | null;
  readonly #startedMs: number = Date.now();

  constructor({ progress }: Pick<BulkFlags, "progress">, { unit, before }: ProgressOptions) {
    this.#bar = null;
    if (!progress || !process.stderr.isTTY) return;
    this.#bar = new SingleBar({
      stream: process.stderr,
      format: (options, { progress: share, value, total }) => {
        const seconds = Math.max((Date.now() - this.#startedMs) / 1000, 0.001);
        const rate = (value - before) / seconds;
        const speed = `${rate.toFixed(1)} ${unit}/s`;
        if (total === 0) return `${value} ${unit}  ${speed}`;
        const width = options.barsize ?? 40;
        const filled = "█".repeat(Math.round(share * width)).padEnd(width, "░");
        const left = rate === 0 ? "?" : String(Math.ceil((total - value) / rate));
        return `${filled} ${value}/${total}  ${speed}  ${left} s left`;
      },
    });
    this.#bar.start(0, before);
  }

  get isShown(): boolean {
    return this.#bar !== null;
  }

  total(entries: number): void {
    this.#bar?.setTotal(entries);
  }

  step(): void {
    this.#bar?.increment();
  }

  /** So many are done, those of an earlier run too. */
  at(entries: number): void {
    this.#bar?.update(entries);
  }

  /** A line of its own, above the bar. */
  say(text: string): void {
    if (this.#bar !== null) draw("\r\u001b[K");
    tell(text);
  }

  stop(): void {
    this.#bar?.stop();
  }
}
