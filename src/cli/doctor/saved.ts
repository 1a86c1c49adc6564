/** A window that --save kept. */
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { MillraceError } from "millrace-client";
import { readWindow } from "../../doctor/read-window.js";
import type { DoctorWindow } from "../../doctor/window.js";
import { messageOf } from "../../work/thrown.js";

/** `-`: standard input. @throws MillraceError `option_invalid` */
export async function readSavedWindow(path: string, signal: AbortSignal): Promise<DoctorWindow> {
  const named = path === "-" ? "standard input" : path;
  const fail = (why: string): MillraceError =>
    new MillraceError("option_invalid", `${named}: ${why}`);
  let value: unknown;
  try {
    const json =
      path === "-" ? await text(process.stdin) : await readFile(path, { encoding: "utf8", signal });
    value = JSON.parse(json);
  } catch (error) {
    throw fail(messageOf(error));
  }
  const read = readWindow(value);
  if ("problem" in read) throw fail(`no window that doctor --save wrote: ${read.problem}`);
  return read.value;
}
