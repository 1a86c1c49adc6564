/** A configuration file of an older version, written as one of today: everything else in it, comments too, stays as it is. */
import { isDeepStrictEqual } from "node:util";
import { MillraceError } from "millrace-client/wire";
import {
  type ConfigFile,
  configVersion,
  configVersionKey,
  currentKeyOf,
  readConfigurationText,
} from "./config-file.js";
import { plainJson } from "./json-comments.js";

export interface MigratedConfig {
  /** Of the file as it was. */
  readonly version: number;
  /** The same text where it is of today's version. */
  readonly text: string;
  /** One line each, for people. */
  readonly changes: readonly string[];
}

/** @throws MillraceError `option_invalid` where it is no configuration, of a newer version, or has an option under two names. */
export function migrateConfig(path: string, text: string): MigratedConfig {
  const file = readAs(path, text);
  const { version } = file;
  if (version === configVersion) return { version, text, changes: [] };
  const newKeys = newKeysOf(path, file);
  const written = withVersion(withKeys(text, newKeys));
  const again = readAs(path, written);
  const meant = Object.entries(file.values).map(([key, value]) => [newKeys.get(key) ?? key, value]);
  if (again.version !== configVersion || !isDeepStrictEqual(Object.entries(again.values), meant)) {
    throw new MillraceError("internal", `${path} would mean something else when it is migrated`);
  }
  const renamed = [...newKeys].map(([former, key]) => `${former} is now ${key}`);
  return {
    version,
    text: written,
    changes: [`${configVersionKey} is ${configVersion}`, ...renamed],
  };
}

function readAs(path: string, text: string): ConfigFile {
  const file = readConfigurationText(path, text);
  if ("problem" in file) throw new MillraceError("option_invalid", file.problem);
  return file;
}

/** Former key → key, of those that the file has. */
function newKeysOf(path: string, { version, values }: ConfigFile): ReadonlyMap<string, string> {
  const newKeys = new Map<string, string>();
  for (const former of Object.keys(values)) {
    const key = currentKeyOf(former, version);
    if (key === former) continue;
    if (key in values) {
      const both = `${former} in ${path} and ${key} in ${path} contradict each other`;
      throw new MillraceError("option_invalid", `${both}: they are the same option`);
    }
    newKeys.set(former, key);
  }
  return newKeys;
}

function withKeys(text: string, newKeys: ReadonlyMap<string, string>): string {
  // From the last to the first, so that the places of those that are left stay right.
  return topLevelKeys(text)
    .toReversed()
    .reduce((written, { key, from, to }) => {
      const newKey = newKeys.get(key);
      if (newKey === undefined) return written;
      return `${written.slice(0, from)}${JSON.stringify(newKey)}${written.slice(to)}`;
    }, text);
}

/** In its place where the file says one, else in a line of its own before all else. */
function withVersion(text: string): string {
  const keys = topLevelKeys(text);
  const own = keys.findLast(({ key }) => key === configVersionKey);
  if (own !== undefined) {
    const [before, after] = [text.slice(0, own.to), text.slice(own.to)];
    // Zero may be written as -0 or 0e5.
    const value = /^[\s:]*[-\d.eE+]+/.exec(plainJson(after))?.[0] ?? "";
    const kept = after.slice(0, value.length).replace(/[-\d.eE+]+$/, String(configVersion));
    return `${before}${kept}${after.slice(value.length)}`;
  }
  const start = plainJson(text).indexOf("{") + 1;
  const entry = `"${configVersionKey}": ${configVersion}`;
  const [before, after] = [text.slice(0, start), text.slice(start)];
  if (/^\s*\}/.test(after)) return `${before}${entry}${after}`;
  // A file of one line stays one. The comma is for what stands there as a comment, too.
  const indent = /^[^\S\n]*\n([^\S\n]*)/.exec(after)?.[1];
  if (indent === undefined) return `${before}${entry}, ${after.trimStart()}`;
  return `${before}\n${indent === "" ? "  " : indent}${entry},${after}`;
}

interface PlacedKey {
  readonly key: string;
  /** Of the quoted key in the text. */
  readonly from: number;
  readonly to: number;
}

function topLevelKeys(text: string): readonly PlacedKey[] {
  const keys: PlacedKey[] = [];
  let depth = 0;
  for (const match of plainJson(text).matchAll(/"(?:\\.|[^"\\])*"(\s*:)?|[{}[\]]/g)) {
    const [token, colon] = match;
    if (token === "{" || token === "[") depth += 1;
    else if (token === "}" || token === "]") depth -= 1;
    else if (depth === 1 && colon !== undefined) {
      const quoted = token.slice(0, token.length - colon.length);
      const to = match.index + quoted.length;
      keys.push({ key: JSON.parse(quoted) as string, from: match.index, to });
    }
  }
  return keys;
}
