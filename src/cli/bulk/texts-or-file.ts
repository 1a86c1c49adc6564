/** An argument that is a file of texts, or a text itself: whichever it can only be. */
import { stat } from "node:fs/promises";
import { MillraceError } from "millrace-client";
import { AdvisedError } from "../advised-error.js";
import { tell } from "../print.js";
import { withoutControls } from "../without-controls.js";
import type { BulkFlags } from "./flags.js";

export interface TextFlags {
  /** Texts, whatever files there are. */
  readonly text?: readonly string[];
}

export type TextsOrFile = { readonly texts: readonly string[] } | { readonly path: string };

/** A file goes before a text of the same letters. @throws MillraceError `option_invalid` */
export async function textsOrFile(
  argument: string | undefined,
  { text, quiet, jsonSummary }: TextFlags & BulkFlags,
): Promise<TextsOrFile> {
  if (text !== undefined) {
    if (argument === undefined) return { texts: text };
    throw new MillraceError("option_invalid", "give FILE or --text, not both");
  }
  if (argument === undefined) {
    const advice = "Name a file, - for standard input, or a text in quotes.";
    throw new AdvisedError("option_invalid", "nothing is named to work on", advice);
  }
  if (argument === "-" || (await stat(argument).catch(() => null)) !== null)
    return { path: argument };
  if (looksLikePath(argument)) {
    const advice = `If it is a text: --text ${JSON.stringify(argument)}`;
    throw new AdvisedError("option_invalid", `FILE: there is no ${argument}`, advice);
  }
  // Who meant a file sees what became of it.
  if (quiet !== true && jsonSummary !== true && !/\s/.test(argument)) tell(noFileText(argument));
  return { texts: [argument] };
}

/** Of commands whose arguments are texts whatever files there are: who meant a file sees what became of it. `instead`: what to do then. */
export async function tellTexts(
  texts: readonly string[],
  { quiet, jsonSummary }: BulkFlags,
  instead: (path: string) => string,
): Promise<void> {
  if (quiet === true || jsonSummary === true) return;
  for (const text of texts) {
    if (/\s/.test(text)) continue;
    const isFile = await stat(text).then(
      (found) => found.isFile(),
      () => false,
    );
    if (isFile)
      tell(`millrace: ${shown(text)} is a file, and is taken as a text${instead(text)}\n`);
    else if (looksLikePath(text)) tell(noFileText(text));
  }
}

function noFileText(path: string): string {
  return `millrace: there is no file ${shown(path)}: it is taken as a text\n`;
}

/** A text may have any length. */
function shown(path: string): string {
  return withoutControls(path.length > 200 ? `${path.slice(0, 200)}…` : path);
}

/** Without a space in it, and with a folder or an ending. */
function looksLikePath(argument: string): boolean {
  return !/\s/.test(argument) && /[/\\]|\.[A-Za-z0-9]{1,8}$/.test(argument);
}
