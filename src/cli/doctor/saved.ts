/** A window that --save kept. */
import { createReadStream } from "node:fs";
import { MillraceError } from "millrace-client";
import { readWindow } from "../../doctor/read-window.js";
import type { DoctorWindow } from "../../doctor/window.js";
import { readProblem } from "../../work/file-problem.js";
import { readStdin } from "../bulk/lines.js";

/** An hour of a server with hundreds of pipelines. */
const bytesMax = 256 * 1024 * 1024;

/** `-`: standard input. @throws MillraceError `option_invalid` */
export async function readSavedWindow(path: string, signal: AbortSignal): Promise<DoctorWindow> {
  const named = path === "-" ? "standard input" : path;
  const fail = (why: string): MillraceError =>
    new MillraceError("option_invalid", `${named}: ${why}`);
  let value: unknown;
  try {
    const chunks = path === "-" ? readStdin(signal) : createReadStream(path, { signal });
    value = JSON.parse(await bounded(chunks));
  } catch (error) {
    signal.throwIfAborted();
    throw fail(readProblem(error));
  }
  const read = readWindow(value);
  if ("problem" in read) throw fail(`no window that doctor --save wrote: ${read.problem}`);
  return read.value;
}

async function bounded(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new Error(`it has more than ${bytesMax} bytes`);
    pieces.push(chunk);
  }
  return Buffer.concat(pieces).toString("utf8");
}
