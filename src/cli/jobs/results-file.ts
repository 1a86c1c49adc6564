/** Results of a job → a file of lines: begun, or gone on with behind the last whole one, whatever ended the run before. */
import type { JobResult, Millrace } from "millrace-client";
import { MillraceError } from "millrace-client";
import { BufferedFile } from "../bulk/buffered-file.js";
import { OutputLock } from "../bulk/output-lock.js";
import type { ProgressBar } from "../bulk/progress-bar.js";
import { ProgressFile, type RunIdentity } from "../bulk/progress-file.js";
import { noRows } from "../bulk/resumable.js";
import { assertWritable } from "../bulk/text-output.js";
import { wholeLines } from "../bulk/whole-lines.js";
import { errorText } from "../program.js";

/** `text`: its text on one line, nothing for one that failed. */
type ResultFormat = "jsonl" | "text";

export interface FetchParts {
  readonly out: string;
  readonly format: ResultFormat;
  /** What the file is of; another one is not gone on with. */
  readonly identity: RunIdentity;
  readonly restart: boolean;
  readonly wait: boolean;
  readonly signal: AbortSignal;
  /** Rows that an earlier run had fetched. */
  readonly barOf: (rows: number) => ProgressBar;
  /** Default: as they come. */
  readonly jsonOf?: (result: JobResult) => object;
}

export function resultFormatOf(out: string): ResultFormat {
  return out.endsWith("jsonl") ? "jsonl" : "text";
}

/** How many rows the file has, and how many of those that were fetched now are errors. */
export async function fetchResults(
  client: Millrace,
  id: string,
  parts: FetchParts,
): Promise<{ readonly rows: number; readonly kept: number; readonly failed: number }> {
  const { out, identity, restart, wait, signal, barOf } = parts;
  await assertWritable(out);
  await using _lock = await OutputLock.take(out);
  const progress = new ProgressFile(out, identity);
  const begun = restart ? null : await progress.begun();
  const kept = begun === null ? noRows : await wholeLines(out);
  // First, so that there is no moment with rows that nobody knows the origin of.
  await progress.save({ input: null, rows: kept.rows, complete: false });
  await using file = await BufferedFile.open(out, { keptBytes: kept.bytes });
  const bar = barOf(kept.rows);
  let [rows, failed] = [kept.rows, 0];
  try {
    for await (const result of client.jobs.results(id, { from: rows, wait, signal })) {
      file.add(Buffer.from(rowOf(result, parts)));
      rows += 1;
      bar.step();
      if (result.error !== undefined) {
        failed += 1;
        const { code, message } = result.error;
        bar.say(errorText({ code, message: `line ${result.line + 1}: ${message}` }));
      }
      if (file.isDue) await file.flush();
    }
  } catch (error) {
    await file.flush();
    bar.say(`${out}: ${rows} are there; the same command goes on behind them\n`);
    throw error;
  } finally {
    bar.stop();
  }
  await file.flush();
  await progress.save({ input: null, rows, complete: true });
  return { rows, kept: kept.rows, failed };
}

function rowOf(result: JobResult, { format, jsonOf = (whole) => whole }: FetchParts): string {
  if (format === "jsonl") return `${JSON.stringify(jsonOf(result))}\n`;
  if (result.error !== undefined) return "\n";
  const text = result["text"];
  if (typeof text === "string") return `${text.replace(/\r?\n/g, " ")}\n`;
  const message = "--out: the results of this job are no texts; name a file that ends in .jsonl";
  throw new MillraceError("option_invalid", message);
}
