/** `millrace translate`: arguments, stdin or a file in; one translation a line out, in order. */
import { isUtf8 } from "node:buffer";
import { access, constants, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { SingleBar } from "cli-progress";
import { type Command, InvalidArgumentError, Option } from "commander";
import {
  Millrace,
  MillraceError,
  type TranslateFields,
  type TranslateItem,
  type WorkClass,
} from "millrace-client";
import { exitCodes } from "./exit-codes.js";
import { errorText } from "./program.js";
import { defaultUrl, runRemote } from "./remote.js";

interface Flags {
  readonly datafile?: string;
  readonly out?: string;
  readonly url: string;
  readonly model?: string;
  readonly beams?: number;
  readonly nBest?: number;
  readonly class?: WorkClass;
  readonly batchSize?: number;
  readonly expectEnvironment?: string;
  readonly json?: boolean;
  readonly jsonSummary?: boolean;
  readonly progress: boolean;
}

export function registerTranslate(program: Command): void {
  program
    .command("translate")
    .description("Translate arguments, lines of stdin, or lines of a file.")
    .argument("[text...]", "texts; without any, and without --datafile, stdin is read")
    .option("--datafile <file>", "one text a line; order and empty lines are kept")
    .option("--out <file>", "write here, complete or not at all, instead of stdout")
    .option("--url <url>", "the server; else MILLRACE_URL", defaultUrl)
    .option("--model <name>", "needed only where several are served")
    .option("--beams <n>", "hypotheses of the search, 1 to 8", count)
    .option("--n-best <n>", "alternatives, at most the beams; shown with --json", count)
    .addOption(new Option("--class <class>", "else by size").choices(["realtime", "bulk"]))
    .option("--batch-size <n>", "texts in a request; 0: all in one (default: up to 1000)", count)
    .option("--expect-environment <name>", "refuse any other environment")
    .option("--json", "one JSON object a line instead of text")
    .option("--json-summary", "the summary as JSON")
    .option("--no-progress", "no progress bar")
    .action((texts: string[], flags: Flags) =>
      runRemote((signal) => translate(texts, flags, signal)),
    );
}

/** Requests of a large file stay this small, so that the server's limits are kept, and this many run at once. */
const requestItemsMax = 1000;
const requestCharactersMax = 256 * 1024;
const requestsAtOnce = 4;
/** As the server's default: from here on nobody waits for the single text. */
const bulkItems = 256;

interface Outcome {
  readonly results: (TranslateItem | null)[];
  readonly requests: number;
  readonly pipelines: Map<string, number>;
}

async function translate(
  args: readonly string[],
  flags: Flags,
  signal: AbortSignal,
): Promise<number> {
  const lines = await readLines(args, flags, signal);
  if (flags.out !== undefined) await assertWritable(flags.out);
  const startedMs = performance.now();
  const outcome = await sendAll(lines, flags, signal);
  const elapsedMs = performance.now() - startedMs;
  signal.throwIfAborted();
  const text = render(outcome.results, flags);
  if (flags.out === undefined) process.stdout.write(text);
  else await writeWhole(flags.out, text);
  const failed = reportFailures(outcome.results);
  if (flags.datafile !== undefined || flags.jsonSummary === true) {
    process.stderr.write(summary(outcome, { elapsedMs, failed, json: flags.jsonSummary === true }));
  }
  return failed > 0 ? exitCodes.itemsFailed : exitCodes.ok;
}

async function readLines(
  args: readonly string[],
  { datafile }: Flags,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (args.length > 0) {
    if (datafile === undefined) return args;
    throw new MillraceError("option_invalid", "give texts or --datafile, not both");
  }
  let bytes: Uint8Array;
  if (datafile !== undefined) {
    bytes = await readFile(datafile, { signal }).catch((error: unknown) => {
      signal.throwIfAborted();
      throw unusable("--datafile", datafile, error);
    });
  } else {
    const chunks: Buffer[] = [];
    const onAbort = (): void => void process.stdin.destroy(new Error("interrupted"));
    signal.addEventListener("abort", onAbort, { once: true });
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    signal.removeEventListener("abort", onAbort);
    bytes = Buffer.concat(chunks);
  }
  if (!isUtf8(bytes)) {
    throw new MillraceError("option_invalid", `${datafile ?? "standard input"} is not UTF-8`);
  }
  const lines = new TextDecoder().decode(bytes).split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** Blank lines are kept here and not sent: there is nothing in them to translate. */
async function sendAll(
  lines: readonly string[],
  flags: Flags,
  signal: AbortSignal,
): Promise<Outcome> {
  const places = [...lines.keys()].filter((at) => lines[at]?.trim() !== "");
  const batches = pack(places, lines, flags.batchSize);
  const outcome: Outcome = {
    results: lines.map(() => null),
    requests: batches.length,
    pipelines: new Map(),
  };
  const expect = flags.expectEnvironment;
  await using client = new Millrace(flags.url, {
    sharing: false,
    ...(expect === undefined ? {} : { expect: { environment: expect } }),
  });
  const fields = fieldsOf(flags, places.length);
  const bar = progressBar(flags, places.length);
  const queue = batches.values();
  const work = async (): Promise<void> => {
    for (const batch of queue) {
      const texts = batch.map((at) => lines[at] ?? "");
      const onProgress = (): void => bar?.increment();
      const reply = await client.translate(texts, { ...fields, signal, onProgress });
      for (const [index, at] of batch.entries()) outcome.results[at] = reply.results[index] ?? null;
      for (const [pipeline, items] of Object.entries(reply.pipelines ?? {})) {
        outcome.pipelines.set(pipeline, (outcome.pipelines.get(pipeline) ?? 0) + items);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: requestsAtOnce }, work));
  } finally {
    bar?.stop();
  }
  return outcome;
}

function pack(
  places: readonly number[],
  lines: readonly string[],
  batchSize: number | undefined,
): number[][] {
  const itemsMax = batchSize === 0 ? Infinity : (batchSize ?? requestItemsMax);
  const charactersMax = batchSize === 0 ? Infinity : requestCharactersMax;
  const batches: number[][] = [];
  let batch: number[] = [];
  let characters = 0;
  for (const at of places) {
    const length = lines[at]?.length ?? 0;
    if (batch.length > 0 && (batch.length >= itemsMax || characters + length > charactersMax)) {
      batches.push(batch);
      batch = [];
      characters = 0;
    }
    batch.push(at);
    characters += length;
  }
  return batch.length > 0 ? [...batches, batch] : batches;
}

/** The class is that of the whole file: its last, short request must not pass for somebody who waits. */
function fieldsOf(flags: Flags, items: number): TranslateFields {
  const workClass = flags.class ?? (items >= bulkItems ? "bulk" : undefined);
  return {
    ...(flags.model === undefined ? {} : { model: flags.model }),
    ...(flags.beams === undefined ? {} : { beams: flags.beams }),
    ...(flags.nBest === undefined ? {} : { nBest: flags.nBest }),
    ...(workClass === undefined ? {} : { class: workClass }),
  };
}

function progressBar(flags: Flags, total: number): SingleBar | null {
  if (!flags.progress || !process.stderr.isTTY || total < 2) return null;
  const bar = new SingleBar({
    stream: process.stderr,
    format: (options, { progress, value, total: all, startTime }) => {
      const width = options.barsize ?? 40;
      const filled = "█".repeat(Math.round(progress * width)).padEnd(width, "░");
      const rate = value / Math.max((Date.now() - startTime) / 1000, 0.001);
      const left = value === 0 ? "?" : String(Math.ceil((all - value) / rate));
      return `${filled} ${value}/${all}  ${rate.toFixed(1)} items/s  ${left} s left`;
    },
  });
  bar.start(total, 0);
  return bar;
}

function render(results: readonly (TranslateItem | null)[], flags: Flags): string {
  const oneLine = (text: string): string =>
    // One line in is one line out, or files would no longer match line by line.
    flags.json === true ? text : text.replace(/\r?\n/g, " ");
  return results
    .map((result, index) => {
      if (flags.json === true)
        return JSON.stringify({ line: index + 1, ...(result ?? { text: "" }) });
      return result !== null && "text" in result ? oneLine(result.text) : "";
    })
    .map((line) => `${line}\n`)
    .join("");
}

function reportFailures(results: readonly (TranslateItem | null)[]): number {
  let failed = 0;
  for (const [index, result] of results.entries()) {
    if (result === null || !("error" in result)) continue;
    failed += 1;
    const { code, message } = result.error;
    process.stderr.write(errorText({ code, message: `line ${index + 1}: ${message}` }));
  }
  return failed;
}

interface RunFacts {
  readonly elapsedMs: number;
  readonly failed: number;
  readonly json: boolean;
}

/** What the seeds' client printed. */
function summary({ results, requests, pipelines }: Outcome, facts: RunFacts): string {
  const total = results.length;
  const totalMs = Number(facts.elapsedMs.toFixed(3));
  const perItemMs = total === 0 ? 0 : Number((totalMs / total).toFixed(3));
  const items = Object.fromEntries(pipelines);
  if (facts.json) {
    const { failed } = facts;
    return `${JSON.stringify({ total, failed, requests, pipelines: items, totalMs, perItemMs })}\n`;
  }
  const perPipeline = Object.entries(items).map(([id, n]) => `${id}: ${n}`);
  return [
    `total: ${total}`,
    `requests: ${requests}`,
    `items per pipeline: ${perPipeline.join(", ")}`,
    `time in all: ${totalMs} ms`,
    `time per sentence: ${perItemMs} ms`,
    `failed: ${facts.failed}`,
    "",
  ].join("\n");
}

/** Asked before the work, not after it. */
async function assertWritable(path: string): Promise<void> {
  await access(dirname(path), constants.W_OK).catch((error: unknown) => {
    throw unusable("--out", path, error);
  });
}

function unusable(flag: string, path: string, cause: unknown): MillraceError {
  const reason = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  return new MillraceError("option_invalid", `${flag}: cannot use ${path} (${reason})`, { cause });
}

/** Complete or not at all: readers never see half a file, and a failed run leaves an old one as it was. */
async function writeWhole(path: string, text: string): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    await writeFile(partial, text, { flag: "wx" });
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

function count(value: string): number {
  if (/^\d{1,9}$/.test(value)) return Number(value);
  throw new InvalidArgumentError("Not a whole number.");
}
