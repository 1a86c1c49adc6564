/** Which models are loaded before anybody asks, as `--preload` says. */
import { MillraceError } from "millrace-client/wire";
import type { Keep } from "../scheduler/types.js";

/** Throws `option_invalid` where it names a model that is not there. */
export function keeperOf(preload: string, names: readonly string[]): (name: string) => Keep {
  if (preload === "auto") return () => "preloaded";
  if (preload === "none") return () => "on-demand";
  if (preload === "all") return () => "pinned";
  const pinned = new Set(preload.split(",").map((name) => name.trim()));
  for (const name of pinned) {
    if (names.includes(name)) continue;
    const message = `--preload names ${JSON.stringify(name)}; there are: ${names.join(", ")}`;
    throw new MillraceError("option_invalid", message);
  }
  return (name) => (pinned.has(name) ? "pinned" : "on-demand");
}

/** Throws `option_invalid` where no model fits into a pipeline, or where what is pinned does not. */
export function checkRoom(
  models: readonly { readonly name: string; readonly bytes: number; readonly keep: Keep }[],
  modelMemoryBytesMax: number,
): void {
  const least = Math.min(...models.map(({ bytes }) => bytes));
  if (least > modelMemoryBytesMax) {
    const message = `--model-memory-bytes gives each pipeline ${modelMemoryBytesMax} bytes, and no model takes less than ${least}`;
    throw new MillraceError("option_invalid", message);
  }
  const pinned = models.filter(({ keep }) => keep === "pinned");
  const bytes = pinned.reduce((sum, model) => sum + model.bytes, 0);
  if (bytes <= modelMemoryBytesMax) return;
  const names = pinned.map(({ name }) => name).join(", ");
  const message = `--preload pins ${names}: about ${bytes} bytes on each pipeline, of ${modelMemoryBytesMax} that --model-memory-bytes gives it`;
  throw new MillraceError("option_invalid", message);
}
