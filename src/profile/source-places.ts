/**
 * Where a function stands in its source, as a reader of the repository finds it: `src/front/ask.ts:40`. Source maps lie beside the scripts
 * of the package; no path of the machine comes out.
 */
import { readFile } from "node:fs/promises";
import { SourceMap } from "node:module";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { CallPlace, ReadablePlace } from "./call-tree.js";

const packageRoot = new URL("../../", import.meta.url);

/** Reads the maps of these scripts; one that is not there leaves its script as it is. */
export async function sourcePlaces(
  urls: ReadonlySet<string>,
): Promise<(place: CallPlace) => ReadablePlace> {
  const own = [...urls].filter(
    (url) => url.startsWith(packageRoot.href) && !url.includes("/node_modules/"),
  );
  const maps = new Map(await Promise.all(own.map(async (url) => [url, await mapOf(url)] as const)));
  return ({ url, lineNumber, columnNumber }) => {
    if (url === "") return { file: "", line: 0 };
    const entry = maps.get(url)?.findEntry(lineNumber, columnNumber);
    if (entry === undefined || !("originalSource" in entry))
      return { file: shortPath(url), line: lineNumber + 1 };
    const source = new URL(entry.originalSource, url).href;
    return { file: shortPath(source), line: entry.originalLine + 1 };
  };
}

async function mapOf(url: string): Promise<SourceMap | null> {
  try {
    return new SourceMap(JSON.parse(await readFile(fileURLToPath(`${url}.map`), "utf8")));
  } catch {
    // Whoever installs without maps reads the names of the scripts.
    return null;
  }
}

/** In the package from its root, in another one from its name; of anything else the last word. */
function shortPath(url: string): string {
  if (url.startsWith("node:")) return url;
  const modules = url.lastIndexOf("/node_modules/");
  if (modules !== -1) return url.slice(modules + 1);
  if (!url.startsWith(packageRoot.href)) return url.slice(url.lastIndexOf("/") + 1);
  return relative(fileURLToPath(packageRoot), fileURLToPath(url)).replaceAll("\\", "/");
}
