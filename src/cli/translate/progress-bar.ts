/** A bar on standard error, for a person at a terminal. */
import { SingleBar } from "cli-progress";
import type { TranslateFlags } from "./flags.js";

/** Null where nobody would see it, or where there is nothing to wait for. */
export function progressBar(
  { progress }: Pick<TranslateFlags, "progress">,
  total: number,
): SingleBar | null {
  if (!progress || !process.stderr.isTTY || total < 2) return null;
  const bar = new SingleBar({
    stream: process.stderr,
    format: (options, { progress: share, value, total: all, startTime }) => {
      const width = options.barsize ?? 40;
      const filled = "█".repeat(Math.round(share * width)).padEnd(width, "░");
      const rate = value / Math.max((Date.now() - startTime) / 1000, 0.001);
      const left = value === 0 ? "?" : String(Math.ceil((all - value) / rate));
      return `${filled} ${value}/${all}  ${rate.toFixed(1)} texts/s  ${left} s left`;
    },
  });
  bar.start(total, 0);
  return bar;
}
