/** Why nothing can be written, for people; with the system's code, for whoever looks it up. */
import { messageOf } from "./thrown.js";

const words: Readonly<Record<string, string>> = {
  EACCES: "this user may not write there",
  EPERM: "this user may not write there",
  EROFS: "what is there is read only",
  ENOSPC: "the disk is full",
  EDQUOT: "this user's share of the disk is full",
  ENOENT: "nothing can be made there",
  ENOTDIR: "a file stands where a folder should be",
  EEXIST: "a file stands where a folder should be",
  EISDIR: "a folder stands where a file should be",
  ENAMETOOLONG: "the name is too long",
};

export function writeProblem(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const said = words[code];
  return said === undefined ? messageOf(error) : `${said} (${code})`;
}
