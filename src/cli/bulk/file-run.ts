/** A command over the lines of a text file: begun, or gone on with where a former run stopped. */
import {
  type EachOptions,
  type EachSummary,
  type ItemError,
  type Millrace,
  MillraceError,
} from "millrace-client";
import { exitCodes } from "../exit-codes.js";
import { tell } from "../print.js";
import type { BulkOutput, BulkSource } from "./entry.js";
import { type BulkFlags, fieldsOf, unusable } from "./flags.js";
import { InputPrefix, readPrefix } from "./input-prefix.js";
import { jsonlLine, type Plain } from "./jsonl-rows.js";
import { lineSource, linesOf } from "./lines.js";
import { OutputLock } from "./output-lock.js";
import { ProgressBar } from "./progress-bar.js";
import { ProgressFile, type RunArguments } from "./progress-file.js";
import { noRows, ResumableOutput } from "./resumable.js";
import type { RowsFormat, WholeRows } from "./rows.js";
import { runBulk } from "./run-bulk.js";
import { summaryText } from "./summary.js";
import { assertWritable, openTextOutput } from "./text-output.js";
import { type Amount, amountOf, openWorkplace } from "./workplace.js";

export interface ResumableFlags extends BulkFlags {
  readonly restart?: boolean;
}

export interface RunContext {
  readonly flags: ResumableFlags;
  readonly signal: AbortSignal;
}

/** What is done with every input. */
export interface BulkWork<Value, Result extends object> {
  /** The task too: it has the same name. */
  readonly command: string;
  /** What the results depend on, beside the model. */
  readonly arguments: RunArguments;
  readonly each: (
    client: Millrace,
    inputs: AsyncIterable<Value | MillraceError>,
    options: EachOptions & ReturnType<typeof fieldsOf>,
  ) => AsyncGenerator<{ readonly index: number } & (Result | ItemError), EachSummary, undefined>;
  /** A result as a line of JSON has it. */
  readonly plain: Plain<Result>;
}

export interface Counted {
  readonly amount: Amount;
  /** What one input is called: `text`. */
  readonly unit: string;
  readonly kept: number | null;
  readonly skipped: () => number | null;
  /** A summary, though nobody asked for it: what was few and named one by one has none. */
  readonly isSummed: boolean;
}

/** `format` is that of `--out`. */
export async function runFile<Result extends object>(
  path: string,
  work: BulkWork<string, Result>,
  { flags, format, signal }: RunContext & { readonly format: RowsFormat<Result> },
): Promise<number> {
  const { out } = flags;
  const lines = { linesBefore: 0, startByte: 0, prefix: null, blank: "", flag: "FILE" } as const;
  const amount = await amountOf(path);
  if (out === undefined) {
    const source = await lineSource(path, lines, signal);
    return await runToText(source, work, { flags, signal, counted: lineCount(null, amount) });
  }
  await assertWritable(out, path);
  await using _lock = await OutputLock.take(out);
  const progress = progressOf(out, work, flags);
  const { kept, startByte, prefix } = await startOf(path, { progress, format, flags, signal });
  const from = { ...lines, linesBefore: kept.rows, startByte, prefix };
  const source = await lineSource(path, from, signal);
  await using output = await ResumableOutput.open({ progress, format, kept, prefix });
  const counted = lineCount(kept.rows, amount);
  return await runToRows(source, work, { flags, signal, output, counted });
}

/** Of texts that stand in the command: nothing that a later run could go on with. */
export async function runTexts<Result extends object>(
  texts: readonly string[],
  work: BulkWork<string, Result>,
  { flags, signal }: RunContext,
): Promise<number> {
  if (flags.out !== undefined) {
    throw new MillraceError("option_invalid", "--out takes the results of a file, not of texts");
  }
  const counted = { ...lineCount(null, await amountOf(texts)), isSummed: false };
  return await runToText(linesOf(texts, { blank: "" }), work, { flags, signal, counted });
}

export function progressOf<Value, Result extends object>(
  out: string,
  work: BulkWork<Value, Result>,
  { model }: BulkFlags,
): ProgressFile {
  const identity = { model: model ?? null, ...work.arguments };
  return new ProgressFile(out, { command: work.command, arguments: identity });
}

function lineCount(kept: number | null, amount: Amount): Counted {
  return { amount, unit: "text", kept, skipped: () => null, isSummed: true };
}

interface Start {
  readonly kept: WholeRows;
  readonly startByte: number;
  readonly prefix: InputPrefix;
}

interface StartParts<Result extends object> extends RunContext {
  readonly progress: ProgressFile;
  readonly format: RowsFormat<Result>;
}

async function startOf<Result extends object>(
  path: string,
  { progress, format, flags, signal }: StartParts<Result>,
): Promise<Start> {
  const fresh = { kept: noRows, startByte: 0, prefix: new InputPrefix() };
  const begun = flags.restart === true ? null : await progress.begun();
  if (begun === null) return fresh;
  if (path === "-") throw progress.differs("was begun, and standard input cannot be read again");
  const kept = await format.wholeRows(progress.out);
  if (begun.input === null) throw progress.differs("was begun with a folder");
  const { bytes, sha256 } = begun.input;
  const { prefix, startByte } = await readPrefix(path, { bytes, lines: kept.rows }, signal).catch(
    (error: unknown) => {
      signal.throwIfAborted();
      throw unusable("FILE", path, error);
    },
  );
  if (prefix.mark().sha256 !== sha256) {
    throw progress.differs(`was begun with another beginning of ${path}`);
  }
  if (startByte === null) throw progress.differs(`has more rows than ${path} has lines`);
  return { kept, startByte, prefix };
}

interface CountedContext extends RunContext {
  readonly counted: Counted;
}

/** To standard output, which nobody goes on with. */
export async function runToText<Value, Result extends object>(
  source: BulkSource<Value>,
  work: BulkWork<Value, Result>,
  context: CountedContext,
): Promise<number> {
  await using text = await openTextOutput(undefined, { input: null, signal: context.signal });
  const output: BulkOutput<Result> = {
    put: async (place, outcome) => await text.write(jsonlLine(place, outcome, work.plain)),
  };
  return await runTo(output, { source, work, ...context });
}

export async function runToRows<Value, Result extends object>(
  source: BulkSource<Value>,
  work: BulkWork<Value, Result>,
  { output, ...context }: CountedContext & { readonly output: ResumableOutput<Result> },
): Promise<number> {
  try {
    const code = await runTo(output, { source, work, ...context });
    await output.finish();
    return code;
  } catch (error) {
    await output.flush();
    const done = `${output.rows} are done; the same command goes on behind them`;
    tell(`${context.flags.out ?? ""}: ${done}\n`);
    throw error;
  }
}

interface RunParts<Value, Result extends object> extends CountedContext {
  readonly source: BulkSource<Value>;
  readonly work: BulkWork<Value, Result>;
}

async function runTo<Value, Result extends object>(
  output: BulkOutput<Result>,
  { source, work, flags, counted, signal }: RunParts<Value, Result>,
): Promise<number> {
  const { amount, unit, kept, skipped, isSummed } = counted;
  const asked = { task: work.command, amount };
  await using client = await openWorkplace(flags, asked, signal);
  const startedMs = performance.now();
  const bar = new ProgressBar(flags, { unit: `${unit}s`, before: kept ?? 0 });
  const each = (inputs: AsyncIterable<Value | MillraceError>, onProgress: () => void) =>
    work.each(client, inputs, { ...fieldsOf(flags), signal, onProgress });
  const sums = await runBulk({ source, each, output, bar }, signal);
  const elapsedMs = performance.now() - startedMs;
  const facts = { ...sums, elapsedMs, unit, kept, skipped: skipped() };
  if (isSummed || flags.jsonSummary === true) tell(summaryText(facts, flags.jsonSummary === true));
  return sums.failed > 0 ? exitCodes.itemsFailed : exitCodes.ok;
}
