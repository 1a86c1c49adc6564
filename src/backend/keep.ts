/** Which models are loaded before anybody asks, as `--preload` says. */
import { MillraceError } from "millrace-client/wire";
import { memoryShares, tooLargeReason } from "../scheduler/memory-shares.js";
import type { Keep } from "../scheduler/types.js";
import type { HostedModel } from "../submit/local/hosted-models.js";
import { unversioned } from "../work/model-names.js";

const words: ReadonlyMap<string, Keep> = new Map([
  ["auto", "preloaded"],
  ["none", "on-demand"],
  ["all", "pinned"],
]);

export function keepOf(preload: string, name: string): Keep {
  const names = pinnedNames(preload);
  // A name means one of its versions, now this one and then that one: all of them are kept.
  const isPinned = names.includes(name) || names.includes(unversioned(name));
  return words.get(preload) ?? (isPinned ? "pinned" : "on-demand");
}

/** Models that `--preload` names and that are not among these. */
export function missingOf(preload: string, names: readonly string[]): string[] {
  const known = new Set([...names, ...names.map(unversioned)]);
  return pinnedNames(preload).filter((name) => !known.has(name));
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

type SizedHosted = Pick<HostedModel, "name" | "keep" | "bytes" | "leastBytes">;

/**
 * Models that no pipeline has room for, with the reason: they are listed, and refused. Throws `option_invalid` where that are all,
 * or where what is pinned does not fit.
 */
export function tooLargeAmong(
  models: readonly SizedHosted[],
  modelMemoryBytesMax: number,
): ReadonlyMap<string, string> {
  checkRoom(models, modelMemoryBytesMax);
  const sized = models.map(({ name, keep, bytes, leastBytes = bytes }) => {
    return { model: name, isPinned: keep === "pinned", bytes, leastBytes };
  });
  const shares = memoryShares(sized, modelMemoryBytesMax);
  return new Map(
    sized.flatMap(({ model, leastBytes }) => {
      const share = shares.get(model);
      if (share?.isTooLarge !== true) return [];
      return [[model, tooLargeReason(leastBytes, share.mostBytes)] as const];
    }),
  );
}

/** What is pinned fits by its files, and not by what it is expected to take; null: it does. */
export function pinnedWarning(
  models: readonly SizedHosted[],
  modelMemoryBytesMax: number,
): string | null {
  const pinned = models.filter(({ keep }) => keep === "pinned");
  const bytes = pinned.reduce((sum, model) => sum + model.bytes, 0);
  if (bytes <= modelMemoryBytesMax) return null;
  return `what --preload pins is expected to take ${bytes} bytes of ${modelMemoryBytesMax} in each pipeline: raise --model-memory-bytes`;
}

function checkRoom(models: readonly SizedHosted[], modelMemoryBytesMax: number): void {
  if (models.length === 0) return;
  const least = Math.min(...models.map(({ bytes, leastBytes = bytes }) => leastBytes));
  if (least > modelMemoryBytesMax) {
    const message = `--model-memory-bytes gives each pipeline ${modelMemoryBytesMax} bytes, and no model takes less than ${least}`;
    throw new MillraceError("option_invalid", message);
  }
  const pinned = models.filter(({ keep }) => keep === "pinned");
  const bytes = pinned.reduce((sum, model) => sum + (model.leastBytes ?? model.bytes), 0);
  if (bytes <= modelMemoryBytesMax) return;
  const names = pinned.map(({ name }) => name).join(", ");
  const message = `--preload pins ${names}: ${bytes} bytes or more on each pipeline, of ${modelMemoryBytesMax} that --model-memory-bytes gives it`;
  throw new MillraceError("option_invalid", message);
}
