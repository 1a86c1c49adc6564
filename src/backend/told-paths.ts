/**
 * What callers are told of files. Whoever reaches the port reads `/ready` and the answer of a reload: they name a folder as it is
 * called within the folder of models, and say nothing of where on the machine that lies. The log has whole paths.
 */
import { realpathSync } from "node:fs";
import { basename, isAbsolute, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { BrokenFolder } from "../models/registry.js";
import { platform } from "../platform/platform.js";
import type { PoolEvent } from "../worker/events.js";

const ownFiles = fileURLToPath(new URL("../../", import.meta.url)).replace(/[\\/]$/, "");

export class ToldPaths {
  readonly #modelsDir: string;
  readonly #name: string;
  /** As it was given, and as others may spell it; the longest first. */
  readonly #spellings: readonly string[];
  readonly #others: readonly string[];

  constructor({ models, cacheDir }: { readonly models: string; readonly cacheDir: string }) {
    this.#modelsDir = models;
    this.#name = basename(resolve(models));
    const longestFirst = (paths: readonly string[]): string[] =>
      [...new Set(paths)]
        .map((path) => path.replace(/[\\/]+$/, ""))
        .filter((path) => path.length > 1)
        .toSorted((left, right) => right.length - left.length);
    this.#spellings = longestFirst([models, resolve(models), realPathOf(models)]);
    this.#others = longestFirst([resolve(cacheDir), ownFiles, platform.home ?? ""]);
  }

  folder({ dir, reason }: BrokenFolder): BrokenFolder {
    const within = relative(this.#modelsDir, dir);
    // What was fetched lies elsewhere.
    const told = within.startsWith("..") ? basename(dir) : within || this.#name;
    return { dir: told, reason: this.text(reason) };
  }

  text(text: string): string {
    let told = text;
    for (const path of this.#spellings) {
      told = told.replaceAll(folderBegins(path), "");
      if (isAbsolute(path)) told = told.replaceAll(pathBegins(path), this.#name);
    }
    for (const path of this.#others) told = told.replaceAll(folderBegins(path), "…/");
    return told;
  }

  /** What the event says reaches callers: as the reason of a refusal, or as the error of an item. */
  event(event: PoolEvent): PoolEvent {
    if ("reason" in event) return { ...event, reason: this.text(event.reason) };
    if (event.type !== "returned") return event;
    const failed = event.failed.map(({ itemId, error }) => {
      return { itemId, error: { ...error, message: this.text(error.message) } };
    });
    return { ...event, failed };
  }
}

/** `models/` is a path in `models/en-zh`, and none in `/v1/models/reload`. */
function pathBegins(path: string, end = ""): RegExp {
  const literal = path.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
  return new RegExp(`(?<![\\w./-])${literal}${end}`, "g");
}

/** With what divides it from the names in it, on any system. */
function folderBegins(path: string): RegExp {
  return pathBegins(path, String.raw`[\\/]`);
}

function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // It is gone, or not there yet: nobody can spell it so either.
    return path;
  }
}
