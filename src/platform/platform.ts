/**
 * READ FIRST: what differs between systems. Nobody else asks which system this is, and nobody else reads what a kernel tells in
 * files.
 *
 *   platformOf(facts) ─► linux     /proc, control groups, prctl
 *                    └─► portable  what Node says everywhere. What cannot be had is null, never 0, and stands in `lacks`
 *
 * Both are functions of what they are given, so that each is tested on any system.
 */
import { homedir, tmpdir } from "node:os";
import { readKernelText } from "./cgroup.js";
import { linux } from "./linux.js";
import { portable } from "./portable.js";
import type { Platform, PlatformFacts } from "./system.js";

export function platformOf(facts: PlatformFacts): Platform {
  return facts.name === "linux" ? linux(facts) : portable(facts);
}

/** This one. */
export const platform: Platform = platformOf({
  name: process.platform,
  read: readKernelText,
  env: process.env,
  home: homeOf(),
  tempDir: tmpdir(),
  userId: process.getuid?.() ?? null,
});

/** A container may run as a user that its system does not know. */
function homeOf(): string | null {
  try {
    return homedir();
  } catch {
    return null;
  }
}
