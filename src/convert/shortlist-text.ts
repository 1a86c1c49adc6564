/** The file that a vocabulary shortlist is chosen from: sentences of the target language, one a line. */
import { isUtf8 } from "node:buffer";
import { MillraceError } from "millrace-client/wire";
import { readBoundedFile } from "../models/read-json.js";
import { messageOf } from "../work/thrown.js";

/** Some hundred thousand sentences, and about a minute of cutting them into tokens. */
const bytesMax = 64 * 1024 * 1024;

/** Those that are not empty. Throws `option_invalid` where the file cannot be read, is too large, no UTF-8 or has none. */
export async function readShortlistLines(path: string): Promise<string[]> {
  const bytes = await readBoundedFile(path, bytesMax).catch((cause: unknown) => {
    throw new MillraceError("option_invalid", `--shortlist: ${messageOf(cause)}`, { cause });
  });
  if (!isUtf8(bytes))
    throw new MillraceError("option_invalid", `--shortlist: ${path} is not UTF-8`);
  const lines = bytes
    .toString("utf8")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.length > 0);
  if (lines.length > 0) return lines;
  throw new MillraceError("option_invalid", `--shortlist: ${path} has no sentence`);
}
