/** Which file imports what, read from the sources: every form of import, and files that are loaded by their URL. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { keptPackages, type Room, rooms } from "./rooms.js";

export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

export function readSources(...folders: readonly string[]): SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.tsx?$/.test(name) && !/(^|\/)(dist|node_modules)\//.test(name))
      .map((name) => join(folder, name))
      .map((path) => ({ path, text: readFileSync(path, "utf8") })),
  );
}

const specifier =
  /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*|\bnew URL\(\s*|\bimport\.meta\.resolve\(\s*)(["'`])([^"'`\n]+)\1/g;

/** What the file names, as it names it. */
export function specifiersOf(text: string): string[] {
  return [...codeOf(text).matchAll(specifier)].map(([, , name]) => name ?? "");
}

/** The text without comments that stand on lines of their own. */
export function codeOf(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
}

/** Where a specifier of the file leads: a path of this repository, or the name of a package. */
export function targetOf(from: string, name: string): string {
  if (name.startsWith(".")) {
    const path = normalize(join(dirname(from), name)).replace(/\.js$/, ".ts");
    return path;
  }
  if (name.startsWith("#src/")) return name.replace("#src/", "src/").replace(/\.js$/, ".ts");
  if (name === "millrace-client/wire") return "client/src/wire/index.ts";
  if (name === "millrace-client") return "client/src/index.ts";
  return name;
}

/** The innermost room that the file lies in. */
export function roomOf(path: string): Room | undefined {
  return rooms
    .filter((room) => path === room.path || path.startsWith(`${room.path}/`))
    .toSorted((a, b) => b.path.length - a.path.length)[0];
}

/** Why the file may not name this; null where it may. */
export function breachOf(from: string, name: string): string | null {
  const room = roomOf(from);
  if (room === undefined) return `${from} is in no room: give it one in test/house/rooms.ts`;
  const target = targetOf(from, name);
  if (room.pure === true && isPackage(target)) return `${room.path} needs no package and no Node`;
  const kept = Object.entries(keptPackages).find(([each]) => target === each);
  if (
    kept !== undefined &&
    !kept[1].some((place) => from === place || from.startsWith(`${place}/`))
  )
    return `${target} is loaded in ${kept[1].join(", ")} only`;
  const other = roomOf(target);
  if (other === undefined) return target.startsWith("src/") ? `${target} is in no room` : null;
  if (other === room) return siblingBreach(room, from, target);
  if (room.only !== undefined && !room.only.includes(other.path))
    return `${room.path} imports ${room.only.join(", ") || "nothing"} only`;
  if (other.floor >= room.floor) return `${other.path} is not below ${room.path}`;
  return null;
}

/** Of Node or of the registry: whatever is no file of this repository. */
function isPackage(target: string): boolean {
  return !/^(src|client\/src)\//.test(target);
}

function siblingBreach(room: Room, from: string, target: string): string | null {
  if (room.siblingsApart !== true) return null;
  const [own, other] = [from, target].map((path) => folderIn(room, path));
  // A file that lies in the room itself is its seam or its table; the table names the siblings.
  if (own === null || other === null || own === other) return null;
  return `${own} and ${other} are strangers in ${room.path}`;
}

function folderIn(room: Room, path: string): string | null {
  const rest = path.slice(room.path.length + 1);
  return rest.includes("/") ? (rest.split("/")[0] ?? null) : null;
}

/**
 * Ways from a folder of a room to a sibling of it that lead through the room's own files: the seam and the table know
 * the siblings, so who imports the table has all of them.
 */
export function siblingDetours(room: Room, files: readonly SourceFile[]): string[] {
  if (room.siblingsApart !== true) return [];
  const inRoom = files.filter(({ path }) => path.startsWith(`${room.path}/`));
  const imports = new Map(
    inRoom.map(({ path, text }) => [path, specifiersOf(text).map((name) => targetOf(path, name))]),
  );
  return inRoom.flatMap(({ path }) => {
    const own = folderIn(room, path);
    if (own === null) return [];
    const seen = new Set([path]);
    for (const at of seen) for (const next of imports.get(at) ?? []) seen.add(next);
    return [...seen]
      .filter((at) => imports.has(at) && ![own, null].includes(folderIn(room, at)))
      .map((at) => `${path} reaches ${at}`);
  });
}

export function isThere(path: string): boolean {
  return existsSync(path);
}
