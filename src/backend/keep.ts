/** Which models are loaded before anybody asks, as `--preload` says. */
import { MillraceError } from "millrace-client/wire";
import type { Keep } from "../scheduler/types.js";

const words: ReadonlyMap<string, Keep> = new Map([
  ["auto", "preloaded"],
  ["none", "on-demand"],
  ["all", "pinned"],
]);

export function keepOf(preload: string, name: string): Keep {
  return words.get(preload) ?? (pinnedNames(preload).includes(name) ? "pinned" : "on-demand");
}

/** Models that `--preload` names and that are not among these. */
export function missingOf(preload: string, names: readonly string[]): string[] {
  return pinnedNames(preload).filter((name) => !names.includes(name));
}

/** At the start: throws `option_invalid` where it names a model that is not there. Later on a folder may go. */
export function checkNames(preload: string, names: readonly string[]): void {
  const [missing] = missingOf(preload, names);
  if (missing === undefined) return;
  const message = `--preload names ${JSON.stringify(missing)}; there are: ${names.join(", ")}`;
  throw new MillraceError("option_invalid", message);
}

function pinnedNames(preload: string): string[] {
  if (words.has(preload)) return [];
  return [...new Set(preload.split(",").map((name) => name.trim()))];
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
