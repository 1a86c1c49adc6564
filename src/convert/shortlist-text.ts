/** The file that a vocabulary shortlist is chosen from: sentences of the target language, one a line. */
import { isUtf8 } from "node:buffer";
import { MillraceError } from "millrace-client/wire";
import { readBoundedFile } from "../models/read-json.js";
import { messageOf } from "../work/thrown.js";

/** Some hundred thousand sentences, and about a minute of cutting them into tokens. */
const bytesMax = 64 * 1024 * 1024;
/** No sentence is longer. To cut 64 MiB in one piece takes 7 GiB of memory. */
const lineCharactersMax = 64 * 1024;

/** Those that are not empty. Throws `option_invalid` where the file cannot be read, is too large, no UTF-8, has none or too long a one. */
export async function readShortlistLines(path: string): Promise<string[]> {
  const bytes = await readBoundedFile(path, bytesMax).catch((cause: unknown) => {
    throw new MillraceError("option_invalid", `--shortlist: ${messageOf(cause)}`, { cause });
  });
  if (!isUtf8(bytes))
    throw new MillraceError("option_invalid", `--shortlist: ${path} is not UTF-8`);
  const lines = bytes
    .toString("utf8")
    .split(/\r\n?|\n/)
    .map((line) => line.trim())
    .filter((line) => line.length > 0);
  const tooLong = lines.find(({ length }) => length > lineCharactersMax);
  if (tooLong !== undefined) {
    const sizes = `a line of ${tooLong.length} characters; the limit is ${lineCharactersMax}`;
    throw new MillraceError("option_invalid", `--shortlist: ${path} has ${sizes}`);
  }
  if (lines.length > 0) return lines;
  throw new MillraceError("option_invalid", `--shortlist: ${path} has no sentence`);
}
