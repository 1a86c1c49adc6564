/** Where a user's programs keep what they can make again, as each system has it. */
import { posix, win32 } from "node:path";
import type { PlatformFacts } from "./system.js";

/**
 * The XDG base directory specification is heeded everywhere; of it, a path that is not absolute does not count. Who has no home, as
 * in some containers, has a folder for itself among the temporary ones.
 */
export function cacheHomeOf({ name, env, home, tempDir, userId }: PlatformFacts): string {
  const path = name === "win32" ? win32 : posix;
  const absolute = (text: string | undefined): string | undefined =>
    text !== undefined && path.isAbsolute(text) ? text : undefined;
  const given = absolute(env["XDG_CACHE_HOME"]);
  if (given !== undefined) return given;
  const own = absolute(home ?? undefined);
  if (name === "win32") {
    const local = absolute(env["LOCALAPPDATA"]);
    if (local !== undefined) return local;
    if (own !== undefined) return path.join(own, "AppData", "Local");
  } else if (own !== undefined) {
    return name === "darwin" ? path.join(own, "Library", "Caches") : path.join(own, ".cache");
  }
  return path.join(tempDir, `cache-of-${userId ?? "this-user"}`);
}
