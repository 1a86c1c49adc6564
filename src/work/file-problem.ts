/** Why a file cannot be written or read, for people; with the system's code, for whoever looks it up. */
import { MillraceError } from "millrace-client/wire";
import { messageOf } from "./thrown.js";

type Words = Readonly<Record<string, string>>;

const ofWriting: Words = {
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

const ofReading: Words = {
  EACCES: "this user may not read it",
  EPERM: "this user may not read it",
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file: a part of its path is a file",
  EISDIR: "it is a folder",
  ENAMETOOLONG: "the name is too long",
  ELOOP: "its links lead in a circle",
};

export function writeProblem(error: unknown): string {
  return said(error, ofWriting);
}

/** What is written out: the disk is full, say, or something is not allowed. */
export function unwritable(path: string, cause: unknown): MillraceError {
  const message = `cannot write ${path}: ${writeProblem(cause)}`;
  return new MillraceError("output_failed", message, { cause });
}

/** What is no problem of the system's, such as text that is no JSON, in its own words. */
export function readProblem(error: unknown): string {
  return said(error, ofReading);
}

function said(error: unknown, words: Words): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const found = words[code];
  return found === undefined ? messageOf(error) : `${found} (${code})`;
}
